"""berth's gateway with everything on, in as many replicas and worker threads as wanted."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from infra.toolchain import ensure
from serving.gateway import (
    Backend,
    GatewaySpec,
    Hold,
    Model,
    Peers,
    Registry,
    Routing,
    Tenant,
    Tokens,
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
    shared: bool = True
    """Replicas tell each other their picks."""
    metadata: Mapping[str, float] = field(default_factory=dict)
    """Of every backend (serving.gateway.endpoints)."""
    tweak: Callable[[Files], None] | None = None
    """Changes the configuration files before the start, to see what a part of them costs."""


def start(setting: Setting, variant: Variant = Variant()) -> Running:
    """All that the kit ships is on, with limits that the bench does not reach."""
    ports, admins, talks = (free_ports(variant.replicas) for _ in range(3))
    key = secrets.token_hex(32)
    processes = []
    for number, (port, admin) in enumerate(zip(ports, admins, strict=True)):
        others = tuple(f"127.0.0.1:{talk}" for i, talk in enumerate(talks) if i != number)
        together = variant.replicas > 1 and variant.shared
        peers = Peers(f"127.0.0.1:{talks[number]}", others, key) if together else None
        processes.append(_replica(setting, variant, _spec(setting, variant, port, admin, peers)))
    return Running(tuple(ports), tuple(processes))


def variant(**fields: object) -> "partial[Running]":
    """`start` of a variant, for the table of gateways."""
    return partial(start, variant=Variant(**fields))  # type: ignore[arg-type]


def _folder(setting: Setting, port: int) -> Path:
    return (setting.processes.folder / f"berth-{port}").absolute()


def _spec(setting: Setting, variant: Variant, port: int, admin: int, peers: Peers | None) -> GatewaySpec:
    model = Model(
        MODEL,
        openai=("POST /v1/chat/completions", "POST /v1/completions"),
        routing=variant.routing,
        max_requests=16_384,
        hold=Hold(seconds=10),
        tokens=Tokens(default=512, most=4_096),
    )
    tenant = Tenant("bench", (digest(KEY),), requests_per_minute=100_000_000, tokens_per_minute=2_000_000_000)
    return GatewaySpec(
        port=port,
        admin_port=admin,
        models=(model,),
        tenants=(tenant,),
        workers=variant.workers,
        access_log=str(_folder(setting, port) / "log" / "access.json"),
        peers=peers,
    )


def _replica(setting: Setting, variant: Variant, spec: GatewaySpec) -> Process:
    folder = _folder(setting, spec.port)
    folder.mkdir(parents=True)
    envoy, picker = ensure("envoy"), ensure("picker")
    backends = [Backend(f"{MODEL}-{i}", "127.0.0.1", port, variant.metadata) for i, port in enumerate(setting.backends)]
    registry = Registry(folder)
    registry.replace(MODEL, backends)
    install(spec, folder, envoy, picker, registry=registry)
    if variant.tweak:
        content = files(spec, folder)
        variant.tweak(content)
        for name, value in content.items():
            (folder / name).write_text(json.dumps(value))
    # Several gateways run on one machine here: each needs a shared memory region of its own.
    argv = [*setting.under, *command(spec, envoy, folder), "--use-dynamic-base-id"]
    process = setting.processes.start(f"berth-{spec.port}", argv, core=setting.core, env=environment(picker))
    process.wait_http(f"http://127.0.0.1:{spec.admin_port}/ready")
    process.wait_http(f"http://127.0.0.1:{spec.port}/healthz")
    return process
