"""A commit on the Hugging Face hub."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils.tqdm import disable_progress_bars

from serving.store.errors import RefusedError, StoreError
from serving.store.location import Hub
from serving.store.plain.checksums import Checksum, Kind
from serving.store.plain.origin import Remote

TOKEN_SETTING = "berth:kubernetes.hub_token"  # noqa: S105 - the name of a setting
_CLIENT_FOLDER = ".cache"
"""Where the hub's client keeps what it is at; gone before the folder gets its name."""
_SECONDS = 30
"""Until the hub's first answer."""


class HubOrigin:
    """Files by the hub's own client, checked by the hashes of its listing.

    The client keeps whole files over interruptions and takes up broken connections where they broke; a file that was
    being transferred when the process was killed begins anew.
    """

    mutable = False

    def __init__(self, source: str, hub: Hub, report: Callable[[str], None]) -> None:
        disable_progress_bars()
        # Its warnings quote addresses, which are signed.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        # Some builds keep up to 10 GB of what was transferred in the home folder, here a small temporary one.
        os.environ.setdefault("HF_XET_CHUNK_CACHE_SIZE_BYTES", "0")
        self._source, self._hub = source, hub
        self._endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        self._token = token()
        report(f"{source} from {self._endpoint}, {'with a token' if self._token else 'without a token'}")

    def files(self) -> list[Remote]:
        """The listing, with the sizes and hashes that the hub has of each file."""
        api = HfApi(endpoint=self._endpoint, token=self._token or False)
        with self._explained():
            info = api.model_info(self._hub.name, revision=self._hub.commit, files_metadata=True, timeout=_SECONDS)
        if info.sha != self._hub.commit:
            raise RefusedError(f"{self._source}: the hub answers with commit {info.sha}")
        found = []
        for sibling in info.siblings or []:
            if sibling.lfs is not None:
                checksum = Checksum(Kind.SHA256, sibling.lfs.sha256)
            elif sibling.blob_id is not None:
                checksum = Checksum(Kind.GIT, sibling.blob_id)
            else:
                raise StoreError(f"{self._source}: the hub gives no hash for {sibling.rfilename}")
            found.append(Remote(sibling.rfilename, int(sibling.size or 0), checksum, checksum.value))
        return found

    def detailed(self, file: Remote) -> Remote:
        """As it is: the listing has everything."""
        return file

    def fetch(self, file: Remote, folder: Path) -> None:
        """By `hf_hub_download`, which leaves alone what is there."""
        with self._explained():
            hf_hub_download(
                self._hub.name,
                file.path,
                revision=self._hub.commit,
                local_dir=folder,
                cache_dir=folder / _CLIENT_FOLDER / "none",  # else a copy elsewhere on the machine would do
                endpoint=self._endpoint,
                token=self._token or False,
                etag_timeout=_SECONDS,
            )

    def tidy(self, folder: Path) -> None:
        """Transfers that ended halfway, as the client begins each under a new name; its locks, which are files by
        themselves on volumes without locks."""
        for pattern in ("*.incomplete", "*.lock"):
            for path in (folder / _CLIENT_FOLDER).rglob(pattern):
                path.unlink()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """The client's errors become the store's. Their texts stay out: they quote requests."""
        try:
            yield
        except HfHubHTTPError as error:
            raise self._answered(error) from None
        except LocalEntryNotFoundError as error:
            cause = error.__cause__
            if isinstance(cause, HfHubHTTPError):
                raise self._answered(cause) from None
            raise self._broken(error) from None
        except httpx2.HTTPError as error:
            raise self._broken(error) from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._broken(error) from None  # a file of another size than announced

    def _broken(self, error: BaseException) -> StoreError:
        kind = type(error.__cause__ or error).__name__
        return StoreError(
            f"{self._source}: the hub {self._endpoint} cannot be reached, or a transfer broke ({kind}); "
            "staging again goes on where this one ended"
        )

    def _answered(self, error: HfHubHTTPError) -> StoreError:
        status = error.response.status_code
        denied = isinstance(error, GatedRepoError | RepositoryNotFoundError) or status in (401, 403)
        if denied:
            return RefusedError(f"{self._source}: the hub answers {status}: {self._way_in()}")
        if status == 404:
            return RefusedError(
                f"{self._source}: the hub answers 404: there is no such commit, or no longer; "
                "the model's page on the hub lists its commits under 'Files'"
            )
        return StoreError(f"{self._source}: the hub answers {status}; staging again goes on where this one ended")

    def _way_in(self) -> str:
        what = "the model is private or behind a licence, or there is none of this name. "
        if self._token:
            return what + (
                f"The token of {TOKEN_SETTING} may not read it: accept the model's licence on the hub with the "
                f"account of the token, or store another: pulumi config set --secret --path {TOKEN_SETTING}"
            )
        return what + (
            "Accept its licence on the hub, then store a token that may read it: "
            f"pulumi config set --secret --path {TOKEN_SETTING} (for this command alone: in a file, and "
            "HF_TOKEN_PATH names the file)"
        )


def token() -> str | None:
    """From the file that HF_TOKEN_PATH names and nowhere else: arguments and variables are seen by others."""
    path = os.environ.get("HF_TOKEN_PATH")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except OSError as error:
        raise StoreError(f"HF_TOKEN_PATH names {path}, which cannot be read: {error.strerror}") from None
