"""Weights on a volume of the cluster: staged once from hub, bucket or image, shared read-only by all servers."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.components.kubernetes import model_store_job as manifests
from infra.components.kubernetes.arguments import refuse
from infra.components.kubernetes.labels import Role, labels, selector
from infra.components.kubernetes.making import child_of
from infra.components.kubernetes.model_store_args import ModelStoreArgs, StagedSource
from serving.store import StoreError, location


class ModelStore(pulumi.ComponentResource):
    """A shared volume, and one Job for each source that fills its folder on it.

    A Job is made once for a source: what changes in it later (image, limits) stages nothing again, unless it failed;
    then the next deployment replaces it. The volume goes with the stack: what is on it can be staged again, to the bit.
    """

    claim: pulumi.Output[str]
    """Name of the claim."""
    staged: pulumi.Output[dict[str, str]]
    """By source its folder below the volume's root, once all sources are there."""

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        folders = _folders(name, args["sources"])
        token = pulumi.Output.secret(args["hub_token"]) if "hub_token" in args else None
        # `served` is for Jobs that are being made. Kept with the others it would make a change after each deployment.
        inputs = {key: value for key, value in args.items() if key != "served"}
        if token is not None:
            inputs["hub_token"] = token
        super().__init__("berth:index:ModelStore", name, inputs, opts)
        self._name, self._args, self._child = name, args, child_of(self, opts)
        claim = manifests.claim_name(args.get("storage_class"))
        needed: list[pulumi.Resource] = [self._claim(claim), self._account(), self._policy()]
        if token is not None:
            needed.append(self._secret(token))
        self.jobs = {
            source["source"]: self._job(source, claim, needed, token=token is not None)
            for source in distinct(args["sources"])
        }
        """By source: what a server that needs just this one waits for."""
        self.claim = pulumi.Output.from_input(claim)
        self.staged = pulumi.Output.all(*(job.id for job in self.jobs.values())).apply(lambda _: folders)
        self.register_outputs({"claim": self.claim, "staged": self.staged})

    def _claim(self, name: str) -> k8s.core.v1.PersistentVolumeClaim:
        sources, existing = distinct(self._args["sources"]), self._args.get("existing_bytes", 0)
        size = self._args.get("size_bytes")
        size = manifests.claim_bytes(sources, existing) if size is None else max(size, existing)
        # Classes that wait for the first pod bind when the first Job comes, and that Job is waited for.
        metadata = self._metadata(name, {"pulumi.com/skipAwait": "true"})
        spec = manifests.claim(size, self._args.get("storage_class"))
        return k8s.core.v1.PersistentVolumeClaim(f"{self._name}-{name}", metadata=metadata, spec=spec, opts=self._child)

    def _account(self) -> k8s.core.v1.ServiceAccount:
        return k8s.core.v1.ServiceAccount(
            f"{self._name}-account",
            metadata=self._metadata(manifests.SERVICE_ACCOUNT),
            automount_service_account_token=False,
            opts=self._child,
        )

    def _policy(self) -> k8s.networking.v1.NetworkPolicy:
        return k8s.networking.v1.NetworkPolicy(
            f"{self._name}-policy",
            metadata=self._metadata("model-store"),
            spec=manifests.network_policy(selector(Role.STORE, self._name)),
            opts=self._child,
        )

    def _secret(self, token: pulumi.Output[str]) -> k8s.core.v1.Secret:
        return k8s.core.v1.Secret(
            f"{self._name}-token",
            metadata=self._metadata(manifests.TOKEN_SECRET),
            string_data={manifests.TOKEN_KEY: token},
            opts=self._child,
        )

    def _job(self, source: StagedSource, claim: str, needed: list[pulumi.Resource], *, token: bool) -> k8s.batch.v1.Job:
        name = manifests.job_name(claim, source["source"])
        image, puller = source.get("image", self._args["image"]), self._args.get("image_pull_secret")
        patience = f"{manifests.deadline_seconds(source['bytes']) + manifests.PATIENCE_SECONDS}s"
        options = pulumi.ResourceOptions(
            depends_on=needed,
            ignore_changes=["spec"],
            custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience),
        )
        return k8s.batch.v1.Job(
            f"{self._name}-{name}",
            metadata=self._metadata(name, {manifests.SOURCE: source["source"], "pulumi.com/replaceUnready": "true"}),
            spec=manifests.job(
                source, image, claim, self._labels(), token=token, keep=self._kept(), image_pull_secret=puller
            ),
            opts=pulumi.ResourceOptions.merge(self._child, options),
        )

    def _kept(self) -> list[str]:
        served = self._args.get("served")
        return [] if served is None else sorted({*served, *(source["source"] for source in self._args["sources"])})

    def _labels(self) -> dict[str, str]:
        return labels(Role.STORE, self._name, self._args["stack"])

    def _metadata(self, name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
        named = {"name": name, "namespace": self._args["namespace"], "labels": self._labels()}
        return {**named, "annotations": annotations} if annotations else named


def _folders(name: str, sources: Sequence[StagedSource]) -> dict[str, str]:
    """By source. Raises ArgumentsError with every one that cannot be staged."""
    found, problems = {}, []
    for source in distinct(sources):
        try:
            found[source["source"]] = location(source["source"])
        except StoreError as error:
            problems.append(str(error))
    refuse(f"model store {name}", problems)
    return found


def distinct(sources: Sequence[StagedSource]) -> list[StagedSource]:
    """Each source once, by text; the larger of two sizes."""
    found: dict[str, StagedSource] = {}
    for source in sources:
        known = found.get(source["source"])
        if known is None or known["bytes"] < source["bytes"]:
            found[source["source"]] = source
    return [found[text] for text in sorted(found)]
