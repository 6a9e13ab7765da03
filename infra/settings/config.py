"""The keys of a stack file: the kit's sections, Pulumi's own, and those of providers."""

from typing import Any

from infra.settings.document import CONFIG
from infra.settings.fields import section_at
from infra.settings.messages import Path, Problem, closest, did_you_mean
from infra.settings.origins import Tree
from infra.settings.secret import SecretRef
from infra.settings.settings import KEYS, Settings

PULUMI_KEYS = ("config", "encryptionsalt", "secretsprovider", "encryptedkey", "environment")
"""What stands at the top of a stack file; Pulumi writes all but `config` itself."""
PROVIDERS = ("aws", "kubernetes", "pulumi")
"""Namespaces of the config keys that the kit leaves to Pulumi and its providers."""

MOVED = {
    "kubernetes:context": "berth:kubernetes: {context: …}",
    "kubernetes:kubeconfig": "berth:kubernetes: {context: …}, and KUBECONFIG in the environment",
    "kubernetes:namespace": "berth:kubernetes: {namespace: …}",
}
"""Keys of providers that the kit would ignore, and what to write instead."""


def sections(file: Tree, name: str, problems: list[Problem]) -> tuple[Tree, Tree]:
    """The kit's sections of a stack file, and the config keys of providers.

    Args:
        file: The whole file.
        name: Its name, relative to the repository.
        problems: Unknown keys are added here.

    Returns:
        Two trees without `config` and `berth:`: `models` is at ("models",), `aws:region` at ("aws:region",).
    """

    def problem(path: Path, text: str) -> None:
        origin = file.origins.get(path)
        problems.append(Problem(name, origin.line if origin else 1, path[-1:], text))

    ours, theirs = Tree({}), Tree({})
    top = file.value
    if top is None:
        return ours, theirs
    if not isinstance(top, dict):
        problem((), "is not a mapping; a stack file starts with 'config:'")
        return ours, theirs
    for key in top:
        if key not in PULUMI_KEYS:
            problem((key,), _stray(key))
    config = top.get(CONFIG)
    if config is not None and not isinstance(config, dict):
        problem((CONFIG,), "is not a mapping; write the keys below it, such as berth:platform: local")
    elif isinstance(config, dict):
        ours.origins[()] = file.origins[(CONFIG,)]
        for key, value in config.items():
            if key in KEYS:
                _move(file, key, KEYS[key], value, ours)
            elif key in MOVED:
                problem((CONFIG, key), f"is not read, the kit makes its own provider; write {MOVED[key]}")
            elif key.partition(":")[0] in PROVIDERS and ":" in key:
                _move(file, key, key, value, theirs)
            else:
                problem((CONFIG, key), _unknown(key, value))
    return ours, theirs


def meant_section(key: str) -> str | None:
    """The config key that a misspelled or misplaced one is most like."""
    return closest(key, KEYS) or closest(f"berth:{key}", KEYS)


def encrypted(tree: Tree) -> list[Path]:
    """Paths of all secrets in a tree."""
    return list(_encrypted(tree.value, ()))


def _encrypted(value: Any, path: Path) -> list[Path]:
    if isinstance(value, SecretRef):
        return [path]
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in below for found in _encrypted(item, (*path, key))]


def _move(file: Tree, key: str, name: str, value: Any, into: Tree) -> None:
    into.value[name] = value
    for path, origin in file.origins.items():
        if path[:2] == (CONFIG, key):
            into.origins[(name, *path[2:])] = origin


def _stray(key: str) -> str:
    if key in KEYS or key.removeprefix("berth:") in KEYS.values():
        return "stands at the top of the file; move it under 'config:'"
    return f"is not a key of a stack file; use one of {', '.join(PULUMI_KEYS)}{did_you_mean(key, PULUMI_KEYS)}"


def _unknown(key: str, value: Any) -> str:
    section, dot, _ = key.partition(".")
    if dot and section in KEYS:
        secret = "--secret " if isinstance(value, SecretRef) else ""
        return f"was set without --path; remove the line and run: pulumi config set {secret}--path '{key}'"
    name = key.removeprefix("berth:")
    for home in Settings.model_fields:
        below = section_at(Settings, (home,))
        if below is not None and name in below.model_fields:
            return f"is not a known key; write {name} under 'berth:{home}'"
    meant = meant_section(key)
    if meant:
        return f"is not a known key; did you mean '{meant}'?"
    spaces = ", ".join(f"{space}:" for space in PROVIDERS)
    return f"is not a known key; use one of {', '.join(KEYS)}, or a provider's ({spaces})"
