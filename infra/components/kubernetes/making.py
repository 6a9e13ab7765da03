"""Manifests become resources."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

_TYPED = {
    ("apps/v1", "Deployment"): k8s.apps.v1.Deployment,
    ("networking.k8s.io/v1", "NetworkPolicy"): k8s.networking.v1.NetworkPolicy,
    ("policy/v1", "PodDisruptionBudget"): k8s.policy.v1.PodDisruptionBudget,
    ("scheduling.k8s.io/v1", "PriorityClass"): k8s.scheduling.v1.PriorityClass,
    ("v1", "LimitRange"): k8s.core.v1.LimitRange,
    ("v1", "Namespace"): k8s.core.v1.Namespace,
    ("v1", "ResourceQuota"): k8s.core.v1.ResourceQuota,
    ("v1", "Service"): k8s.core.v1.Service,
    ("v1", "ServiceAccount"): k8s.core.v1.ServiceAccount,
}
_SPELLED = {
    "apiVersion": "api_version",
    "automountServiceAccountToken": "automount_service_account_token",
    "globalDefault": "global_default",
    "preemptionPolicy": "preemption_policy",
}


def child_of(component: pulumi.Resource, opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Options of a component's children: what the whole component waits for (`opts`) holds for each of them.

    The engine itself passes on nothing of it.
    """
    return pulumi.ResourceOptions(parent=component, depends_on=(opts.depends_on if opts else None) or [])


def make(name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """The resource `name` of a manifest: typed where the kind is one of Kubernetes' own."""
    fields = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    typed: Any = _TYPED.get((manifest["apiVersion"], manifest["kind"]))
    if typed is None:
        typed, fields = k8s.apiextensions.CustomResource, dict(manifest)
    made: pulumi.Resource = typed(name, **{_SPELLED.get(key, key): value for key, value in fields.items()}, opts=opts)
    return made
