"""Archives that were made to do harm, or are broken."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from infra.toolchain import archive
from infra.toolchain.errors import WayError


def _tar(path: Path, *members: tuple[str, bytes, int]) -> Path:
    with tarfile.open(path, "w:xz") as file:
        for name, body, mode in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(body), mode
            file.addfile(info, io.BytesIO(body))
    return path


def test_a_member_that_climbs_out_is_refused(tmp_path: Path) -> None:
    made = _tar(tmp_path / "a.tar.xz", ("bin/../../evil", b"x", 0o644))
    with pytest.raises(WayError, match="refusing an archive"):
        archive.unpack(made, {"bin/": "bin/"}, tmp_path / "into")
    assert not (tmp_path / "evil").exists()


def test_modes_are_program_or_plain(tmp_path: Path) -> None:
    made = _tar(tmp_path / "a.tar.xz", ("./bin/run", b"x", 0o4777), ("./bin/read", b"y", 0o600))
    archive.unpack(made, {"bin/": "."}, tmp_path / "into")
    assert (tmp_path / "into/run").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "into/read").stat().st_mode & 0o7777 == 0o644


def test_zips_are_unpacked_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file:
        info = zipfile.ZipInfo("pkg/_bin/run")
        info.external_attr = 0o755 << 16
        file.writestr(info, b"x")
        file.writestr("pkg/__init__.py", b"")
    archive.unpack(tmp_path / "a.whl", {"pkg/_bin/run": "bin/run"}, tmp_path / "into")
    assert (tmp_path / "into/bin/run").stat().st_mode & 0o111
    assert not (tmp_path / "into/pkg").exists()


def test_a_page_instead_of_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_text("<html>Please sign in to this network</html>")
    with pytest.raises(WayError, match=r"a\.tar\.gz cannot be unpacked"):
        archive.unpack(tmp_path / "a.tar.gz", {"bin/": "bin/"}, tmp_path / "into")
