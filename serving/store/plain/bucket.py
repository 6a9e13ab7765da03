"""Files below a prefix of an S3 bucket."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from serving.store.errors import RefusedError, StoreError
from serving.store.location import Bucket
from serving.store.manifest import FILE_NAME
from serving.store.plain.checksums import Checksum, Kind
from serving.store.plain.origin import Remote
from serving.store.plain.record import Record

_PARTS_FOLDER = ".cache/parts"
_READ_BYTES = 2**20
_LARGEST_MANIFEST = 2**24


class BucketOrigin:
    """Files by boto3. Interrupted transfers go on at the byte where they ended.

    Checksums, the best there is: a manifest of a store in the bucket (a version copied there as it lies), the SHA-256
    that the bucket keeps of whole objects, the ETag where it is an MD5 of the object or of its parts. Else only the
    size can be checked, and that is said.
    """

    mutable = True

    def __init__(self, source: str, bucket: Bucket, report: Callable[[str], None]) -> None:
        self._source, self._bucket, self._report = source, bucket, report
        settings = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=16, read_timeout=60)
        self._client: Any = boto3.client("s3", config=settings)
        self._record: Record | None = None

    def files(self) -> list[Remote]:
        """The listing; with the hashes of the manifest where there is one."""
        start = f"{self._bucket.prefix}/"
        found = []
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket.bucket, Prefix=start)
            for page in pages:
                for item in page.get("Contents", []):
                    path = item["Key"].removeprefix(start)
                    if path and not path.endswith("/"):
                        found.append(Remote(path, int(item["Size"]), None, item["ETag"].strip('"')))
        manifest = next((file for file in found if file.path == FILE_NAME), None)
        if manifest is None:
            return found
        return self._recorded(manifest, [file for file in found if file is not manifest])

    def detailed(self, file: Remote) -> Remote:
        """With the checksum that the bucket keeps."""
        if file.checksum is not None:
            return file
        with self._explained():
            head = self._client.head_object(**self._key(file), ChecksumMode="ENABLED")
            checksum = self._checksum(file, head)
        if checksum is None:
            self._report(f"{file.path}: the bucket keeps no hash of it that can be checked; its size is")
        return replace(file, checksum=checksum)

    def tidy(self, folder: Path) -> None:
        """Nothing: parts are taken up again."""

    def fetch(self, file: Remote, folder: Path) -> None:
        """By ranges, appended to a part that is named by the object's state."""
        target = folder / file.path
        if target.exists():
            return
        part = folder / _PARTS_FOLDER / f"{file.path}.{file.state}"
        part.parent.mkdir(parents=True, exist_ok=True)
        with self._explained(), part.open("ab") as opened:
            at = opened.tell()
            if at < file.bytes:
                ranged = {"Range": f"bytes={at}-"} if at else {}
                answer = self._client.get_object(**self._key(file), IfMatch=file.state, **ranged)
                for chunk in answer["Body"].iter_chunks(_READ_BYTES):
                    opened.write(chunk)
        found = part.stat().st_size
        if found != file.bytes:
            part.unlink()
            raise StoreError(f"{self._source}: {file.path}: expected {file.bytes} bytes, found {found}")
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)

    def _key(self, file: Remote) -> dict[str, str]:
        return {"Bucket": self._bucket.bucket, "Key": f"{self._bucket.prefix}/{file.path}"}

    def _recorded(self, manifest: Remote, files: list[Remote]) -> list[Remote]:
        where = f"{self._source}/{FILE_NAME}"
        if manifest.bytes > _LARGEST_MANIFEST:
            raise RefusedError(f"{where} is too large for a manifest of a store")
        with self._explained():
            text = self._client.get_object(**self._key(manifest), IfMatch=manifest.state)["Body"].read()
        try:
            record = Record.parse(text.decode("utf-8", "replace"), where)
        except StoreError as error:
            raise RefusedError(f"{error}. Copy a version of a store as it lies, or remove the file") from None
        by_path = {file.path: file for file in files}
        missing = [path for path in record.files if path not in by_path]
        if missing:
            raise RefusedError(f"{self._source} lacks {', '.join(missing)}, which its {FILE_NAME} names")
        return [
            replace(by_path[path], checksum=Checksum(Kind.SHA256, stored.sha256))
            for path, stored in record.files.items()
        ]

    def _checksum(self, file: Remote, head: Any) -> Checksum | None:
        kept = head.get("ChecksumSHA256")
        if kept and "-" not in kept and head.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            return Checksum(Kind.SHA256, base64.b64decode(kept).hex())
        # With a key of one's own the ETag is no hash of the content.
        if head.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in head:
            return None
        digest, separator, _parts = file.state.partition("-")
        if len(digest) != 32 or set(digest) - set("0123456789abcdef"):
            return None
        if not separator:
            return Checksum(Kind.MD5, digest)
        first = self._client.head_object(**self._key(file), PartNumber=1)
        return Checksum(Kind.PARTS, file.state, int(first["ContentLength"]))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._answered(error) from None
        except BotoCoreError as error:
            raise StoreError(f"{self._source}: {error}") from None

    def _answered(self, error: Any) -> StoreError:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = error.response.get("Error", {}).get("Code", "")
        if status == 412:
            return RefusedError(f"{self._source} was written again while it was staged; a prefix is written once")
        if status == 403:
            return RefusedError(
                f"{self._source}: the bucket answers 403 ({code}); the pod's account needs s3:ListBucket on the bucket "
                f"and s3:GetObject below {self._bucket.prefix}/"
            )
        if status == 404:
            return RefusedError(f"{self._source}: the bucket answers 404 ({code}); bucket or file does not exist")
        return StoreError(f"{self._source}: the bucket answers {status} ({code})")
