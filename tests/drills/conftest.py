from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.drills.harness import Drill

_report: list[str] = []
_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells the fixture whether the drill itself went as it should."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def drill(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Drill]:
    """A site for one drill; what must hold after every drill is checked when the drill is over."""
    drill = Drill(tmp_path)
    try:
        yield drill
        if request.node.stash.get(_PASSED, False):
            drill.verify()
    finally:
        drill.close()
        seen = [str(drill.history), *drill.notes]
        _report.append(f"{request.node.name}: {'; '.join(filter(None, seen))}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was seen, drill by drill."""
    if _report:
        terminalreporter.section("drills")
        for line in _report:
            terminalreporter.write_line(line)
