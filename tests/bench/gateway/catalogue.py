"""The gateways that are compared, by the names that the reports use."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.gateway import berth, plain_envoy
from tests.bench.gateway.contender import Running, Setting
from tests.bench.gateway.peers import routers


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a table."""

    name: str
    start: Callable[[Setting], Running]
    does: str
    """Besides passing requests on: the figures are for unequal work, and a report must say so."""
    core: str = "0"


PLAIN = Contender("envoy plain", plain_envoy.start, "round robin, nothing else")
BERTH = Contender(
    "berth",
    berth.variant(),
    "keys, model and route check, estimated TTFT, limits, access log, retries, health checks, ejection, metrics",
)
BERTH_2 = Contender(
    "berth, 2 threads", berth.variant(workers=2), "the same, on both cores, of which wrk and the mock use one", "0,1"
)
SGLANG = Contender("sglang-router", routers.sglang_router, "cache-aware routing, retries, health checks, metrics")
VLLM = Contender("vllm-router", routers.vllm_router, "cache-aware routing, retries, health checks, metrics")
PYTHON = Contender("python proxy", routers.python_proxy, "round robin, nothing else")

ALL = (PLAIN, BERTH, BERTH_2, SGLANG, VLLM, PYTHON)
