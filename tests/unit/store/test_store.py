"""Staging, verifying and resolving models, with the kit's own GPT-2."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving.store import Manifest, StoreError, resolve, stage, stage_kit, verify, versions
from serving.store.__main__ import main
from serving.store.kit import KIT

GPT2 = KIT / "tiny-gpt2"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    stage(GPT2, root)
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def weights(root: Path) -> Path:
    return resolve(root, "tiny-gpt2").path / "ct2" / "model.bin"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_manifest_names_family_task_context_and_every_file(root: Path):
    version = resolve(root, "tiny-gpt2")
    manifest = verify(version.path)
    assert (manifest.family, manifest.task, manifest.context_tokens) == ("gpt2", "generate", 512)
    listed = {path.relative_to(version.path).as_posix() for path in version.path.rglob("*") if path.is_file()}
    assert set(manifest.files) == listed - {"manifest.json"}
    assert "ct2/model.bin" in manifest.files
    assert manifest.bytes == sum((version.path / path).stat().st_size for path in manifest.files)


def test_staging_again_builds_nothing_and_gives_the_same_version(root: Path):
    before = weights(root).stat()
    again = stage(GPT2, root)
    assert str(again) == str(resolve(root, "tiny-gpt2"))
    assert (weights(root).stat().st_ino, weights(root).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_conversion_gives_the_same_bytes_in_another_store(root: Path, tmp_path: Path):
    assert str(stage(GPT2, tmp_path / "other")) == str(resolve(root, "tiny-gpt2"))


def test_altered_file_is_refused_with_file_expected_found_and_way_out(root: Path):
    folder = resolve(root, "tiny-gpt2").path
    expected = Manifest.read(folder).files["ct2/model.bin"].sha256
    flip_a_byte(weights(root))
    with pytest.raises(StoreError) as refused:
        verify(folder)
    message = str(refused.value)
    assert f"ct2/model.bin: expected sha256 {expected}" in message
    assert "found " in message
    assert f"python -m serving.store stage --root {root}" in message


def test_missing_and_foreign_files_are_refused_all_at_once(root: Path):
    folder = resolve(root, "tiny-gpt2").path
    (folder / "tokenizer.json").unlink()
    (folder / "ct2" / "vmap.txt").write_text("")
    with pytest.raises(StoreError, match=r"tokenizer.json: expected .* no such file\n.*vmap.txt: not in the manifest"):
        verify(folder)


def test_manifest_that_lists_other_files_than_its_version_is_refused(root: Path):
    folder = resolve(root, "tiny-gpt2").path
    content = json.loads((folder / "manifest.json").read_text())
    del content["files"]["chat_template.jinja"]
    (folder / "chat_template.jinja").unlink()
    (folder / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match="is not the hash of the files it lists"):
        verify(folder)


def test_staging_replaces_a_damaged_version_and_says_so(root: Path):
    flip_a_byte(weights(root))
    said: list[str] = []
    version = stage(GPT2, root, report=said.append)
    verify(version.path)
    assert len(said) == 1
    assert said[0].startswith("replacing a damaged version: tiny-gpt2@")


def test_unreadable_manifest_is_refused_and_staging_repairs_it(root: Path):
    folder = resolve(root, "tiny-gpt2").path
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="cannot be understood"):
        resolve(root, "tiny-gpt2")
    stage(GPT2, root)
    verify(resolve(root, "tiny-gpt2").path)


def test_changed_source_is_a_new_version_and_the_old_one_stays(root: Path, tmp_path: Path):
    old = resolve(root, "tiny-gpt2")
    changed = Path(shutil.copytree(GPT2, tmp_path / "tiny-gpt2"))
    (changed / "chat_template.jinja").write_text("{{ messages[-1]['content'] }}")
    new = stage(changed, root)
    assert new.manifest.version != old.manifest.version
    assert str(resolve(root, "tiny-gpt2")) == str(new)
    assert str(resolve(root, f"tiny-gpt2@{old.manifest.version}")) == str(old)
    assert len(versions(root)) == 2
    assert str(stage(GPT2, root)) == str(old), "staging the old source makes it current again"
    assert str(resolve(root, "tiny-gpt2")) == str(old)


def test_edited_readme_is_no_new_version(root: Path, tmp_path: Path):
    changed = Path(shutil.copytree(GPT2, tmp_path / "tiny-gpt2"))
    (changed / "README.md").write_text("words")
    assert str(stage(changed, root)) == str(resolve(root, "tiny-gpt2"))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("tiny-gtp2", r"no model 'tiny-gtp2' in the store .*; did you mean 'tiny-gpt2'\?"),
        ("tiny-gpt2@0000", r"0 versions of 'tiny-gpt2' start with '0000' .* it holds [0-9a-f]{12}"),
        ("tiny-gpt2@", "is not a stored model; write name or name@version"),
        ("../tiny-gpt2", "is not a stored model"),
    ],
)
def test_unknown_reference_is_an_error_with_a_suggestion(root: Path, reference: str, message: str):
    with pytest.raises(StoreError, match=message):
        resolve(root, reference)


def test_empty_store_says_how_to_fill_it(tmp_path: Path):
    with pytest.raises(StoreError, match=r"python -m serving\.store stage --root"):
        resolve(tmp_path / "nowhere", "tiny-gpt2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "it lacks tokenizer.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "has no model_type"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt3"}'), "did you mean 'gpt2'"),
    ],
)
def test_source_that_is_no_model_is_refused(tmp_path: Path, change, message: str):
    source = Path(shutil.copytree(GPT2, tmp_path / "source"))
    change(source)
    with pytest.raises(StoreError, match=message):
        stage(source, tmp_path / "store")


def _stage(root: Path, results) -> None:
    results.put(str(stage(GPT2, root)))


@pytest.mark.thorough
def test_two_that_stage_at_once_agree(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_stage, args=(tmp_path / "store", results)) for _ in range(2)]
    for process in both:
        process.start()
    first, second = results.get(timeout=180), results.get(timeout=180)
    for process in both:
        process.join()
    results.close()
    results.join_thread()
    assert first == second
    assert len(versions(tmp_path / "store")) == 1
    verify(resolve(tmp_path / "store", "tiny-gpt2").path)


@pytest.mark.thorough
def test_killed_staging_leaves_nothing_that_looks_finished(tmp_path: Path):
    root = tmp_path / "store"
    # Stops right before the folder is moved into place, the latest moment at which a kill can matter.
    program = (
        "import sys, time, pathlib\n"
        "from serving.store import stage\n"
        "pathlib.Path.rename = lambda *_: (print('built', flush=True), time.sleep(60))\n"
        "stage(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, GPT2, root], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"built\n"
        process.send_signal(signal.SIGKILL)
    assert list(root.glob(".staging-*"))
    assert versions(root) == []
    stage(GPT2, root)
    assert len(versions(root)) == 1
    assert not list(root.glob(".staging-*"))


def test_full_disk_is_an_error_that_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(StoreError, match=r"staging tiny-gpt2 needs 10 MB under .*, and 1 MB are free"):
        stage(GPT2, tmp_path / "store")


def test_kit_stages_every_model_folder(tmp_path: Path):
    staged = {version.manifest.name for version in stage_kit(tmp_path)}
    assert staged == {path.parent.name for path in KIT.glob("*/config.json")}


def test_commands_print_versions_and_fail_with_a_reason(root: Path, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--root", str(root)])
        return (code, *capsys.readouterr())

    version = str(resolve(root, "tiny-gpt2"))
    assert run("stage", str(GPT2)) == (0, f"{version}\n", "")
    assert run("verify") == (0, f"{version} ok\n", "")
    assert run("list")[1].startswith(f"{version} gpt2 generate 512 tokens 9.2 MB")
    flip_a_byte(weights(root))
    code, _, problem = run("verify", "tiny-gpt2")
    assert code == 1
    assert "ct2/model.bin: expected sha256" in problem
    assert run("verify", "tiny-gtp2")[0] == 1


def test_staged_model_starts_quickly(root: Path):
    """A start verifies first; hashing must not cost more than a moment."""
    started = time.monotonic()
    verify(resolve(root, "tiny-gpt2").path)
    assert time.monotonic() - started < 5
    assert os.access(weights(root), os.R_OK)
