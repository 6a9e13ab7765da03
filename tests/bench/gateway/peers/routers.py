"""Routers of others, as their makers ship them, with the cache-aware policy; and a proxy in Python.

None of them is given keys, limits, an access log or a fallback to do here: what they cost is for routing alone.
"""

import sys
from pathlib import Path

from tests.bench.gateway.contender import Running, Setting
from tests.bench.gateway.environments import environment
from tests.bench.gateway.process import free_ports


def sglang_router(setting: Setting) -> Running:
    """sglang-router 0.3.2, `cache_aware` with its defaults; only its limit of open requests is raised."""
    port, metrics = free_ports(2)
    argv = [
        *(environment("sglang_router") / "bin/python", "-m", "sglang_router.launch_router"),
        *("--host", "127.0.0.1", "--port", port, "--worker-urls", *_urls(setting)),
        *("--policy", "cache_aware", "--log-level", "warn", "--max-concurrent-requests", 10_000),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", metrics),
    ]
    return _start("sglang-router", argv, port, setting)


def vllm_router(setting: Setting) -> Running:
    """vllm-router 0.1.17, `cache_aware` with its defaults; only its limit of open requests is raised.

    It asks every backend to tokenize each prompt (/v1/chat/completions/render, then /tokenize), and without tokens it
    routes by load alone. The simulated engines answer; the mock says 404, which is the cheapest for the router.
    """
    port, metrics = free_ports(2)
    argv = [
        *(environment("vllm_router") / "bin/vllm-router", "--host", "127.0.0.1", "--port", port),
        *("--worker-urls", *_urls(setting), "--policy", "cache_aware", "--log-level", "error"),
        *("--max-concurrent-requests", 10_000, "--prometheus-host", "127.0.0.1", "--prometheus-port", metrics),
    ]
    return _start("vllm-router", argv, port, setting)


def python_proxy(setting: Setting) -> Running:
    """peers/python_proxy.py: round robin on aiohttp, one process."""
    (port,) = free_ports(1)
    argv = [sys.executable, Path(__file__).with_name("python_proxy.py"), port, *setting.backends]
    return _start("python proxy", argv, port, setting)


def _urls(setting: Setting) -> list[str]:
    return [f"http://127.0.0.1:{port}" for port in setting.backends]


def _start(name: str, argv: list[object], port: int, setting: Setting) -> Running:
    process = setting.processes.start(name, [str(a) for a in argv], core=setting.core)
    process.wait_http(f"http://127.0.0.1:{port}/health")
    return Running((port,), (process,))
