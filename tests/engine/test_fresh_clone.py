"""What README promises a stranger: clone, `make up`, paste the line, stop again. Run on the last commit."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.providers.local import ports
from infra.tasks.session import ROOT
from tests.support import portblock

PORTS = portblock.lease()
README = (ROOT / "README.md").read_text()


def make(clone: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PULUMI_"))}
    return subprocess.run(
        ["make", *words], cwd=clone, env=environment, capture_output=True, text=True, check=check, timeout=1800
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    clone = tmp_path_factory.mktemp("fresh") / "berth"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # The one change: ports that a stack of this machine's owner does not hold.
    gateway = ports.take(PORTS, ())
    prometheus = ports.take(PORTS, (gateway,))
    file = clone / "stacks/Pulumi.local.yaml"
    text = file.read_text().replace("port: 8080", f"port: {gateway}")
    text += f"  berth:monitoring: {{prometheus_port: {prometheus}}}\n"
    text += f'  berth:local: {{ports: "{PORTS[0] + 10}-{PORTS[1]}"}}\n'
    file.write_text(text)
    yield clone
    if (clone / ".venv").exists():
        make(clone, "down")


@pytest.fixture(scope="module")
def printed(clone: Path) -> str:
    """What `make up` says."""
    done = make(clone, "up")
    return done.stdout + done.stderr


def test_the_printed_line_streams_an_answer(printed: str) -> None:
    line = next(line for line in printed.splitlines() if line.startswith("curl "))
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=60)
    events = [line for line in answer.stdout.splitlines() if line.startswith("data:")]
    assert len(events) > 5
    assert events[-1] == "data: [DONE]"


def test_the_table_of_urls_is_the_one_in_readme(printed: str, clone: Path) -> None:
    port = re.search(r"port: (\d+)", (clone / "stacks/Pulumi.local.yaml").read_text())
    assert port is not None
    block = README.split("It ends like this:\n\n```\n")[1].split("```")[0]
    for row in block.replace("8080", port[1]).splitlines():
        if not row.startswith("prometheus"):
            assert re.sub(r" +", " ", row) in re.sub(r" +", " ", printed)


def test_readmes_python_lines_run(printed: str, clone: Path) -> None:
    assert "is up" in printed
    code = README.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [".venv/bin/python", "-c", code], cwd=clone, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_readmes_stack_file_is_valid(clone: Path) -> None:
    text = README.split("```yaml\n")[1].split("```")[0]
    (clone / "stacks/Pulumi.readme.yaml").write_text(text)
    try:
        assert make(clone, "settings", "STACK=readme").stdout
    finally:
        (clone / "stacks/Pulumi.readme.yaml").unlink()


@pytest.mark.parametrize("task", ["settings", "plan", "doctor", "preview", "outputs"])
def test_every_task_in_readme_runs(printed: str, clone: Path, task: str) -> None:
    assert "is up" in printed
    assert f"make {task}" in README or f"make -s {task}" in README
    done = make(clone, "-s", task)
    assert done.stdout
    assert "sk-berth-" not in done.stdout + done.stderr


def test_pulumi_typed_by_hand_finds_nothing_to_do(printed: str, clone: Path) -> None:
    assert "is up" in printed
    command = ". .berth/env && pulumi preview -s local --expect-no-changes --non-interactive"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    done = subprocess.run(
        ["sh", "-c", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_ups_at_once_both_succeed(printed: str, clone: Path) -> None:
    assert "is up" in printed
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PULUMI_"))}
    both = [
        subprocess.Popen(["make", "up"], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    texts = [process.communicate(timeout=1800)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], texts
    assert any("waiting for it to finish" in text for text in texts), texts


def test_down_leaves_no_process_port_or_file(printed: str, clone: Path) -> None:
    assert "is up" in printed
    make(clone, "down")
    deadline = time.monotonic() + 10
    while taken := {port: _sockets(port) for port in range(PORTS[0], PORTS[1] + 1) if not ports.is_free(port)}:
        assert time.monotonic() < deadline, f"ports that are still taken, and by whom: {taken}"
        time.sleep(0.1)
    left = subprocess.run(
        ["git", "status", "--short", "--ignored"], cwd=clone, capture_output=True, text=True, check=True
    )
    names = {line.split()[1].split("/")[-2] for line in left.stdout.splitlines() if line.startswith(("!!", "??"))}
    assert names <= {".venv", "berth.egg-info", "__pycache__"}, left.stdout
    shutil.rmtree(clone / ".venv")


def _sockets(port: int) -> str:
    """Who listens on the port, and what else the kernel knows of it: a test that fails here is hard to repeat."""
    who = ports.holder(port) if ports.listeners(port) else "no listener"
    rows = [row for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    local = [row.split() for row in rows if row.split()[1].endswith(f":{port:04X}")]
    states = ", ".join(f"state {row[3]} to {row[2]} inode {row[9]}" for row in local)
    return f"{who}; sockets: {states or 'none, so someone had only bound it for a moment'}"
