"""The files of a rendered stack: one a component, an order to apply them in, and what must be there besides."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from infra.render.collect import Made
from infra.render.errors import RenderError
from infra.render.manifests import manifest, plain, unfit
from infra.render.order import rank, sorted_by_need
from infra.render.placeholders import MARK
from infra.render.readme import readme

INDEX = "kustomization.yaml"
README = "README.md"


def pages(stack: str, made: Sequence[Made]) -> dict[str, str]:
    """Content by file name. Raises RenderError where an object cannot be written without a secret or a cluster."""
    objects = [item for item in made if item.is_object and not item.type.startswith("kubernetes:helm")]
    secrets = [item for item in objects if item.inputs.get("kind") == "Secret"]
    public = [item for item in objects if item not in secrets]
    _check(public)
    tops = {item.urn: item for item in made}
    groups: dict[str, list[Made]] = defaultdict(list)
    for item in public:
        groups[_top(item, tops).urn].append(item)
    order = _group_order(groups, tops)
    files = {_file_name(tops[urn], order, tops): _content(groups[urn]) for urn in order}
    index = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
        "sortOptions": {"order": "fifo"},
    }
    others = sorted({item.type for item in made if not item.is_object and not _is_inner(item)})
    _look_for_placeholders(files)
    return {
        **files,
        INDEX: f"# In this order: what is needed by others comes first.\n{dumped(index)}",
        README: readme(stack, [plain(item.inputs) for item in sorted(secrets, key=rank)], public, others),
    }


def secret_page(made: Sequence[Made]) -> str:
    """The Secrets that the other pages leave out, in plain: for a tool that encrypts them, never for a repository."""
    found = sorted((item for item in made if item.is_object and item.inputs.get("kind") == "Secret"), key=rank)
    return "---\n".join(dumped(manifest(item)) for item in found)


def dumped(document: Mapping[str, Any]) -> str:
    """YAML with the head of an object first, the rest by name, texts of several lines as they are read."""
    head = [key for key in ("apiVersion", "kind", "metadata") if key in document]
    ordered = {key: _sorted(document[key]) for key in [*head, *sorted(document.keys() - set(head))]}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, width=2**20, allow_unicode=True)


def _check(public: Sequence[Made]) -> None:
    problems = [
        f"{item.inputs.get('kind')} {item.name}: {path} {why}; only a Secret may hold it"
        if why == "is secret"
        else f"{item.inputs.get('kind')} {item.name}: {path} {why}, so there is nothing to write"
        for item in sorted(public, key=rank)
        for path, why in unfit(item.inputs)
    ]
    if problems:
        raise RenderError("\n".join(problems))


def _look_for_placeholders(files: Mapping[str, str]) -> None:
    leaks = [name for name, content in sorted(files.items()) if MARK in content]
    if leaks:
        raise RenderError(f"a secret of the stack file would stand in {', '.join(leaks)}; only a Secret may hold it")


def _content(items: Sequence[Made]) -> str:
    by_urn = {item.urn: item for item in items}
    order = sorted_by_need(by_urn, {urn: item.needs for urn, item in by_urn.items()}, _places(by_urn))
    return "---\n".join(dumped(manifest(by_urn[urn])) for urn in order)


def _group_order(groups: Mapping[str, Sequence[Made]], tops: Mapping[str, Made]) -> list[str]:
    home = {item.urn: urn for urn, items in groups.items() for item in items}
    needs: dict[str, frozenset[str]] = {}
    for urn, items in groups.items():
        wanted = {home.get(need, need) for item in items for need in item.needs}
        needs[urn] = frozenset(wanted & groups.keys()) - {urn}
    places = {urn: min(rank(item) for item in items) for urn, items in groups.items()}
    return sorted_by_need(groups, needs, {urn: (*places[urn][:2], tops[urn].name) for urn in groups})


def _places(items: Mapping[str, Made]) -> dict[str, tuple[int, str, str]]:
    return {urn: rank(item) for urn, item in items.items()}


def _top(item: Made, known: Mapping[str, Made]) -> Made:
    """The component that a user would name, or the object itself where it is in none."""
    while item.parent in known:
        item = known[item.parent]
    return item


def _file_name(item: Made, order: Sequence[str], known: Mapping[str, Made]) -> str:
    alike = [urn for urn in order if known[urn].name == item.name]
    kind = item.type.rpartition(":")[2].lower()
    return f"{item.name}.yaml" if len(alike) == 1 else f"{item.name}-{kind}.yaml"


def _is_inner(item: Made) -> bool:
    """Components and providers: they are no things of their own in a cluster."""
    return item.type.startswith(("berth:", "pulumi:providers:"))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, lists set in."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
