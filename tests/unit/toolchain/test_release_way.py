"""Official releases: what is accepted, what is refused, and what comes next."""

import hashlib
import re
from typing import Any

import pytest

from infra.toolchain import ToolchainError
from infra.toolchain.errors import WayError
from infra.toolchain.ways.release import Release


def test_a_pinned_release_is_unpacked_and_run(bench: Any, vendor: Any) -> None:
    path = bench.part(vendor.way(vendor.release())).toolchain.ensure("tool")
    assert path.read_bytes().startswith(b"#!/bin/sh")
    assert sorted(file.name for file in path.parent.parent.rglob("*") if file.is_file()) == ["berth-part.json", "tool"]
    assert "checked: pinned sha256" in bench.said
    assert not (bench.cache.root / "downloads/tool").exists()
    assert list((bench.cache.root / "staging").iterdir()) == []


def test_a_wrong_checksum_is_refused_and_the_file_thrown_away(bench: Any, vendor: Any) -> None:
    vendor.release()
    bench.part(vendor.way("0" * 64))
    with pytest.raises(ToolchainError, match=r"tool\.tar\.gz is refused: its sha256 is [0-9a-f]{64}, expected 0{64}"):
        bench.toolchain.ensure("tool")
    assert not list(bench.cache.root.rglob("tool*.gz"))
    assert not (bench.cache.root / "parts").exists()


def test_after_a_refusal_the_next_way_is_tried(bench: Any, vendor: Any) -> None:
    right = vendor.release()
    bench.part(vendor.way("0" * 64), vendor.way(right))
    assert bench.toolchain.ensure("tool").exists()
    assert re.search("is refused.*\n.*official release.*\n.*is there", bench.said)


def test_without_a_pin_the_vendors_list_decides_and_that_is_said(bench: Any, vendor: Any) -> None:
    own = vendor.release()
    bench.part(vendor.way())
    vendor.site.files["/SUMS"] = f"{'0' * 64}  other.tar.gz\n{own}  tool.tar.gz\n".encode()
    bench.toolchain.ensure("tool")
    assert bench.toolchain.find("tool").checked == "the vendor's list of checksums (none pinned)"


def test_a_release_that_the_vendors_list_does_not_name_is_not_fetched(bench: Any, vendor: Any) -> None:
    vendor.release()
    bench.part(vendor.way())
    vendor.site.files["/SUMS"] = f"{'0' * 64}  other.tar.gz\n".encode()
    with pytest.raises(ToolchainError, match=r"does not name tool\.tar\.gz"):
        bench.toolchain.ensure("tool")
    assert [path for path, _ in vendor.site.asked] == ["/SUMS"]


def test_a_release_that_is_another_version_than_it_says_is_refused(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release("9.9.9"), takes={"tool-9.9.9/tool": "bin/tool"}))
    with pytest.raises(ToolchainError, match=r"it is 9\.9\.9, wanted ==1\.2\.3"):
        bench.toolchain.ensure("tool")


def test_an_archive_without_the_program_is_refused(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(), takes={"tool-{version}/other": "bin/tool"}))
    with pytest.raises(ToolchainError, match=r"tool\.tar\.gz does not hold tool-1\.2\.3/other"):
        bench.toolchain.ensure("tool")


def test_a_folder_of_an_archive_can_be_taken(bench: Any, vendor: Any) -> None:
    bench.part(vendor.way(vendor.release(), takes={"tool-{version}/": "bin/"}))
    path = bench.toolchain.ensure("tool")
    assert (path.parent / "doc/read.me").read_bytes() == b"read me"


def test_a_release_that_is_the_program_itself(bench: Any, vendor: Any) -> None:
    body = b"#!/bin/sh\necho 1.2.3\n"
    vendor.site.files["/tool-1.2.3-x"] = body
    platforms = dict.fromkeys(("linux-x86_64", "linux-arm64", "darwin-arm64", "darwin-x86_64"), "x")
    way = vendor.way(
        hashlib.sha256(body).hexdigest(),
        url=f"{vendor.site.url}/tool-{{version}}-{{platform}}",
        platforms=platforms,
        takes={"tool-{version}-{platform}": "bin/tool"},
    )
    assert bench.part(way).toolchain.ensure("tool").read_bytes() == body


def test_a_machine_without_a_release_is_said_to_be_one(vendor: Any) -> None:
    from infra.toolchain.fields import Fields

    way = Release.read(Fields("here", {key: value for key, value in _way(vendor).items() if key != "way"}))
    with pytest.raises(WayError, match="there is no release for plan9-mips"):
        way.require("plan9-mips")


def _way(vendor: Any) -> dict[str, Any]:
    return {"usually": "a moment", **vendor.way("0" * 64)}
