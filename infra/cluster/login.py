"""Who asks: the credentials of a kubeconfig's user, as headers or as a client certificate."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.cluster.errors import AccessError
from infra.cluster.kubeconfig import Target, inline_or_file, read_file

COMMAND_SECONDS = 60.0
"""What a login command may take; some of them ask a cloud."""
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclass(frozen=True, slots=True)
class Login:
    """What every request carries. Its text never shows it."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    certificate: str = field(default="", repr=False)
    """PEM; empty without one."""
    key: str = field(default="", repr=False)
    """PEM."""


def login(target: Target, environment: Mapping[str, str] = os.environ) -> Login:
    """Of a context's user; runs its login command where it has one. Raises AccessError with what is missing."""
    user = target.user
    if user.get("auth-provider"):
        rule = "auth-provider was removed from Kubernetes 1.26; use its login command (exec)"
        raise AccessError(f"kubeconfig: user '{target.user_name}': {rule}")
    headers = _impersonation(user)
    certificate, key = inline_or_file(user, "client-certificate"), inline_or_file(user, "client-key")
    token = str(user.get("token") or "")
    if path := user.get("tokenFile"):
        token = read_file(Path(str(path)), "tokenFile").strip()
    if user.get("exec") and not token and not certificate:
        status = _run(target, user["exec"], environment)
        token = str(status.get("token") or "")
        certificate = str(status.get("clientCertificateData") or "")
        key = str(status.get("clientKeyData") or "")
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    elif user.get("username"):
        pair = f"{user['username']}:{user.get('password') or ''}"
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    return Login(tuple(headers), certificate, key)


def _impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    single = [
        (f"Impersonate-{name}", str(user[key])) for name, key in (("User", "as"), ("Uid", "as-uid")) if user.get(key)
    ]
    groups = [("Impersonate-Group", str(group)) for group in user.get("as-groups") or []]
    more = [
        (f"Impersonate-Extra-{name}", str(value))
        for name, values in (user.get("as-user-extra") or {}).items()
        for value in values
    ]
    return single + groups + more


def _run(target: Target, command: Mapping[str, Any], environment: Mapping[str, str]) -> Mapping[str, Any]:
    """The credential that a login command prints (Kubernetes, "client-go credential plugins")."""
    who = f"kubeconfig: user '{target.user_name}': login command {command.get('command')}"
    version = str(command.get("apiVersion") or "")
    if version not in _VERSIONS:
        raise AccessError(f"{who}: apiVersion {version or 'is missing'}; use one of {', '.join(_VERSIONS)}")
    spec: dict[str, Any] = {"interactive": False}
    if command.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(target)
    variables = {str(pair["name"]): str(pair["value"]) for pair in command.get("env") or []}
    info = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
    program = str(command.get("command") or "")
    if "/" in program:
        program = str(target.folder / program)
    try:
        done = subprocess.run(
            [program, *map(str, command.get("args") or [])],
            env={**environment, **variables, "KUBERNETES_EXEC_INFO": info},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        hint = str(command.get("installHint") or "install it, or log in another way").strip()
        raise AccessError(f"{who}: is not installed here; {hint}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccessError(f"{who}: {error}") from None
    if done.returncode:
        raise AccessError(f"{who}: failed with status {done.returncode}: {done.stderr.strip()[-500:]}")
    status = _status(done.stdout)
    if status is None:
        # What it printed may be half a credential: it is not shown.
        raise AccessError(f"{who}: printed no ExecCredential with a status")
    return status


def _status(printed: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(printed)
    except ValueError:
        return None
    status = document.get("status") if isinstance(document, dict) else None
    return status if isinstance(status, dict) else None


def _cluster_info(target: Target) -> dict[str, Any]:
    info: dict[str, Any] = {"server": target.server}
    if target.authority:
        info["certificate-authority-data"] = base64.b64encode(target.authority.encode()).decode()
    for name in ("insecure-skip-tls-verify", "tls-server-name", "proxy-url"):
        if name in target.cluster:
            info[name] = target.cluster[name]
    for extension in target.cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info
