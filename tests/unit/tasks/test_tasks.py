import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infra import places
from infra.tasks import bootstrap, engine, outputs
from infra.tasks.session import Session

SALTED = b"config:\n  berth:platform: local\nencryptionsalt: v1:abc\n"
PLAIN = b"# mine\nconfig:\n\n  berth:platform: local\n"


def test_the_engines_salt_does_not_stay_in_a_stack_file(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_bytes(PLAIN)
    with engine.untouched(file):
        file.write_bytes(SALTED)  # the engine drops blank lines and comments as well
    assert file.read_bytes() == PLAIN


def test_a_change_by_someone_else_stays_in_the_stack_file(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_bytes(PLAIN)
    edited = SALTED.replace(b"local", b"kubernetes")
    with engine.untouched(file):
        file.write_bytes(edited)
    assert file.read_bytes() == edited


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "passphrase"
    first = places.write_secret_once(path)
    assert places.write_secret_once(path) == first
    assert len(first) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["passphrase"]


def lock(session: Session, pid: int, host: str) -> Path:
    file = session.home / "state/.pulumi/locks/organization/berth/local/one.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": pid, "username": "u", "hostname": host, "timestamp": "t"}))
    return file


def test_a_lock_is_cleared_only_when_its_process_on_this_machine_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(tmp_path)
    finished = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone = int(finished.stdout)
    for pid, host, stays in ((os.getpid(), socket.gethostname(), True), (gone, "elsewhere", True)):
        file = lock(session, pid, host)
        engine.clear_dead_locks(session, "local")
        assert file.exists() is stays
    file = lock(session, gone, socket.gethostname())
    engine.clear_dead_locks(session, "local")
    assert not file.exists()
    assert f"process {gone}" in capsys.readouterr().err


def test_a_second_task_waits_for_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(tmp_path)
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with engine.exclusive(session, "local"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    said, end = "", time.monotonic() + 60
    with engine.exclusive(session, "local"):
        inside.set()
        while f"being changed by process {os.getpid()}" not in said:
            assert time.monotonic() < end, said
            time.sleep(0.02)
            said += capsys.readouterr().err
        waiting.join(0.3)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


OUTPUTS = {
    "endpoints": {"chat": {"openai": "http://127.0.0.1:8080/v1", "native": "http://127.0.0.1:8080/models/chat"}},
    "dashboards": {"prometheus": "http://127.0.0.1:9090"},
    "api_key": "it's secret",
    "example_model": "chat",
}


def test_the_table_names_every_url() -> None:
    text = outputs.table(OUTPUTS)
    for url in ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/models/chat", "http://127.0.0.1:9090"):
        assert url in text


def test_the_curl_line_is_one_that_a_shell_reads_back() -> None:
    line = outputs.curl(OUTPUTS)
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert "Authorization: Bearer it's secret" in words.stdout.splitlines()
    assert outputs.curl({**OUTPUTS, "example_model": None}) == ""


def test_bootstrap_makes_the_environment_anew_where_another_python_had_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "VENV", environment)
    other = tmp_path / "python3"  # links to a Python are what `venv` itself leaves as they are
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    (environment / "bin").mkdir(parents=True)
    for name in ("python", "python3", f"python3.{sys.version_info.minor}"):
        (environment / "bin" / name).symlink_to(other)
    (environment / "lib64").symlink_to("lib")
    held = environment / bootstrap.HELD
    held.touch()
    before = held.stat().st_ino
    bootstrap.create()
    assert bootstrap.usable(str(environment / "bin/python"))
    assert held.stat().st_ino == before


def test_bootstrap_takes_the_installer_with_its_hashes_from_the_lock() -> None:
    lines = bootstrap.pinned("uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_the_lock_names_no_registry() -> None:
    text = bootstrap.LOCK.read_text()
    assert "http" not in text.replace("httpcore", "").replace("httpx", "").replace("aiohttp", "")
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in pins)
