"""Downloads from a real site on the loopback."""

import io
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from infra.toolchain import checksum, download
from infra.toolchain.errors import WayError
from infra.toolchain.progress import Progress

BODY = os.urandom(1_000_000)


@pytest.fixture
def progress() -> Progress:
    return Progress(io.StringIO())


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(site: Any, tmp_path: Path, progress: Progress) -> None:
    site.files["/file"] = BODY
    download.fetch(f"{site.url}/file", tmp_path / "in/file", progress)
    assert (tmp_path / "in/file").read_bytes() == BODY
    assert list((tmp_path / "in").iterdir()) == [tmp_path / "in/file"]


def test_a_broken_connection_is_taken_up_where_it_broke(site: Any, tmp_path: Path, progress: Progress) -> None:
    site.files["/file"] = BODY
    site.cut = [400_000, 100_000]
    download.fetch(f"{site.url}/file", tmp_path / "file", progress)
    assert (tmp_path / "file").read_bytes() == BODY
    assert [wanted for _, wanted in site.asked] == ["", "bytes=400000-", "bytes=500000-"]


def test_what_an_earlier_run_left_is_used(site: Any, tmp_path: Path, progress: Progress) -> None:
    site.files["/file"] = BODY
    site.cut = [300_000] + [0] * 10
    with pytest.raises(WayError, match="keeps breaking off"):
        download.fetch(f"{site.url}/file", tmp_path / "file", progress)
    assert not (tmp_path / "file").exists()
    site.cut, site.asked = [], []
    download.fetch(f"{site.url}/file", tmp_path / "file", progress)
    assert (tmp_path / "file").read_bytes() == BODY
    assert site.asked == [("/file", "bytes=300000-")]


def test_a_file_that_changed_meanwhile_is_fetched_from_the_start(site: Any, tmp_path: Path, progress: Progress) -> None:
    site.files["/file"] = BODY
    site.cut = [300_000] + [0] * 10
    with pytest.raises(WayError):
        download.fetch(f"{site.url}/file", tmp_path / "file", progress)
    site.cut = []
    site.files["/file"] = BODY[::-1]
    download.fetch(f"{site.url}/file", tmp_path / "file", progress)
    assert (tmp_path / "file").read_bytes() == BODY[::-1]


def test_the_rest_of_another_file_is_not_used(site: Any, tmp_path: Path, progress: Progress) -> None:
    site.files.update({"/old": BODY, "/new": BODY[::-1]})
    site.cut = [300_000] + [0] * 10
    with pytest.raises(WayError):
        download.fetch(f"{site.url}/old", tmp_path / "file", progress)
    site.cut = []
    download.fetch(f"{site.url}/new", tmp_path / "file", progress)
    assert (tmp_path / "file").read_bytes() == BODY[::-1]


def test_a_file_url_works(tmp_path: Path, progress: Progress) -> None:
    (tmp_path / "source").write_bytes(BODY)
    download.fetch((tmp_path / "source").as_uri(), tmp_path / "file", progress)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_site_without_the_file_is_named(site: Any, tmp_path: Path, progress: Progress) -> None:
    with pytest.raises(WayError, match=r"127\.0\.0\.1:\d+ answers 404"):
        download.fetch(f"{site.url}/file", tmp_path / "file", progress)


def test_a_closed_port_is_told_at_once(tmp_path: Path, progress: Progress) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]  # held by us, and nobody listens
        with pytest.raises(WayError, match="cannot be reached") as caught:
            download.fetch(f"http://127.0.0.1:{port}/file", tmp_path / "file", progress)
    assert "let this machine reach" in caught.value.remedy


def test_a_site_that_never_answers_is_given_up(
    tmp_path: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full backlog: the kernel drops the connection attempt, as a firewall would."""
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        started = time.monotonic()
        with pytest.raises(WayError, match="cannot be reached"):
            download.fetch(f"http://127.0.0.1:{address[1]}/file", tmp_path / "file", progress)
        assert time.monotonic() - started < 30  # the kernel alone would try for two minutes
        for one in waiting:
            one.close()


def test_vendor_lists_of_checksums(tmp_path: Path) -> None:
    (tmp_path / "tool.tgz").write_bytes(BODY)
    own = checksum.digest(tmp_path / "tool.tgz")
    listing = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{'0' * 64}  other.tgz\n{own}  tool.tgz\n"
    checksum.listed(listing, "tool.tgz").check(tmp_path / "tool.tgz")
    with pytest.raises(WayError, match=r"refused: its sha256 is"):
        checksum.listed(listing, "other.tgz").check(tmp_path / "tool.tgz")
    with pytest.raises(WayError, match=r"does not name third\.tgz"):
        checksum.listed(listing, "third.tgz")


def test_lists_of_sha512_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "tool.tgz").write_bytes(BODY)
    listing = f"{checksum.digest(tmp_path / 'tool.tgz', 'sha512')} *./dist/tool.tgz\n"
    checksum.listed(listing, "tool.tgz").check(tmp_path / "tool.tgz")
