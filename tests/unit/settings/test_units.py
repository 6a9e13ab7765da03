import contextlib
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings.units import (
    BYTES,
    DURATION_PATTERN,
    SECONDS,
    SIZE_PATTERN,
    UnitError,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@given(st.integers(0, 3650), st.sampled_from(sorted(SECONDS)))
def test_durations_survive_a_round_trip(number: int, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.decimals(0, 3650, places=4), st.sampled_from(sorted(SECONDS)))
def test_fractions_of_units_survive_a_round_trip(number: Decimal, unit: str) -> None:
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 2**60))
def test_sizes_survive_a_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(UnitError):
            assert parse(text) >= 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("80ms", 0.08), ("1s", 1.0), ("1.5m", 90.0), ("2h", 7200.0), ("15d", 1_296_000.0), ("0s", 0.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("4GiB", 4 * 2**30), ("1.5KiB", 1536), ("0B", 0), ("10kB", 10_000)]
)
def test_sizes_are_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.08, "80ms"), (60, "1m"), (90, "90s"), (86400, "1d"), (0.0005, "0.5ms"), (0, "0s")]
)
def test_durations_are_written_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("text", "meant"), [("5sec", "5s"), ("2 minutes", "2m"), ("1hr", "1h"), ("3D", "3d")])
def test_habits_of_writing_durations_are_corrected(text: str, meant: str) -> None:
    with pytest.raises(UnitError, match=f"write {meant}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("4Gi", "4GiB"), ("4G", "4GB"), ("4gb", "4GB"), ("1k", "1kB"), ("9b", "9B")]
)
def test_habits_of_writing_sizes_are_corrected(text: str, meant: str) -> None:
    with pytest.raises(UnitError, match=f"write {meant}$"):
        parse_size(text)


def test_every_unit_of_size_is_known_by_the_schema() -> None:
    assert all(re.fullmatch(SIZE_PATTERN, f"1.5{unit}") for unit in BYTES)
    assert all(re.fullmatch(DURATION_PATTERN, f"1.5{unit}") for unit in SECONDS)
