"""berth's gateway with everything on, in as many replicas and worker threads as wanted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from infra.toolchain import ensure
from serving.gateway import (
    Backend,
    GatewaySpec,
    Model,
    Registry,
    Routing,
    Tenant,
    command,
    digest,
    environment,
    files,
    install,
)
from serving.gateway.envoy import Json
from tests.bench.gateway.contender import KEY, MODEL, Running, Setting
from tests.bench.gateway.process import Process, free_ports

Files = dict[str, Json]
"""The gateway's configuration by file name."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is varied between runs; the rest is what an operator gets."""

    routing: Routing = field(default_factory=Routing)
    workers: int = 1
    """Threads of each replica."""
    replicas: int = 1
    metadata: Mapping[str, float] = field(default_factory=dict)
    """Of every backend (serving.gateway.endpoints)."""
    tweak: Callable[[Files], None] | None = None
    """Changes the configuration files before the start, to see what a part of them costs."""


def start(setting: Setting, variant: Variant = Variant()) -> Running:
    """All that the kit ships is on: keys, routes, access log, retries, health checks, ejection, circuit breakers."""
    ports, processes = [], []
    for number in range(variant.replicas):
        port, process = _replica(setting, variant, number)
        ports.append(port)
        processes.append(process)
    return Running(tuple(ports), tuple(processes))


def variant(**fields: object) -> "partial[Running]":
    """`start` of a variant, for the table of gateways."""
    return partial(start, variant=Variant(**fields))  # type: ignore[arg-type]


def _replica(setting: Setting, variant: Variant, number: int) -> tuple[int, Process]:
    port, admin = free_ports(2)
    folder = (setting.processes.folder / f"berth-{port}").absolute()
    model = Model(
        MODEL,
        openai=("POST /v1/chat/completions", "POST /v1/completions"),
        routing=variant.routing,
        max_requests=16_384,
    )
    spec = GatewaySpec(
        port=port,
        admin_port=admin,
        models=(model,),
        tenants=(Tenant("bench", (digest(KEY),)),),
        workers=variant.workers,
        access_log=str(folder / "access.log"),
    )
    folder.mkdir(parents=True)
    envoy, picker = ensure("envoy"), ensure("picker")
    registry = Registry(folder)
    registry.replace(
        MODEL,
        [Backend(f"{MODEL}-{i}", "127.0.0.1", backend, variant.metadata) for i, backend in enumerate(setting.backends)],
    )
    install(spec, folder, envoy, picker, registry=registry)
    if variant.tweak:
        content = files(spec, folder)
        variant.tweak(content)
        for name, value in content.items():
            (folder / name).write_text(json.dumps(value))
    # Several gateways run on one machine here: each needs a shared memory region of its own.
    argv = [*command(spec, envoy, folder), "--use-dynamic-base-id"]
    process = setting.processes.start(f"berth-{port}", argv, core=setting.core, env=environment(picker))
    process.wait_http(f"http://127.0.0.1:{admin}/ready")
    process.wait_http(f"http://127.0.0.1:{port}/healthz")
    return port, process
