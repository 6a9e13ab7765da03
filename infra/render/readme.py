"""What stands beside rendered manifests: what they need that they do not hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.render.collect import Made

_OWN = (
    "v1",
    "apps/v1",
    "autoscaling/v2",
    "batch/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "scheduling.k8s.io/v1",
    "rbac.authorization.k8s.io/v1",
)
"""Kubernetes' own groups."""


def readme(stack: str, secrets: Sequence[Mapping[str, Any]], public: Sequence[Made], others: Sequence[str]) -> str:
    """Markdown."""
    lines = [
        f"# Stack {stack} as manifests",
        "",
        f"Written by `make render STACK={stack}`; edit the stack file, not these. Nothing in here is secret.",
        "",
        f"    kubectl --context CONTEXT apply -k build/render/{stack}",
        "",
        "or point Argo CD or Flux at this folder. `kustomization.yaml` holds the order.",
    ]
    if secrets:
        lines += ["", "## Secrets that must be there", ""]
        lines += ["They are left out. Whoever may decrypt the stack's config prints them for a tool that seals them:"]
        lines += ["", f"    SECRETS=1 make --silent render STACK={stack} | kubeseal --format yaml > sealed.yaml", ""]
        lines += ["Keys that the kit makes by itself are new each time, so seal them together.", ""]
        lines += ["| Secret | namespace | type | keys |", "|---|---|---|---|"]
        lines += [_secret_row(item) for item in secrets]
    foreign = sorted({str(item.inputs["apiVersion"]) for item in public} - set(_OWN))
    if foreign:
        lines += ["", "## Kinds that must have been installed", "", *(f"- `{version}`" for version in foreign)]
    if scaled := sorted(item.name for item in public if "spec.replicas" in item.ignored):
        whose = f"A scaler owns those of {', '.join(scaled)}, so these manifests do not name a number:"
        lines += ["", "## Replicas", "", f"{whose} a tool that applies them again and again leaves it alone."]
    if any(item.inputs.get("kind") == "Job" for item in public):
        what = "Jobs stage the weights. Unlike `up`, nothing here waits for them: at first servers refuse to start, and"
        lines += ["", "## Weights", "", f"{what} are tried again by Kubernetes until the weights are whole."]
    if others:
        lines += ["", "## Not rendered", "", *(f"- `{item}`, which is not an object of Kubernetes" for item in others)]
    return "\n".join(lines) + "\n"


def _secret_row(item: Mapping[str, Any]) -> str:
    keys = sorted({**(item.get("data") or {}), **(item.get("stringData") or {})})
    metadata = item["metadata"]
    shown = ", ".join(f"`{key}`" for key in keys)
    return f"| `{metadata['name']}` | `{metadata.get('namespace', '')}` | {item.get('type', 'Opaque')} | {shown} |"
