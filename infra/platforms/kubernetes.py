"""The Kubernetes platform: the same stack on a cluster that exists."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.components.kubernetes import names
from infra.components.kubernetes.gateway import Gateway, GatewayArgs
from infra.components.kubernetes.gpu_pool import GpuPool, GpuPoolArgs
from infra.components.kubernetes.labels import Role, owned
from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.model_store import ModelStore, distinct
from infra.components.kubernetes.model_store_args import ModelStoreArgs, StagedSource
from infra.components.kubernetes.model_store_job import claim_bytes, claim_name
from infra.components.kubernetes.namespace import Namespace
from infra.components.kubernetes.server_args import ModelServerArgs, ServerLimits
from infra.planning import ModelPlan, Plan
from infra.platforms import kubernetes_checks, weights
from infra.platforms.base import Outputs, endpoints
from infra.platforms.devices import GPU, gpu_args, node_labels, quota
from infra.platforms.gateway import gateway_spec, private
from infra.platforms.images import Images
from infra.platforms.kubernetes_checks import Standing
from infra.platforms.revisions import Revision, revisions
from infra.platforms.scaling import scaling_args
from infra.providers.kept_secret import KeptSecret
from infra.providers.local.gateway_config import plain
from infra.settings import Settings
from infra.settings.kubernetes import NodePool
from serving import engines
from serving.store import location

SPOT, ON_DEMAND = "spot", "on-demand"


class KubernetesPlatform:
    """Any cluster that has what `make doctor STACK=x` looks for."""

    def build(self, settings: Settings, plan: Plan) -> Outputs:
        """Looks at the cluster, then registers pools, namespace, store, servers and gateway."""
        for found in kubernetes_checks.refuse(settings, plan):
            pulumi.log.warn(str(found))
        images = Images.of(plan, Path(pulumi.get_root_directory()))
        sources = weights.pinned(settings)
        standing = kubernetes_checks.standing(settings)

        cluster = pulumi.ResourceOptions(providers={"kubernetes": _provider(settings)})
        pools = [
            GpuPool(f"{settings.stack}-{name}", _pool_args(settings, name, pool), cluster)
            for name, pool in settings.kubernetes.nodes.items()
            if pool.karpenter is not None
        ]
        space = Namespace(
            "namespace",
            {"name": settings.kubernetes.namespace, "stack": settings.stack, "gpu_quota": quota(settings, plan)},
            cluster,
        )
        store = ModelStore("models", _store_args(settings, plan, sources, images, standing), _after(cluster, space))
        servers = [
            ModelServer(
                revision.server,
                server_args(settings, model, revision, sources[revision.source], images, standing),
                # Each waits for its own weights alone.
                _after(cluster, space, *pools, store.jobs[sources[revision.source]]),
            )
            for model in plan.models
            for revision in revisions(settings, model)
        ]
        peers_key = KeptSecret("gateway-peers").value
        Gateway(
            "gateway",
            _gateway_args(settings, plan, images, peers_key),
            # After the servers: a new model has backends before it has a route, a removed one loses its route first.
            _after(cluster, space, *servers),
        )
        chats = [model.model for model in plan.models if model.task == engines.Task.GENERATE]
        return Outputs(
            endpoints=endpoints(public_url(settings), settings.models),
            api_key=None,
            dashboards={},
            example_model=chats[0] if chats else None,
            plan=plan.to_dict(),
        )


def public_url(settings: Settings) -> str:
    """Base URL of the gateway: made of the name that the stack file gives, so it is known at preview."""
    return f"{'https' if settings.gateway.certificate else 'http'}://{settings.gateway.host}"


def server_args(
    settings: Settings, planned: ModelPlan, revision: Revision, source: str, images: Images, standing: Standing
) -> ModelServerArgs:
    """One revision of a model. `source` is pinned."""
    wanted, space = settings.models[planned.model], settings.kubernetes.namespace
    gpu = gpu_args(settings, planned)
    args: ModelServerArgs = {
        "namespace": space,
        "stack": settings.stack,
        "model": planned.model,
        "backends": revision.backends,
        "engine": planned.engine,
        "task": planned.task,
        "image": images.server(planned),
        "limits": _limits(planned.limits),
        "options": dict(planned.options),
        "shards": planned.gpu.shards if planned.gpu else 1,
        "cpu_millis": planned.cpu_millis,
        "memory_bytes": planned.memory_bytes,
        "shm_bytes": planned.shm_bytes,
        "disk_bytes": planned.disk_bytes,
        "weights": {
            "claim": claim_name(settings.kubernetes.storage_class),
            "location": location(source),
            "verify_image": images.loader,
        },
        "replicas": {"min": revision.replicas, "max": revision.replicas},
        "rollout": str(wanted.rollout),
        "startup": {
            "probe_period_seconds": planned.startup.probe_period_seconds,
            "probe_failures": planned.startup.probe_failures,
            "cold_seconds": planned.startup.cold_seconds,
        },
        "priority_class": names.priority_class(space, Role.SERVER),
    }
    if gpu is not None:
        args["gpu"] = gpu
    if settings.kubernetes.image_pull_secret is not None:
        args["image_pull_secret"] = settings.kubernetes.image_pull_secret
    scaling = None if revision.fixed else scaling_args(wanted, planned)
    if scaling is not None:
        args["scaling"] = scaling
        most = max(revision.replicas, standing.replicas.get(revision.server, 0))
        args["replicas"] = {"min": scaling["min"], "max": scaling["max"], "initial": min(most, scaling["max"])}
    return args


def _limits(planned: engines.Limits) -> ServerLimits:
    limits: ServerLimits = {
        "max_input_tokens": planned.max_input_tokens,
        "max_total_tokens": planned.max_total_tokens,
        "max_concurrent_requests": planned.max_concurrent_requests,
        "max_queued_requests": planned.max_queued_requests,
    }
    if planned.max_batch_prefill_tokens is not None:
        limits["max_batch_prefill_tokens"] = planned.max_batch_prefill_tokens
    return limits


def _store_args(
    settings: Settings, plan: Plan, sources: Mapping[str, str], images: Images, standing: Standing
) -> ModelStoreArgs:
    staged: list[StagedSource] = [
        {"source": sources[revision.source], "bytes": model.weights_bytes}
        for model in plan.models
        for revision in revisions(settings, model)
    ]
    args: ModelStoreArgs = {
        "namespace": settings.kubernetes.namespace,
        "stack": settings.stack,
        "image": images.loader,
        "sources": staged,
        # A claim cannot shrink, whatever is left out of the stack.
        "size_bytes": claim_bytes(distinct(staged), standing.volume_bytes),
    }
    if standing.sources is not None:
        args["served"] = list(standing.sources)
    if settings.kubernetes.storage_class is not None:
        args["storage_class"] = settings.kubernetes.storage_class
    if settings.kubernetes.image_pull_secret is not None:
        args["image_pull_secret"] = settings.kubernetes.image_pull_secret
    if settings.kubernetes.hub_token is not None:
        section = pulumi.Config("berth").require_secret_object("kubernetes")
        args["hub_token"] = section.apply(lambda values: str(values["hub_token"]))
    return args


def _gateway_args(settings: Settings, plan: Plan, images: Images, peers_key: pulumi.Input[str]) -> GatewayArgs:
    wanted, space = settings.gateway, settings.kubernetes.namespace
    secrets: pulumi.Output[dict[str, Any]] = pulumi.Output.secret(
        pulumi.Config("berth").get_secret_object("gateway") or {}
    )
    sets = [(model, revision) for model in plan.models for revision in revisions(settings, model)]
    args: GatewayArgs = {
        "namespace": space,
        "stack": settings.stack,
        "image": images.gateway,
        "spec": plain(gateway_spec(settings, plan, port=names.GATEWAY_PORT)),
        "private": secrets.apply(lambda values: private(values, settings, {})),
        "hosts": {revision.backends: names.host(revision.server, space) for _, revision in sets},
        "capacities": {revision.backends: _capacity(model) for model, revision in sets},
        "replicas": {"min": wanted.replicas.min, "max": wanted.replicas.max},
        "host": str(wanted.host),
        "peers_key": peers_key,
        "priority_class": names.priority_class(space, Role.GATEWAY),
    }
    if settings.kubernetes.image_pull_secret is not None:
        args["image_pull_secret"] = settings.kubernetes.image_pull_secret
    if wanted.certificate is not None:
        args["certificate"] = wanted.certificate
    return args


def _capacity(model: ModelPlan) -> dict[str, float]:
    """What the picker knows of each server beforehand."""
    known = {"concurrent_requests": float(model.limits.max_concurrent_requests)}
    return known | ({"kv_tokens": float(model.gpu.kv_tokens)} if model.gpu else {})


def _pool_args(settings: Settings, name: str, pool: NodePool) -> GpuPoolArgs:
    bought = pool.karpenter
    if bought is None:
        raise AssertionError(name)
    return {
        "name": f"{settings.stack}-{name}",
        "labels": owned(settings.stack),
        "node_labels": node_labels(settings, pool.gpu),
        "instances": list(bought.instances),
        "resource": GPU,
        "limit": pool.nodes * pool.gpus,
        "node_class": {"group": bought.group, "kind": bought.kind, "name": bought.node_class},
        "capacity": [SPOT, ON_DEMAND] if bought.spot else [ON_DEMAND],
        "empty_seconds": round(bought.empty),
    }


def _provider(settings: Settings) -> k8s.Provider:
    """The context that the stack file names, and no other."""
    context = settings.kubernetes.context
    return k8s.Provider(
        "cluster",
        context=context,
        # Empty, so that the SDK does not copy $KUBECONFIG into the state: every machine uses its own.
        kubeconfig="",
        # The context's name is the cluster's: another one is another cluster, and nothing else about it is.
        cluster_identifier=context,
        # What changes in place under the gateway's pods.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        # An `up` that was killed has made objects that the state does not know; the next one takes them over.
        upsert_existing_objects=True,
        enable_patch_force=True,
    )


def _after(options: pulumi.ResourceOptions, *others: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=list(others)))
