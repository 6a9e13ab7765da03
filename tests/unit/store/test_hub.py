"""Staging from the hub by the hub's real client, against a hub on this machine."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving.store import RefusedError, StoreError, location, stage_source, verify_folder
from serving.store.manifest import FILE_NAME
from serving.store.plain.record import Record
from serving.store.plain.workplace import Workplace
from tests.fakes.hub import FakeHub
from tests.unit.store.hub_model import COMMIT, FILES, INDEX, KEPT, SHARD_BYTES, SHARDS, stored

pytestmark = pytest.mark.thorough
TOKEN = "hf_" + "TEST" * 8


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    started = FakeHub("acme/chat", COMMIT, FILES)
    monkeypatch.setenv("HF_ENDPOINT", started.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN_PATH", raising=False)
    yield started
    started.stop()


def start(source: str, root: Path, *prefix: str) -> "subprocess.Popen[str]":
    command = [*prefix, sys.executable, "-m", "serving.store", "stage", source, "--root", str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_commit_is_stored_as_it_is_without_what_servers_do_not_need(hub: FakeHub, root: Path):
    folder = stage_source(hub.source, root)
    assert folder == root / location(hub.source) == root / "hf/acme--chat/0123456789ab"
    assert stored(folder) == KEPT
    assert {path.name for path in root.iterdir()} == {"hf", ".staging"}
    assert [path.name for path in (root / ".staging").iterdir()] == ["hf--acme--chat--0123456789ab.lock"]
    verify_folder(folder, whole=True)
    record = Record.read(folder)
    assert (record.source, record.bytes) == (hub.source, sum(map(len, KEPT.values())))
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


def test_staging_again_asks_the_hub_nothing(hub: FakeHub, root: Path):
    folder = stage_source(hub.source, root)
    hub.stop()
    assert stage_source(hub.source, root) == folder


def test_the_hubs_own_client_resumes_a_transfer_that_breaks(hub: FakeHub, root: Path):
    hub.cut[SHARDS[0]] = 1
    assert stored(stage_source(hub.source, root)) == KEPT


@pytest.mark.parametrize("path", [SHARDS[0], "config.json"])
def test_a_file_damaged_on_the_way_is_fetched_again(hub: FakeHub, root: Path, path: str):
    hub.corrupt[path] = 1
    said: list[str] = []
    assert stored(stage_source(hub.source, root, report=said.append)) == KEPT
    assert hub.sent[path] == 2
    assert any(f"{path}: expected" in line and "found" in line for line in said)


def test_a_file_damaged_at_its_source_is_refused_with_expected_and_found(hub: FakeHub, root: Path):
    hub.corrupt[SHARDS[1]] = 9
    with pytest.raises(StoreError, match=rf"{SHARDS[1]}: expected sha256 [0-9a-f]{{64}}, found [0-9a-f]{{64}}, twice"):
        stage_source(hub.source, root)
    assert not (root / location(hub.source)).exists()
    hub.corrupt.clear()
    sent = hub.sent[SHARDS[0]]
    assert stored(stage_source(hub.source, root)) == KEPT
    assert hub.sent[SHARDS[0]] == sent, "what had come is not fetched again"


def test_a_shard_that_the_index_names_must_be_there(hub: FakeHub, root: Path):
    del hub.files[SHARDS[1]]
    with pytest.raises(RefusedError, match=f"lacks {SHARDS[1]}, which its model.safetensors.index.json names"):
        stage_source(hub.source, root)


def test_a_repository_of_pickles_is_refused_with_the_way_out(hub: FakeHub, root: Path):
    for path in (*SHARDS, "consolidated.safetensors", "model.safetensors.index.json"):
        del hub.files[path]
    with pytest.raises(RefusedError, match=r"only as pickle \(pytorch_model.bin\), which can run code"):
        stage_source(hub.source, root)


def test_one_file_of_weights_is_taken_rather_than_its_shards(hub: FakeHub, root: Path):
    hub.files["model.safetensors"] = b"whole"
    found = stored(stage_source(hub.source, root))
    assert [path for path in found if "safetensors" in path] == ["model.safetensors"]


def test_names_that_lead_out_of_the_folder_are_refused(hub: FakeHub, root: Path):
    hub.files["../evil.json"] = b"{}"
    with pytest.raises(RefusedError, match=r"'../evil.json', which is no name of a file below"):
        stage_source(hub.source, root)
    index = {**INDEX, "weight_map": {"a": "../../evil.bin"}}
    del hub.files["../evil.json"]
    hub.files["model.safetensors.index.json"] = json.dumps(index).encode()
    with pytest.raises(RefusedError, match=r"'../../evil.bin', which is not a safetensors file"):
        stage_source(hub.source, root)


@pytest.mark.parametrize("kind", ["token", "gated"])
def test_a_model_behind_a_licence_needs_the_token_of_the_stack(
    hub: FakeHub, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    setattr(hub, kind, TOKEN)
    way = "pulumi config set --secret --path berth:kubernetes.hub_token"
    with pytest.raises(RefusedError, match=r"the hub answers 40[13].*Accept its licence") as refused:
        stage_source(hub.source, root)
    assert way in str(refused.value)
    file = tmp_path / "token"
    monkeypatch.setenv("HF_TOKEN_PATH", str(file))
    file.write_text("hf_WRONGWRONGWRONG")
    with pytest.raises(RefusedError, match=r"token of berth:kubernetes.hub_token may not read it") as refused:
        stage_source(hub.source, root)
    assert way in str(refused.value)
    assert "WRONG" not in str(refused.value)
    file.write_text(f"{TOKEN}\n")
    said: list[str] = []
    assert stored(stage_source(hub.source, root, report=said.append)) == KEPT
    assert TOKEN not in "".join(said)
    assert hub.at_cdn
    assert not any("authorization" in {name.lower() for name in headers} for headers in hub.at_cdn)


def test_a_token_in_the_environment_is_not_used(hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch):
    hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(RefusedError, match="401"):
        stage_source(hub.source, root)


def test_a_commit_that_does_not_exist_is_refused(hub: FakeHub, root: Path):
    with pytest.raises(RefusedError, match="404: there is no such commit"):
        stage_source(f"hf://acme/chat@{'f' * 40}", root)


def test_a_hub_that_is_not_there_is_told(hub: FakeHub, root: Path):
    hub.stop()
    with pytest.raises(StoreError, match=r"cannot be reached, or a transfer broke \(ConnectError\)") as broken:
        stage_source(hub.source, root)
    assert not isinstance(broken.value, RefusedError)


def test_more_than_was_planned_is_refused_before_it_is_fetched(hub: FakeHub, root: Path):
    with pytest.raises(RefusedError, match=r"has 6 MB, more than the 5 MB that the plan"):
        stage_source(hub.source, root, most_bytes=5_000_000)
    assert not hub.sent[SHARDS[0]]


def test_room_is_looked_for_before_anything_large_is_fetched(hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(root)._replace(free=20_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match=r"needs 73 MB on the volume at .*, and 20 MB are free; enlarge"):
        stage_source(hub.source, root)
    assert not hub.sent[SHARDS[0]]


def version(root: Path, commit: str, *, size: int, age: int) -> str:
    """Stored some seconds ago; its source."""
    source = f"hf://acme/chat@{commit * 40}"
    folder = root / location(source)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(size))
    (folder / FILE_NAME).write_text("{}")
    os.utime(folder / FILE_NAME, (time.time() - age,) * 2)
    return source


def test_weights_that_no_server_reads_make_room_oldest_first(hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch):
    def usage(path: Path) -> object:
        held = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return SimpleNamespace(free=105_000_000 - held)

    monkeypatch.setattr("shutil.disk_usage", usage)
    served = version(root, "a", size=9_000_000, age=900)
    old, older, new = (
        version(root, commit, size=9_000_000, age=age) for commit, age in (("b", 60), ("c", 90), ("d", 30))
    )
    left = root / ".staging/hf--acme--other--0123456789ab"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(bytes(5_000_000))
    # 64 MB are free, and 73 MB are asked for: the leftover and one version have to go.
    said: list[str] = []
    folder = stage_source(hub.source, root, keep=[served], report=said.append)
    assert stored(folder) == KEPT
    assert [(root / location(source)).exists() for source in (served, older, old, new)] == [True, False, True, True]
    assert not left.exists()
    assert [line for line in said if "removed" in line] == [
        "removed .staging/hf--acme--other--0123456789ab to make room, as no server reads it: 5 MB",
        f"removed {location(older)} to make room, as no server reads it: 9 MB",
    ]


def test_nothing_is_removed_unless_it_is_said_what_is_kept(hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch):
    unused = version(root, "b", size=1000, age=60)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    with pytest.raises(StoreError, match="enlarge the volume's claim"):
        stage_source(hub.source, root)
    assert (root / location(unused)).exists()
    with pytest.raises(StoreError, match="enlarge the volume's claim"):
        stage_source(hub.source, root, keep=[unused])
    assert (root / location(unused)).exists()


def test_a_staging_that_is_killed_is_continued(hub: FakeHub, root: Path):
    hub.held = {SHARDS[1]}
    first = start(hub.source, root)
    until(lambda: hub.sent[SHARDS[1]] == 1 and any(root.rglob(SHARDS[0])))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (root / location(hub.source)).exists()
    hub.held = set()
    hub.release.set()
    second = start(hub.source, root)
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (0, f"{location(hub.source)}\n"), err
    assert stored(root / location(hub.source)) == KEPT
    assert hub.sent[SHARDS[0]] == 1, "what had come is not fetched again"
    assert not any(root.rglob("*.incomplete"))


def test_two_at_once_fetch_once(hub: FakeHub, root: Path):
    hub.held = {SHARDS[1]}
    first = start(hub.source, root)
    until(lambda: hub.sent[SHARDS[1]] == 1)
    second = start(hub.source, root)
    assert second.stderr is not None
    assert "another stager is at the same version; waiting" in second.stderr.readline()
    hub.held = set()
    hub.release.set()
    for run in (first, second):
        out, err = run.communicate(timeout=60)
        assert (run.returncode, out) == (0, f"{location(hub.source)}\n"), err
    assert stored(root / location(hub.source)) == KEPT
    assert hub.sent["tokenizer.json"] == 1


def test_a_full_volume_is_told_and_staging_goes_on_when_there_is_room(hub: FakeHub, tmp_path: Path):
    """On a file system of 8 MB, whose room is taken by another while the weights arrive."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    hub.files[SHARDS[0]] = hub.files[SHARDS[0]] * 2
    stage = f"{sys.executable} -m serving.store stage {hub.source} --root {mounted}"
    # The check for room beforehand is another test's; here the disk turns out smaller than it said.
    patched = f"""{sys.executable} -c '
import shutil, sys
from serving.store.__main__ import main
shutil.disk_usage = lambda path: type("U", (), {{"free": 10**12}})
sys.exit(main(["stage", "{hub.source}", "--root", "{mounted}"]))'"""
    script = f"""
        mount -t tmpfs -o size=8m tmpfs {mounted}
        {patched}; echo "first $?" >&2
        mount -o remount,size=200m {mounted}
        {stage} && {sys.executable} -m serving.store verify --whole {mounted}/{location(hub.source)}
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "first 1" in done.stderr
    assert f"the volume at {mounted} is full" in done.stderr
    assert done.stdout.endswith("ok\n")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # the client's, that it locks by files instead
def test_a_volume_without_locks_will_do(hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch):
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    said: list[str] = []
    assert stored(stage_source(hub.source, root, report=said.append)) == KEPT
    assert "the volume has no locks (Function not implemented); going on without" in said


def test_without_locks_the_second_of_two_finds_the_version_of_the_first(hub: FakeHub, root: Path, tmp_path: Path):
    first = stage_source(hub.source, root)
    late = Workplace(root, location(hub.source), print)
    late.prepare()
    (late.folder / "config.json").write_text("{}")
    late.publish()
    assert stored(first) == KEPT
    assert not late.folder.exists()


def test_a_volume_that_cannot_rename_folders_is_refused_at_once(
    hub: FakeHub, root: Path, monkeypatch: pytest.MonkeyPatch
):
    def rename(path: Path, target: Path) -> Path:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(RefusedError, match=r"cannot rename folders \(Function not implemented\).* such as EFS"):
        stage_source(hub.source, root)
    assert not hub.sent


def test_commands_exit_with_3_when_trying_again_is_in_vain(hub: FakeHub, root: Path):
    hub.token = TOKEN
    run = start(hub.source, root)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (3, "")
    assert err.startswith("store: ")
    assert "Traceback" not in err
    hub.stop()
    run = start(hub.source, root)
    assert run.communicate(timeout=60)[1]
    assert run.returncode == 1


def test_a_damaged_version_is_mended_by_fetching_what_is_damaged(hub: FakeHub, root: Path):
    folder = stage_source(hub.source, root)
    (folder / "tokenizer.json").write_bytes(b"x" * len(KEPT["tokenizer.json"]))
    (folder / "stray.bin").write_bytes(b"pickle")
    said: list[str] = []
    stage_source(hub.source, root, report=said.append)
    assert stored(folder) == KEPT
    assert "mending a damaged version" in "".join(said)
    assert hub.sent[SHARDS[0]] == 1


def test_verify_names_files_and_what_was_expected_and_found(hub: FakeHub, root: Path):
    folder = stage_source(hub.source, root)
    (folder / "config.json").write_text('{"model_type": "LLAMA"}')
    (folder / SHARDS[1]).write_bytes(b"\2" * (SHARD_BYTES - 1))
    (folder / "1_Pooling/config.json").unlink()
    (folder / "evil.safetensors").write_bytes(b"")
    with pytest.raises(StoreError) as damaged:
        verify_folder(folder)
    message = str(damaged.value)
    assert "\n  config.json: expected sha256 " in message
    assert f"\n  {SHARDS[1]}: expected {SHARD_BYTES} bytes, found {SHARD_BYTES - 1}\n" in message
    assert "\n  1_Pooling/config.json: expected 2 bytes with sha256 " in message
    assert "\n  evil.safetensors: not in the manifest\n" in message
    assert f"python -m serving.store stage {hub.source} --root {root}" in message
