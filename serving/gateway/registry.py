"""Who serves a model right now: endpoint files that Envoy follows, changed in place while streams run.

The set is a file, so it survives a restart of the gateway, and the last good set stays when whoever writes it is gone.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.gateway.atomic import write_json
from serving.gateway.endpoints import Backend, assignment, read
from serving.gateway.envoy import discovery
from serving.gateway.rules import NAME

KIND = "config.endpoint.v3.ClusterLoadAssignment"


class RegistryError(RuntimeError):
    """A change that the registry refuses."""


class Registry:
    """The backends of the gateway whose files lie in `directory`. Safe for several processes at once."""

    def __init__(self, directory: Path, targets: Path | None = None) -> None:
        """`targets`: a folder for Prometheus's file discovery (one <model>.json each), None for none."""
        self._eds = directory / "eds"
        self._targets = targets

    def path(self, model: str) -> Path:
        """The endpoint file of a model."""
        if not NAME.fullmatch(model):
            raise RegistryError(f"{model!r} is not a model's name: 1 to 64 of a-z, 0-9, '-', '.'")
        return self._eds / f"{model}.json"

    def backends(self, model: str) -> list[Backend]:
        """The model's backends by replica name; none when the model is not known."""
        path = self.path(model)
        if not path.exists():
            return []
        try:
            return read(json.loads(path.read_text(encoding="utf-8"))["resources"][0])
        except (ValueError, LookupError) as error:
            raise RegistryError(
                f"{path} is not an endpoint file ({error}); remove it and let the replicas join again"
            ) from error

    def open(self, model: str) -> None:
        """Makes sure that the model has an endpoint file: Envoy waits for one, and an empty one is an answer."""
        with self._locked():
            if not self.path(model).exists():
                self._write(model, [])

    def add(self, model: str, backend: Backend) -> None:
        """The replica takes requests from now on (once its health check passes); replaces one of the same name."""
        with self._locked():
            others = [b for b in self.backends(model) if b.replica != backend.replica]
            for other in others:
                if (other.address, other.port) == (backend.address, backend.port):
                    raise RegistryError(
                        f"{model}: {backend.replica} wants {backend.address}:{backend.port}, where {other.replica} is; "
                        "remove that one first, or give this one another port"
                    )
            self._write(model, [*others, backend])

    def remove(self, model: str, replica: str, *, force: bool = False) -> None:
        """The replica gets no new requests; its open ones go on. Unknown replicas are fine.

        The last one is kept unless `force`: an empty set is more often a mistake of the writer than a wish.
        """
        with self._locked():
            before = self.backends(model)
            after = [b for b in before if b.replica != replica]
            if len(after) == len(before):
                return
            if not after and not force:
                raise RegistryError(
                    f"{model}: {replica} is the last backend; removing it would refuse every request. "
                    "Add another one first, or say force=True"
                )
            self._write(model, after)

    def replace(self, model: str, backends: list[Backend], *, force: bool = False) -> None:
        """Sets all backends at once. An empty set in place of one that is not needs `force`."""
        with self._locked():
            if not backends and self.backends(model) and not force:
                raise RegistryError(
                    f"{model}: an empty set in place of {len(self.backends(model))} backends needs force=True"
                )
            self._write(model, backends)

    def forget(self, model: str) -> None:
        """Removes the model's files; the gateway must not have it any more."""
        with self._locked():
            self.path(model).unlink(missing_ok=True)
            if self._targets:
                (self._targets / f"{model}.json").unlink(missing_ok=True)

    def _write(self, model: str, backends: list[Backend]) -> None:
        write_json(self.path(model), discovery(KIND, [assignment(model, backends)]))
        if self._targets:
            groups = [
                {"targets": [f"{b.address}:{b.port}"], "labels": {"model": model, "replica": b.replica}}
                for b in sorted(backends, key=lambda b: b.replica)
            ]
            write_json(self._targets / f"{model}.json", groups)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._eds.mkdir(parents=True, exist_ok=True)
        with (self._eds / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
