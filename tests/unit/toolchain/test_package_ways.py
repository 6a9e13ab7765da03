"""Wheels by the real pip and Debian packages by the real apt-get, both from folders of the test."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import ToolchainError

PROGRAM = b"#!/bin/sh\necho 1.2.3\n"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that pip finds without an index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "the_tool-1.2.3-py3-none-any.whl"
    info = "the_tool-1.2.3.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        program = zipfile.ZipInfo("tool/_bin/tool")
        program.external_attr = 0o755 << 16
        file.writestr(program, PROGRAM)
        file.writestr("tool/model/weights", b"weights")
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: the-tool\nVersion: 1.2.3\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def _wheel_way(wheel: Path, **changes: Any) -> dict[str, Any]:
    return {
        "way": "wheel",
        "package": "the-tool",
        "sha256": ["0" * 64, hashlib.sha256(wheel.read_bytes()).hexdigest()],
        "takes": {"tool/_bin/tool": "bin/tool"},
        **changes,
    }


def test_a_wheel_is_unpacked_and_not_installed(bench: Any, wheel: Path) -> None:
    path = bench.part(_wheel_way(wheel)).toolchain.ensure("tool")
    assert path.read_bytes() == PROGRAM
    assert bench.toolchain.find("tool").origin == "Python package the-tool"


def test_a_wheel_of_another_hash_is_refused(bench: Any, wheel: Path) -> None:
    bench.part(_wheel_way(wheel, sha256=["0" * 64]))
    with pytest.raises(ToolchainError, match="DO NOT MATCH THE HASHES"):
        bench.toolchain.ensure("tool")
    assert not (bench.cache.root / "parts").exists()


def test_a_wheel_can_give_a_folder_of_weights_checked_one_by_one(bench: Any, wheel: Path) -> None:
    way = _wheel_way(
        wheel,
        takes={"tool/model/": "model/"},
        contents={"model/weights": hashlib.sha256(b"weights").hexdigest()},
    )
    bench.part(way, provides={"weights": "model"}, reports=[])
    folder = bench.toolchain.ensure("weights")
    assert (folder / "weights").read_bytes() == b"weights"
    (folder / "weights").write_bytes(b"cut")
    assert bench.toolchain.ensure("weights") == folder
    assert (folder / "weights").read_bytes() == b"weights"


def test_weights_of_another_hash_are_refused(bench: Any, wheel: Path) -> None:
    way = _wheel_way(wheel, takes={"tool/model/": "model/"}, contents={"model/weights": "1" * 64})
    bench.part(way, provides={"weights": "model"}, reports=[])
    with pytest.raises(ToolchainError, match="weights is refused: its sha256"):
        bench.toolchain.ensure("weights")


def test_a_package_that_the_index_lacks_is_told_in_pips_words(bench: Any, wheel: Path) -> None:
    bench.part(_wheel_way(wheel, package="no-such-tool"))
    with pytest.raises(ToolchainError, match="No matching distribution found for no-such-tool"):
        bench.toolchain.ensure("tool")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian archive in a folder, and an apt that knows only this one and has not read its index yet."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: the-tool\nVersion: 1.2.3-4\nArchitecture: all\nMaintainer: nobody <n@example.com>\nDescription: x\n"
    )
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/tool").write_bytes(PROGRAM)
    (tree / "usr/bin/tool").chmod(0o755)
    folder = tmp_path / "archive"
    folder.mkdir()
    package = folder / "the-tool_1.2.3-4_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, capture_output=True)
    body = package.read_bytes()
    index = (tree / "DEBIAN/control").read_text().rstrip()
    digest = hashlib.sha256(body).hexdigest()
    (folder / "Packages").write_text(f"{index}\nFilename: ./{package.name}\nSize: {len(body)}\nSHA256: {digest}\n")
    state = tmp_path / "apt"
    (state / "lists/partial").mkdir(parents=True)
    (state / "archives/partial").mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [trusted=yes] file:{folder} ./\n")
    (state / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{state}/sources.list";\nDir::Etc::SourceParts "{state}/none";\n'
        f'Dir::State::Lists "{state}/lists";\nDir::Cache::Archives "{state}/archives";\n'
        'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(state / "apt.conf"))
    return folder


DEB = {
    "way": "deb",
    "package": "the-tool",
    "version": "debian",
    "accepts": ">=1.2 <2",
    "takes": {"usr/bin/tool": "bin/tool"},
}


def test_a_debian_package_is_unpacked_without_the_systems_lists(bench: Any, archive: Path) -> None:
    path = bench.part(DEB).toolchain.ensure("tool")
    assert path.read_bytes() == PROGRAM
    assert "fetching one for this only" in bench.said
    assert bench.toolchain.find("tool").version == "1.2.3"
    listed = subprocess.run(["dpkg", "-s", "the-tool"], capture_output=True, check=False)
    assert listed.returncode != 0


def test_the_systems_lists_are_used_where_there_are_some(bench: Any, archive: Path) -> None:
    subprocess.run(["apt-get", "--option=APT::Sandbox::User=root", "update"], check=True, capture_output=True)
    bench.part(DEB).toolchain.ensure("tool")
    assert "fetching one for this only" not in bench.said


def test_a_debian_package_that_differs_from_the_index_is_refused(bench: Any, archive: Path) -> None:
    (package,) = archive.glob("*.deb")
    package.write_bytes(package.read_bytes()[:-1] + b"!")
    with pytest.raises(ToolchainError, match="Hash Sum mismatch"):
        bench.part(DEB).toolchain.ensure("tool")


def test_a_debian_package_of_a_wrong_version_is_refused(bench: Any, archive: Path) -> None:
    with pytest.raises(ToolchainError, match=r"it is 1\.2\.3, wanted >=2"):
        bench.part({**DEB, "accepts": ">=2"}).toolchain.ensure("tool")
