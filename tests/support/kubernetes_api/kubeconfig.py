"""Kubeconfig files: the part that says where an API server is and who asks."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class KubeconfigError(Exception):
    """A kubeconfig that names no cluster to talk to; the message says which name it lacks."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one cluster as one user."""

    server: str
    """URL, `https://host:port`."""
    ca_pem: str
    """Certificate of the authority that signed the server's; empty: the system's authorities."""
    token: str
    namespace: str
    """The context's namespace; empty when it names none."""


def ambient(environment: Mapping[str, str] = os.environ) -> str:
    """Text of the kubeconfig that `kubectl` would use: the first file of `$KUBECONFIG`, else `~/.kube/config`."""
    named = environment.get("KUBECONFIG", "").split(os.pathsep)[0]
    path = Path(named) if named else Path.home() / ".kube/config"
    try:
        return path.read_text()
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {path}: {error.strerror}") from error


def read(text_or_path: str) -> dict[str, Any]:
    """The document; what is no mapping is taken for the path of a file that holds one."""
    document = yaml.safe_load(text_or_path) if text_or_path else {}
    if isinstance(document, str):
        try:
            document = yaml.safe_load(Path(document).read_text())
        except OSError as error:
            raise KubeconfigError(f"kubeconfig {document}: {error.strerror}") from error
    if not isinstance(document, dict):
        raise KubeconfigError("kubeconfig: is no mapping")
    return document


def access(document: Mapping[str, Any], context: str = "", cluster: str = "") -> Access:
    """What a context (the current one unless named) leads to. Raises KubeconfigError for a name that is not there."""
    context = context or document.get("current-context") or ""
    chosen = _named(document, "contexts", "context", context)
    place = _named(document, "clusters", "cluster", cluster or chosen.get("cluster", ""))
    user = _named(document, "users", "user", chosen.get("user", "")) if chosen.get("user") else {}
    unknown = user.keys() - {"token"}
    if unknown:
        raise KubeconfigError(f"user {chosen['user']}: only tokens are understood here, not {', '.join(unknown)}")
    ca = place.get("certificate-authority-data", "")
    return Access(
        server=str(place.get("server", "")).rstrip("/"),
        ca_pem=base64.b64decode(ca).decode() if ca else "",
        token=user.get("token", ""),
        namespace=chosen.get("namespace", ""),
    )


def write(path: Path, context: str, user: str, to: Access) -> None:
    """A kubeconfig with one context, readable by its owner alone."""
    cluster = {"server": to.server, "certificate-authority-data": base64.b64encode(to.ca_pem.encode()).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": to.token}}],
        "contexts": [
            {"name": context, "context": {"cluster": context, "user": user, "namespace": to.namespace or "default"}}
        ],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document))


def _named(document: Mapping[str, Any], many: str, one: str, name: str) -> dict[str, Any]:
    entries = {entry["name"]: entry.get(one) or {} for entry in document.get(many) or []}
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise KubeconfigError(f'{one} "{name}" does not exist in the kubeconfig; there are: {known}')
    return dict(entries[name])
