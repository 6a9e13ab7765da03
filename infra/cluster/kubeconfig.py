"""Kubeconfig files, merged as `kubectl` merges them; the way to the server behind a context.

Source of the rules: Kubernetes, "Organizing Cluster Access Using kubeconfig Files", and client-go's clientcmd.
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.cluster.errors import AccessError

_PARTS = {"contexts": "context", "clusters": "cluster", "users": "user"}
_FILES = {"clusters": ("certificate-authority",), "users": ("client-certificate", "client-key", "tokenFile")}
"""Fields that hold paths, which start at the folder of their file."""


@dataclass(frozen=True, slots=True)
class Target:
    """A context, followed: fields of its cluster and of its user as the kubeconfig has them, paths made whole."""

    context: str
    cluster_name: str
    user_name: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    folder: Path
    """Of the file that the user stands in; commands with a slash in them start there."""

    @property
    def server(self) -> str:
        """URL without a slash at its end."""
        return str(self.cluster.get("server") or "").rstrip("/")

    @property
    def authority(self) -> str:
        """PEM of the authorities that sign the server's certificate; empty for the system's own."""
        return inline_or_file(self.cluster, "certificate-authority")


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """All contexts that can be named."""

    files: tuple[Path, ...]
    """Those that were read; later ones only add names."""
    looked_for: tuple[Path, ...]
    contexts: Mapping[str, Mapping[str, Any]]
    clusters: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]
    folders: Mapping[str, Path]
    """Of the file that a user stands in."""

    @classmethod
    def load(cls, environment: Mapping[str, str] = os.environ) -> "Kubeconfig":
        """The files of `$KUBECONFIG`, else `~/.kube/config`; files that are not there count as empty.

        Raises AccessError for a file that is not a kubeconfig.
        """
        named = [entry for entry in environment.get("KUBECONFIG", "").split(os.pathsep) if entry]
        paths = [Path(entry).expanduser() for entry in named] or [Path.home() / ".kube/config"]
        found: dict[str, dict[str, Mapping[str, Any]]] = {part: {} for part in _PARTS}
        folders: dict[str, Path] = {}
        read = []
        for path in paths:
            document = _document(path)
            if document is None:
                continue
            read.append(path)
            folder = path.absolute().parent
            for part, one in _PARTS.items():
                for name, fields in _entries(path, document, part, one):
                    if name not in found[part]:
                        found[part][name] = _whole(fields, part, folder)
                        if part == "users":
                            folders[name] = folder
        return cls(tuple(read), tuple(paths), found["contexts"], found["clusters"], found["users"], folders)

    @property
    def place(self) -> str:
        """The files, for a message."""
        return os.pathsep.join(map(str, self.files or self.looked_for))

    def target(self, context: str) -> Target:
        """Where a context leads; the current one is never read. Raises AccessError for a name that is not there."""
        chosen = _named(self, "context", self.contexts, context)
        cluster, user = str(chosen.get("cluster") or ""), str(chosen.get("user") or "")
        place = _named(self, "cluster", self.clusters, cluster)
        login = _named(self, "user", self.users, user) if user else {}
        target = Target(context, cluster, user, place, login, self.folders.get(user, Path.cwd()))
        if not target.server.startswith(("https://", "http://")):
            raise AccessError(f"kubeconfig {self.place}: cluster '{cluster}' has no server, such as https://host:6443")
        return target


def inline_or_file(fields: Mapping[str, Any], name: str) -> str:
    """PEM of a field that is given as `NAME-data` (base64) or as the path `NAME`; empty where neither is there."""
    if data := fields.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=False).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise AccessError(f"kubeconfig: {name}-data is not base64 of a PEM file: {error}") from error
    path = fields.get(name)
    return read_file(Path(str(path)), name) if path else ""


def read_file(path: Path, what: str) -> str:
    """A file that a kubeconfig speaks of."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"kubeconfig: {what} {path}: {getattr(error, 'strerror', None) or error}") from error


def _document(path: Path) -> Mapping[str, Any] | None:
    try:
        content = path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(f"kubeconfig {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        # Its own message quotes the line, and with it perhaps a token.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise AccessError(f"kubeconfig {path}: is not YAML{where}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise AccessError(f"kubeconfig {path}: is not a mapping")
    return document


def _entries(path: Path, document: Mapping[str, Any], part: str, one: str) -> list[tuple[str, Mapping[str, Any]]]:
    entries = document.get(part) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
        raise AccessError(f"kubeconfig {path}: {part} is not a list of entries with names")
    return [(str(entry["name"]), entry.get(one) or {}) for entry in entries]


def _whole(fields: Mapping[str, Any], part: str, folder: Path) -> Mapping[str, Any]:
    paths = {name: str(folder / str(fields[name])) for name in _FILES.get(part, ()) if fields.get(name)}
    return {**fields, **paths}


def _named(kubeconfig: Kubeconfig, what: str, known: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise AccessError(f"kubeconfig {kubeconfig.place}: has no {what} '{name}'; there are: {there}")
    return known[name]
