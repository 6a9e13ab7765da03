"""The Job that stages one source, and the volume it stages to. Pure: manifests as plain dicts."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from infra.components.kubernetes.image_pull import image_pull
from infra.components.kubernetes.model_store_args import StagedSource
from infra.components.kubernetes.network import dns, tcp

Manifest = dict[str, Any]

SOURCE = "berth.dev/source"
"""Annotation of a Job: the text of its source."""
ROOT = "/models"
"""Where a stager has the volume."""
SERVICE_ACCOUNT = "model-store"
"""Without a token; where a cloud gives pods rights by their account, this one may read the buckets."""
USER = 65532
"""`nonroot` of the image; files are readable by all."""
TOKEN_FOLDER, TOKEN_KEY = "/var/run/secrets/hub", "token"
TOKEN_SECRET = "hub-token"  # noqa: S105 - a name
REFUSED = 3
"""Exit code of `python -m serving.store stage` when trying again is in vain."""
SLOWEST_BYTES_PER_SECOND = 25e6
"""A source that arrives slower than this runs into its Job's deadline."""
LEAST_SECONDS = 900
"""For scheduling, pulling the image and slow starts."""
PATIENCE_SECONDS = 120
"""How much longer Pulumi waits, so that the Job itself says why it ended."""
MEMORY_BYTES = 4 * 2**30
"""Eight transfers at once, each with buffers of the hub's client, and pages on their way to the volume."""
_SMALLEST_BYTES = 16 * 2**30
_GIB = 2**30


def claim_name(storage_class: str | None = None) -> str:
    """Name of the claim. The class of a claim cannot be changed, so each class has a claim of its own."""
    return f"models-{storage_class}" if storage_class else "models"


def job_name(claim: str, source: str) -> str:
    """Name of a source's Job, by the hash of where to and where from: another of either is another Job."""
    return f"stage-{hashlib.sha256(f'{claim} {source}'.encode()).hexdigest()[:10]}"


def most_bytes(planned: int) -> int:
    """Most that a source may have: plans count tensors, folders also have tokenizers and a second copy of a few."""
    return planned + planned // 4 + 2**30


def claim_bytes(sources: Sequence[StagedSource], existing: int = 0) -> int:
    """Size of the volume: all sources, and another version of the largest while the old one is still served.

    In powers of two from 16 GiB, so that most changes of a stack leave the claim alone; not below `existing`.
    """
    sizes = [most_bytes(source["bytes"]) for source in sources]
    needed = max(sum(sizes) + max(sizes, default=0), _SMALLEST_BYTES)
    return max(1 << (needed - 1).bit_length(), existing)


def deadline_seconds(planned: int) -> int:
    """Longest that a source may take."""
    return LEAST_SECONDS + int(most_bytes(planned) / SLOWEST_BYTES_PER_SECOND)


def claim(size_bytes: int, storage_class: str | None) -> Manifest:
    """Spec of the claim."""
    return {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": f"{-(-size_bytes // _GIB)}Gi"}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }


def job(
    source: StagedSource,
    image: str,
    claim_name: str,
    labels: Mapping[str, str],
    *,
    token: bool,
    keep: Sequence[str] = (),
    image_pull_secret: str | None = None,
) -> Manifest:
    """Spec of the Job. With `keep`, weights of no other sources are needed any more."""
    return {
        "backoffLimit": 4,
        "activeDeadlineSeconds": deadline_seconds(source["bytes"]),
        # No ttlSecondsAfterFinished: a Job that is gone would be made, and awaited, again.
        "podFailurePolicy": {
            "rules": [
                {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [REFUSED]}},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
            ]
        },
        "template": {
            "metadata": {"labels": {**labels}},
            "spec": {
                **_pod(source, image, claim_name, keep, token=token and source["source"].startswith("hf://")),
                **image_pull(image_pull_secret),
            },
        },
    }


def network_policy(selector: Mapping[str, str]) -> Manifest:
    """Spec of the policy that lets stagers, and no one else, out to hub and buckets."""
    return {
        "podSelector": {"matchLabels": {**selector}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [{"ports": [tcp(443)]}, dns()],
    }


def _pod(source: StagedSource, image: str, claim_name: str, keep: Sequence[str], *, token: bool) -> Manifest:
    volumes: list[Manifest] = [
        {"name": "models", "persistentVolumeClaim": {"claimName": claim_name}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    mounts: list[Manifest] = [{"name": "models", "mountPath": ROOT}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    variables = {
        "HOME": "/tmp",  # noqa: S108 - the pod's own
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if token:
        items = [{"key": TOKEN_KEY, "path": TOKEN_KEY}]
        secret = {"secretName": TOKEN_SECRET, "defaultMode": 0o440, "items": items}
        volumes.append({"name": "hub-token", "secret": secret})
        mounts.append({"name": "hub-token", "mountPath": TOKEN_FOLDER, "readOnly": True})
        variables["HF_TOKEN_PATH"] = f"{TOKEN_FOLDER}/{TOKEN_KEY}"
    container = {
        "name": "stage",
        "image": image,
        "command": ["python", "-m", "serving.store", "stage", source["source"]],
        "args": [
            *("--root", ROOT, "--bytes", str(most_bytes(source["bytes"]))),
            *(part for kept in keep for part in ("--keep", kept)),
        ],
        "env": [{"name": name, "value": value} for name, value in sorted(variables.items())],
        "resources": {
            "requests": {"cpu": "1", "memory": str(MEMORY_BYTES), "ephemeral-storage": "1Gi"},
            "limits": {"memory": str(MEMORY_BYTES), "ephemeral-storage": "2Gi"},
        },
        # The last lines of the log become the pod's message, which is what a failed deployment shows.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": SERVICE_ACCOUNT,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # Walking over all weights to change their owner would take longer than staging.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
