from collections.abc import Callable, Iterator

import pytest

from tests.fakes.engine import FakeEngine


@pytest.fixture
def engines() -> Iterator[Callable[[int], list[FakeEngine]]]:
    """Starts so many fake engines."""
    started: list[FakeEngine] = []

    def start(n: int) -> list[FakeEngine]:
        new = [FakeEngine().start() for _ in range(n)]
        started.extend(new)
        return new

    yield start
    for fake in started:
        fake.stop()
