"""Files out of a Go module, from a module proxy in a folder."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import ToolchainError
from infra.toolchain.ways.go_files import module_sum

MODULE = "example.com/things"
FILES = {"go.mod": f"module {MODULE}\n\ngo 1.21\n", "crds/one.yaml": "one", "crds/deep/two.yaml": "two", "main.go": "x"}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The module's archive on the proxy that Go asks."""
    folder = tmp_path / "proxy" / MODULE / "@v"
    folder.mkdir(parents=True)
    (folder / "v1.2.3.info").write_text('{"Version": "v1.2.3"}')
    (folder / "v1.2.3.mod").write_text(FILES["go.mod"])
    with zipfile.ZipFile(folder / "v1.2.3.zip", "w") as file:
        for name, text in FILES.items():
            file.writestr(f"{MODULE}@v1.2.3/{name}", text)
    cache = tmp_path / "modules"
    monkeypatch.setenv("GOPROXY", f"file://{tmp_path}/proxy")
    monkeypatch.setenv("GOMODCACHE", str(cache))
    yield folder / "v1.2.3.zip"
    # Go takes away the right to write, and with it the right to remove.
    for path in cache.rglob("*"):
        path.chmod(0o755)


def part(bench: Any, checksum: str) -> Any:
    """The part `things`: the folder of definitions."""
    way = {"way": "go-files", "module": MODULE, "sum": checksum, "takes": {"crds/": "kept/"}}
    return bench.part(way, name="things", provides={"things": "kept"}, reports=[])


def test_takes_the_files_that_were_asked_for(bench: Any, archive: Path) -> None:
    path = part(bench, module_sum(archive)).toolchain.ensure("things")
    found = {str(file.relative_to(path)): file.read_text() for file in path.rglob("*.yaml")}
    assert found == {"one.yaml": "one", "deep/two.yaml": "two"}
    assert not (path.parent / "main.go").exists()
    assert bench.toolchain.find("things").checked == "pinned go.sum line"


def test_another_module_under_the_same_version_is_refused(bench: Any, archive: Path) -> None:
    with pytest.raises(ToolchainError, match=r"things@v1.2.3 is refused: its sum is h1:.*expected h1:other="):
        part(bench, "h1:other=").toolchain.ensure("things")


def test_a_module_that_is_not_there_is_said_in_gos_own_words(bench: Any, archive: Path) -> None:
    archive.unlink()
    with pytest.raises(ToolchainError, match=r"`go mod download example.com/things@v1.2.3` failed: .*no such file"):
        part(bench, "h1:any=").toolchain.ensure("things")


def test_a_folder_that_the_module_does_not_have_is_named(bench: Any, archive: Path) -> None:
    way = {"way": "go-files", "module": MODULE, "sum": module_sum(archive), "takes": {"absent/": "kept/"}}
    bench.part(way, name="things", provides={"things": "kept"}, reports=[])
    with pytest.raises(ToolchainError, match=r"does not hold example.com/things@v1.2.3/absent/"):
        bench.toolchain.ensure("things")
