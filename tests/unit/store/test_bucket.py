"""Staging from a bucket by the real boto3, against a bucket on this machine; and from a folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.store import RefusedError, StoreError, location, stage_source, verify_folder
from tests.fakes.bucket import FakeBucket
from tests.unit.store.hub_model import FILES, KEPT, SHARDS, stored

SOURCE = "s3://acme-weights/chat/v3"
FIRST, SECOND = (f"chat/v3/{shard}" for shard in SHARDS)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    started = FakeBucket("acme-weights", {f"chat/v3/{path}": content for path, content in FILES.items()})
    started.objects["chat/v33/config.json"] = b"another version"
    for name, value in (
        ("AWS_ENDPOINT_URL_S3", started.url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"),
    ):
        monkeypatch.setenv(name, value)
    yield started
    started.stop()


def test_a_prefix_is_stored_as_it_is_and_checked_by_what_the_bucket_keeps(bucket: FakeBucket, root: Path):
    bucket.part_bytes[FIRST] = 800_000
    bucket.with_sha256 = {SECOND}
    said: list[str] = []
    folder = stage_source(SOURCE, root, report=said.append)
    assert folder == root / location(SOURCE)
    assert stored(folder) == KEPT
    assert "no hash" not in "".join(said)
    verify_folder(folder, whole=True)


@pytest.mark.parametrize("kept", ["md5", "parts", "sha256"])
def test_a_damaged_object_is_refused_whatever_hash_the_bucket_keeps(bucket: FakeBucket, root: Path, kept: str):
    if kept == "parts":
        bucket.part_bytes[FIRST] = 1_000_000
    if kept == "sha256":
        bucket.with_sha256 = {FIRST}
    bucket.corrupt[FIRST] = 9
    # boto3 itself compares the SHA-256 of whole objects.
    with pytest.raises(StoreError, match=rf"{SHARDS[0]}: expected .*, found .*, twice|checksum"):
        stage_source(SOURCE, root)
    assert not (root / location(SOURCE)).exists()


def test_an_object_without_a_hash_is_told(bucket: FakeBucket, root: Path):
    bucket.encrypted = {FIRST}
    said: list[str] = []
    stage_source(SOURCE, root, report=said.append)
    assert f"{SHARDS[0]}: the bucket keeps no hash of it that can be checked; its size is" in said


def test_a_transfer_that_breaks_goes_on_where_it_broke(bucket: FakeBucket, root: Path):
    bucket.cut[FIRST] = 1
    with pytest.raises(StoreError):
        stage_source(SOURCE, root)
    assert stored(stage_source(SOURCE, root)) == KEPT
    assert (FIRST, "bytes=1500000-") in bucket.ranges


def test_a_version_of_a_store_may_lie_in_the_bucket_and_its_manifest_counts(bucket: FakeBucket, root: Path):
    folder = stage_source(SOURCE, root)
    copied = {f"copy/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    bucket.objects |= copied
    bucket.encrypted = set(copied)
    said: list[str] = []
    assert stored(stage_source("s3://acme-weights/copy", root, report=said.append)) == KEPT
    assert "no hash" not in "".join(said)
    changed = bytes([copied[f"copy/{SHARDS[0]}"][0] ^ 1]) + copied[f"copy/{SHARDS[0]}"][1:]
    bucket.objects |= {key.replace("copy/", "bad/"): content for key, content in copied.items()}
    bucket.objects[f"bad/{SHARDS[0]}"] = changed
    with pytest.raises(StoreError, match=f"{SHARDS[0]}: expected sha256"):
        stage_source("s3://acme-weights/bad", root)
    del bucket.objects[f"bad/{SHARDS[0]}"]
    with pytest.raises(RefusedError, match=f"lacks {SHARDS[0]}, which its manifest.json names"):
        stage_source("s3://acme-weights/bad", root)


def test_a_prefix_that_was_written_again_is_refused(bucket: FakeBucket, root: Path):
    stage_source(SOURCE, root)
    stage_source(SOURCE, root)
    bucket.objects[FIRST] = b"other weights"
    with pytest.raises(RefusedError, match=r"was written again since it was staged .* under another name"):
        stage_source(SOURCE, root)
    assert stored(root / location(SOURCE)) == KEPT


def test_who_may_not_read_is_told_which_rights_are_missing(bucket: FakeBucket, root: Path):
    bucket.denied = True
    with pytest.raises(RefusedError, match=r"403 \(AccessDenied\).* s3:ListBucket .* s3:GetObject below chat/v3/"):
        stage_source(SOURCE, root)


def test_a_bucket_or_prefix_that_is_not_there_is_refused(bucket: FakeBucket, root: Path):
    with pytest.raises(RefusedError, match="404"):
        stage_source("s3://other/chat", root)
    with pytest.raises(RefusedError, match="holds no files"):
        stage_source("s3://acme-weights/nothing", root)


def test_a_folder_is_copied_and_must_stay_as_it_is(root: Path, tmp_path: Path):
    source = tmp_path / "weights"
    for path, content in FILES.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    assert stored(stage_source(f"file://{source}", root)) == KEPT
    moved = Path(shutil.copytree(source, tmp_path / "again"))
    shutil.rmtree(source)
    moved.rename(source)
    stage_source(f"file://{source}", root)
    (source / "config.json").write_text("{}")
    with pytest.raises(RefusedError, match="written again"):
        stage_source(f"file://{source}", root)
    with pytest.raises(RefusedError, match="no such folder"):
        stage_source("file:///nowhere/at/all", root)
