"""The gateway under the real engine on a real control plane: changed live without a roll, rolled when it must be."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import pytest

from infra.components.kubernetes.names import priority_class
from infra.toolchain import ensure
from serving.gateway import Timeouts, digest
from tests.program.kubernetes.gateway_program import KEY, PRIVATE, model, spec
from tests.support.cluster import Cluster, Item, Timeline, inventory
from tests.support.cluster.program import STATE, Program
from tests.support.cluster.timeline import ready
from tests.support.kubernetes_api import ApiError, Client, Object
from tests.support.pulumi_run import Run

Until = Callable[..., None]

_PREFACE = """\
import pulumi
import pulumi_kubernetes as k8s
from pulumi import ResourceOptions

from infra.components.kubernetes.gateway import Gateway
from infra.components.kubernetes.namespace import Namespace
from infra.providers.kept_secret import KeptSecret

cluster = k8s.Provider(
    "cluster",
    kubeconfig=open("kubeconfig").read(),
    cluster_identifier="test",
    enable_config_map_mutable=True,
    enable_secret_mutable=True,
)
"""
_PROGRAM = """
given = {given!r}
space = Namespace("space", {{"name": given["namespace"], "stack": "test"}}, ResourceOptions(providers=[cluster]))
peers = KeptSecret("gateway-peers")
private = pulumi.Output.secret(given.pop("private"))
front = Gateway(
    "gateway",
    {{**given, "private": private, "peers_key": peers.value}},
    ResourceOptions(providers=[cluster], depends_on=[space]),
)
pulumi.export("url", front.url)
"""


def write(program: Program, space: str, **changes: Any) -> None:
    """A namespace with a gateway; `changes` are those of its arguments."""
    given = {
        "namespace": space,
        "stack": "test",
        "image": "registry.example/gateway@sha256:" + "0" * 64,
        "spec": spec(model(timeouts=Timeouts(stream=120))),
        "private": PRIVATE,
        "hosts": {"chat": f"chat.{space}.svc.cluster.local"},
        "replicas": {"min": 2, "max": 2},
        "host": "api.example.com",
        "priority_class": priority_class(space, "gateway"),  # type: ignore[arg-type]
    }
    program.write(_PROGRAM.format(given={**given, **changes}), _PREFACE)


def touched(run: Run) -> set[tuple[str, str, str]]:
    """Kind, name and operation of every object that was not left as it is. Components have the names of objects."""
    steps = [event["resourcePreEvent"]["metadata"] for event in run.events if "resourcePreEvent" in event]
    return {
        (step["type"].rpartition(":")[2], step["urn"].rpartition("::")[2], step["op"])
        for step in steps
        if step["op"] != "same" and step["type"].startswith("kubernetes:")
    }


def pods(api: Client, space: str) -> dict[str, Object]:
    """By name, those that are ready."""
    found = api.items("v1", "Pod", space, labels="app.kubernetes.io/name=gateway")
    return {item["metadata"]["name"]: item for item in found if ready(item)}


def routes(api: Client, space: str) -> str:
    """What the Secret holds."""
    return b64decode(api.get("v1", "Secret", "gateway-routes", space)["data"]["rds.json"]).decode()


def addresses(api: Client, space: str, service: str) -> set[str]:
    """Of a Service, ready or not."""
    labels = f"kubernetes.io/service-name={service}"
    slices = api.items("discovery.k8s.io/v1", "EndpointSlice", space, labels=labels)
    return {each for item in slices for endpoint in item["endpoints"] or [] for each in endpoint["addresses"]}


def test_a_gateway_comes_up_changes_live_rolls_when_it_must_and_leaves_nothing(
    program: Program, api: Client, until: Until, before: set[Item]
) -> None:
    space = "gateway-life"
    write(program, space)
    program.preview()
    program.up()
    first = pods(api, space)
    assert len(first) == 2
    nodes = {item["spec"]["nodeName"] for item in first.values()}
    assert len(nodes) == 2, "spread over nodes"
    own = {item["status"]["podIP"] for item in first.values()}
    until("addresses of peers", lambda: addresses(api, space, "gateway-peers") == own)
    until("addresses of the gateway", lambda: addresses(api, space, "gateway") == own)
    assert digest(KEY) in routes(api, space)
    assert program.preview("--expect-no-changes").operations() == {}

    # A key, a limit, a model and its servers: in place, no pod is touched. The peers' key is kept.
    peers_key = routes(api, space).partition('"key": "')[2][:64]
    state = (program.root / STATE).read_text()
    assert "gateway-routes" in state
    assert not any(secret in state for secret in (peers_key, digest(KEY), "sk-provider-secret"))
    assert b64encode(b'{\n "version_info"')[:16].decode() not in state
    tenants = [{"name": "acme", "key_digests": [digest("another")], "requests_per_minute": 10}]
    write(
        program,
        space,
        private={**PRIVATE, "tenants": tenants},
        spec=spec(model(timeouts=Timeouts(stream=120)), model("small", timeouts=Timeouts(stream=60))),
        hosts={name: f"{name}.{space}.svc.cluster.local" for name in ("chat", "small")},
    )
    with Timeline(api, "v1", "Pod", space) as quiet:
        changed = program.up()
    assert touched(changed) == {("ConfigMap", "gateway-clusters", "update"), ("Secret", "gateway-routes", "update")}
    assert pods(api, space).keys() == first.keys()
    assert {moment.change for moment in quiet.moments[len(first) :]} <= {"MODIFIED"}
    assert digest("another") in routes(api, space)
    assert digest(KEY) not in routes(api, space)
    assert peers_key in routes(api, space)
    assert "small." in api.get("v1", "ConfigMap", "gateway-clusters", space)["data"]["cds.json"]

    # A listener: other pods, never fewer than two ready, and the old pods keep their own file until they are gone.
    (old,) = [m for m in names(api, "ConfigMap", space) if m.startswith("gateway-start-")]
    write(program, space, spec=spec(model(timeouts=Timeouts(stream=120)), max_connections=77))
    with Timeline(api, "v1", "Pod", space) as rolling:
        program.up()
    second = pods(api, space)
    assert len(second) == 2
    assert first.keys().isdisjoint(second)
    assert min(rolling.counts(ready)[2:]) >= 2
    (new,) = [m for m in names(api, "ConfigMap", space) if m.startswith("gateway-start-")]
    assert new != old

    program.destroy()
    assert inventory(api) == before


def names(api: Client, kind: str, space: str) -> list[str]:
    """Of objects of a kind."""
    return [item["metadata"]["name"] for item in api.items("v1", kind, space)]


def test_evictions_wait_for_each_other_and_a_scaler_keeps_its_word(
    program: Program, cluster: Cluster, api: Client, until: Until
) -> None:
    space = "gateway-budget"
    write(program, space, replicas={"min": 2, "max": 4})
    program.up()
    until("the scaler has raised it", lambda: len(pods(api, space)) == 2)

    def allowed() -> int:
        status = api.get("policy/v1", "PodDisruptionBudget", "gateway", space)["status"]
        return int(status["disruptionsAllowed"])

    until("the budget has counted", lambda: allowed() == 1)
    one, other = pods(api, space)
    with cluster.cordoned():
        api.evict(one, space)
        with pytest.raises(ApiError) as refused:
            api.evict(other, space)
    assert refused.value.code == 429
    until("another pod is there", lambda: len(pods(api, space)) == 2)

    # What a scaler decides is not undone by the next `up`, whatever that changes.
    api.patch("apps/v1", "Deployment", "gateway", {"spec": {"replicas": 3}}, space)
    write(program, space, replicas={"min": 2, "max": 4}, cpu_millis=100)
    assert touched(program.up()) == {("Deployment", "gateway", "update")}
    assert api.get("apps/v1", "Deployment", "gateway", space)["spec"]["replicas"] == 3
    program.destroy()


def test_a_bad_configuration_stops_before_anything_is_applied(program: Program, api: Client) -> None:
    ensure("envoy"), ensure("picker")  # what is not there is not asked
    space = "gateway-refused"
    write(program, space)
    program.up()
    before = api.get("v1", "ConfigMap", "gateway-clusters", space)["metadata"]["resourceVersion"]
    write(program, space, spec=spec(model(timeouts=Timeouts(stream=120, connect=-1))))
    failed = program.try_up()
    assert failed.status != 0
    assert "Envoy refuses the configuration" in failed.output
    assert api.get("v1", "ConfigMap", "gateway-clusters", space)["metadata"]["resourceVersion"] == before
    broken = [{"name": "acme", "key_digests": ["in plain"]}]
    write(program, space, private={**PRIVATE, "tenants": broken})
    failed = program.try_up()
    assert failed.status != 0
    assert "a key digest is 64 hexadecimal digits" in failed.output
    assert "in plain" not in failed.output
    assert digest(KEY) in routes(api, space)
    program.destroy()
