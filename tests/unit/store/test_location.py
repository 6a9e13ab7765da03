"""Where weights lie is known before they are there; sources that can change are refused."""

import hashlib
from pathlib import Path

import pytest

from serving.store import RefusedError, StoreError, location, resolve, stage_kit, verify_folder
from serving.store.__main__ import main
from serving.store.kit import stage_kit_model
from serving.store.location import KitModel
from serving.store.plain.checksums import Checksum, Kind, hashed, sample

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "start"),
    [
        (f"hf://acme/chat@{COMMIT}", "hf/acme--chat/0123456789ab"),
        (f"hf://gpt2@{COMMIT}", "hf/gpt2/0123456789ab"),
        ("store://tiny-gpt2@0123456789ab", "store/tiny-gpt2/0123456789ab"),
        ("s3://acme-weights/chat/v3", "s3/v3/"),
        ("file:///srv/weights/chat/", "file/chat/"),
    ],
)
def test_a_source_has_a_folder_of_its_own(source: str, start: str):
    assert location(source).startswith(start)
    assert len(location(source).split("/")) == 3


def test_prefixes_of_the_same_last_name_are_told_apart():
    found = {location(f"s3://{place}/v3") for place in ("acme-weights/chat", "acme-weights/embed", "other/chat")}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("hf://acme/chat", "branches and tags move"),
        ("hf://acme/chat@main", "branches and tags move"),
        (f"hf://acme/../../chat@{COMMIT}", "write hf://"),
        ("store://tiny-gpt2", "the newest one changes"),
        ("s3://bucket", "write s3://bucket/prefix"),
        ("file:///srv/../etc", "an absolute folder"),
        ("ftp://acme/chat", "sources begin with"),
        ("acme/chat", "sources begin with"),
    ],
)
def test_sources_that_can_change_or_mean_nothing_are_refused(source: str, rule: str):
    with pytest.raises(StoreError, match=rule):
        location(source)


def test_a_kit_model_is_staged_where_its_source_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stage_kit(tmp_path / "here")
    version = resolve(tmp_path / "here", "tiny-gpt2").manifest.version
    source = f"store://tiny-gpt2@{version}"
    assert main(["stage", source, "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{location(source)}\n"
    assert main(["verify", str(tmp_path / location(source))]) == 0
    with pytest.raises(RefusedError, match=rf"@0123456789ab was asked for, and this image carries tiny-gpt2@{version}"):
        stage_kit_model(KitModel("tiny-gpt2", "0123456789ab"), tmp_path)
    with pytest.raises(RefusedError, match="this kit has no model 'other'"):
        stage_kit_model(KitModel("other", "0123456789ab"), tmp_path)


def test_a_folder_that_holds_nothing_staged_is_no_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(StoreError, match=r"holds no manifest\.json"):
        verify_folder(tmp_path)
    assert main(["verify", str(tmp_path)]) == 1
    assert "holds no manifest.json" in capsys.readouterr().err
    assert main(["verify"]) == 1


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2500, 3_000_000])
def test_hashes_of_parts_are_those_of_uploads_in_parts(tmp_path: Path, size: int):
    content = bytes(number % 251 for number in range(size))
    file = tmp_path / "file"
    file.write_bytes(content)
    parts = [hashlib.md5(content[at : at + 1000], usedforsecurity=False).digest() for at in range(0, size, 1000)]
    expected = f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
    assert hashed(file, Checksum(Kind.PARTS, "", 1000)).said == expected


def test_samples_tell_other_weights_and_parts_that_were_never_written(tmp_path: Path):
    file = tmp_path / "file"
    content = bytes(range(256)) * 2**16
    file.write_bytes(content)
    known = sample(file)
    assert sample(file) == known
    for at in (0, len(content) // 2, len(content) - 2**19):
        file.write_bytes(content[:at] + bytes(2**19) + content[at + 2**19 :])
        assert sample(file) != known
