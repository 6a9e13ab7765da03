"""The HorizontalPodAutoscaler of a ScaledObject, as KEDA's operator makes it (controllers/keda/hpa.go)."""

from typing import Any

from tests.fakes.keda.signals import Trigger

OWNER = "scaledobject.keda.sh/name"
"""The label by which the adapter knows whose metric is asked for."""


def autoscaler(scaled: dict[str, Any]) -> dict[str, Any]:
    """For 1 to the most replicas: an autoscaler never goes to 0."""
    metadata, spec = scaled["metadata"], scaled["spec"]
    target = spec["scaleTargetRef"]
    name = f"keda-hpa-{metadata['name']}"
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": metadata["name"],
        "app.kubernetes.io/managed-by": "keda-operator",
        **metadata.get("labels", {}),
    }
    owner = {
        "apiVersion": scaled["apiVersion"],
        "kind": scaled["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": target.get("apiVersion", "apps/v1"),
                "kind": target.get("kind", "Deployment"),
                "name": target["name"],
            },
            "minReplicas": max(spec.get("minReplicaCount", 0), 1),
            "maxReplicas": spec.get("maxReplicaCount", 100),
            "behavior": spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {}),
            "metrics": [_metric(metadata["name"], trigger) for trigger in triggers(scaled)],
        },
    }


def triggers(scaled: dict[str, Any]) -> list[Trigger]:
    """Of a ScaledObject, in its order."""
    return [Trigger.of(number, item) for number, item in enumerate(scaled["spec"]["triggers"])]


def _metric(owner: str, trigger: Trigger) -> dict[str, Any]:
    identifier = {"name": trigger.metric, "selector": {"matchLabels": {OWNER: owner}}}
    average = f"{round(trigger.target * 1000)}m"
    return {
        "type": "External",
        "external": {"metric": identifier, "target": {"type": "AverageValue", "averageValue": average}},
    }
