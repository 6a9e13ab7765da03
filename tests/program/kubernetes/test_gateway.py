"""The Gateway component under mocks: its objects, what rolls its pods and what does not, and what stays secret.

`UPDATE_GOLDEN=1 pytest tests/program/kubernetes/test_gateway.py`, then read the difference.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.toolchain import ensure
from serving.gateway import HashOn, InstallError, Policy, Routing, Timeouts, digest
from tests.program.kubernetes.gateway_program import KEY, PEERS_KEY, PRIVATE, Made, model, spec

ALWAYS = {
    ("ServiceAccount", "gateway"),
    ("NetworkPolicy", "gateway"),
    ("ConfigMap", "gateway-start"),
    ("ConfigMap", "gateway-clusters"),
    ("Secret", "gateway-routes"),
    ("Deployment", "gateway"),
    ("PodDisruptionBudget", "gateway"),
    ("Service", "gateway"),
}


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def test_the_url_is_known_and_every_object_is_labelled_and_named(made: Made) -> None:
    assert made.url == "http://api.example.com"
    assert made.kinds() == ALWAYS | {("HorizontalPodAutoscaler", "gateway"), ("Service", "gateway-peers")}
    for key in made.kinds():
        metadata = made[key]["metadata"]
        assert metadata["namespace"] == "berth"
        assert metadata["name"].startswith("gateway")
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "berth"
        assert metadata["labels"]["berth.dev/stack"] == "dev"


def test_objects_are_as_reviewed(made: Made) -> None:
    """All but the content of files, which tests/gateway runs, and the number that stands for it in a name."""
    golden = Path(__file__).parent / "golden/gateway.yaml"
    parts = [{name: part for name, part in made[key].items() if name != "data"} for key in sorted(made.kinds())]
    # Mocks see every number as a float.
    whole = json.loads(json.dumps(parts), parse_float=lambda number: int(float(number)))
    text = yaml.safe_dump_all(whole, width=120)
    text = re.sub(r"gateway-start-[0-9a-f]{10}\b", "gateway-start-0000000000", text)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text, "gateway.yaml differs; UPDATE_GOLDEN=1 writes it anew"


def test_pods_are_restricted_and_their_files_are_mounted_read_only(made: Made) -> None:
    pod = made.pod()
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert {m["mountPath"] for m in container["volumeMounts"]} == {
        f"/etc/berth/{x}" for x in ("start", "clusters", "routes")
    }
    # As a whole folder: files mounted one by one (subPath) are never updated.
    assert not any("subPath" in mount for mount in container["volumeMounts"])


def test_a_pod_lives_until_its_longest_stream_is_over(made: Made) -> None:
    pod = made.pod()
    drain = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert drain[drain.index("--patience") + 1] == "300"
    options = [int(drain[drain.index(name) + 1]) for name in ("--notice", "--patience", "--linger")]
    assert pod["terminationGracePeriodSeconds"] > sum(options)


def test_the_scaler_owns_the_replicas_and_fixed_ones_need_none(made: Made) -> None:
    assert "replicas" not in made["Deployment", "gateway"]["spec"]
    scaler = made["HorizontalPodAutoscaler", "gateway"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)
    fixed = Made(replicas={"min": 3, "max": 3})
    assert ("HorizontalPodAutoscaler", "gateway") not in fixed.kinds()
    assert fixed["Deployment", "gateway"]["spec"]["replicas"] == 3


def test_limits_of_tenants_are_divided_by_the_least_replicas(made: Made) -> None:
    (tenant,) = made.module()["tenants"]
    assert (tenant["requests_per_minute"], tenant["tokens_per_minute"]) == (301, 50_000)
    (tenant,) = Made(replicas={"min": 5, "max": 9}).module()["tenants"]
    assert (tenant["requests_per_minute"], tenant["tokens_per_minute"]) == (121, 20_000)


def test_secrets_are_in_the_secret_alone(made: Made) -> None:
    text = made.routes_text()
    assert digest(KEY) in text
    assert "sk-provider-secret" in text
    assert PEERS_KEY in text
    for key in made.kinds() - {("Secret", "gateway-routes")}:
        other = json.dumps(made[key])
        assert not any(secret in other for secret in (digest(KEY), "sk-provider-secret", PEERS_KEY)), key


CHANGES: dict[str, dict[str, Any]] = {
    "a key": {"private": {**PRIVATE, "tenants": [{"name": "acme", "key_digests": [digest("new")]}]}},
    "a limit": {"private": {**PRIVATE, "tenants": [{**PRIVATE["tenants"][0], "requests_per_minute": 5}]}},
    "another model": {
        "spec": spec(model(timeouts=Timeouts(stream=300)), model("small", timeouts=Timeouts(stream=60))),
        "hosts": {"chat": "chat.berth.svc.cluster.local", "small": "small.berth.svc.cluster.local"},
    },
    "a canary": {
        "spec": spec(model(timeouts=Timeouts(stream=300), canary_percent=5.0)),
        "hosts": {"chat": "chat.berth.svc.cluster.local", "chat.canary": "chat-canary.berth.svc.cluster.local"},
    },
    "capacities": {"capacities": {"chat": {"concurrent_requests": 16}}},
    "more replicas at most": {"replicas": {"min": 2, "max": 9}},
    "the public name": {"host": "other.example.com"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_live_leaves_the_pods_alone(made: Made, what: str) -> None:
    changed = Made(**CHANGES[what])
    assert changed["Deployment", "gateway"] == made["Deployment", "gateway"]
    assert changed["ConfigMap", "gateway-start"] == made["ConfigMap", "gateway-start"]
    for key in (("ConfigMap", "gateway-clusters"), ("Secret", "gateway-routes")):
        assert changed[key]["metadata"] == made[key]["metadata"], "kept names, so that pods find them"


def test_another_listener_is_another_folder_and_other_pods(made: Made) -> None:
    changed = Made(spec=spec(model(timeouts=Timeouts(stream=300)), max_connections=5))
    old, new = (m["ConfigMap", "gateway-start"]["metadata"]["name"] for m in (made, changed))
    assert old != new
    volumes = {v["name"]: v for v in changed.pod()["volumes"]}
    assert volumes["start"]["configMap"]["name"] == new
    assert changed["ConfigMap", "gateway-start"]["immutable"] is True


def test_servers_are_found_by_name_and_the_picker_knows_their_room(made: Made) -> None:
    chat = made.clusters()["chat"]
    assert chat["cluster_type"]["name"] == "envoy.cluster.dns"
    (locality,) = chat["load_assignment"]["endpoints"]
    (endpoint,) = locality["lb_endpoints"]
    address = {"address": "chat.berth.svc.cluster.local", "port_value": 8080}
    assert endpoint["endpoint"]["address"]["socket_address"] == address
    assert endpoint["metadata"]["filter_metadata"]["berth"] == {"concurrent_requests": 8}


def test_peers_are_found_before_they_are_ready_and_talk_only_to_each_other(made: Made) -> None:
    service = made["Service", "gateway-peers"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert made.module()["peers"]["others"] == ["gateway-peers.berth.svc.cluster.local:7946"]
    policy = made["NetworkPolicy", "gateway"]["spec"]
    own = [{"podSelector": {"matchLabels": policy["podSelector"]["matchLabels"]}}]
    udp = [{"port": 7946, "protocol": "UDP"}]
    assert {"from": own, "ports": udp} in [dict(rule) for rule in policy["ingress"]]
    assert {"to": own, "ports": udp} in [dict(rule) for rule in policy["egress"]]
    assert sum(rule.get("ports") == udp for rule in policy["ingress"]) == 1
    alone = Made(peers_key=None)
    assert ("Service", "gateway-peers") not in alone.kinds()
    assert "peers" not in alone.module()
    assert "UDP" not in json.dumps(alone.pod()["containers"][0]["ports"])


def test_providers_are_reached_on_public_addresses_alone(made: Made) -> None:
    rules = made["NetworkPolicy", "gateway"]["spec"]["egress"]
    (public,) = [rule for rule in rules if "0.0.0.0/0" in json.dumps(rule)]
    assert public["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert "169.254.0.0/16" in public["to"][0]["ipBlock"]["except"]
    none = Made(spec=spec(providers=()), private={**PRIVATE, "provider_keys": {}})
    assert "0.0.0.0/0" not in json.dumps(none["NetworkPolicy", "gateway"])


def test_a_certificate_gives_https_and_nothing_else_is_open() -> None:
    made = Made(certificate="api-tls")
    assert made.url == "https://api.example.com"
    (port,) = made["Service", "gateway"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (443, "https")
    volumes = {v["name"]: v for v in made.pod()["volumes"]}
    assert volumes["certificate"]["secret"]["secretName"] == "api-tls"
    opened = [rule["ports"][0]["port"] for rule in made["NetworkPolicy", "gateway"]["spec"]["ingress"]]
    assert 8000 not in opened
    assert [r["name"] for r in made.start()["lds.json"]["resources"]] == ["gateway", "gateway-tls"]


def test_clients_keep_their_addresses_where_routing_needs_them(made: Made) -> None:
    assert "externalTrafficPolicy" not in made["Service", "gateway"]["spec"]
    by_address = Routing(Policy.CONSISTENT_HASH, HashOn.CLIENT_ADDRESS)
    hashed = spec(model(routing=by_address))
    assert Made(spec=hashed)["Service", "gateway"]["spec"]["externalTrafficPolicy"] == "Local"
    inside = Made(spec=hashed, service_type="ClusterIP")["Service", "gateway"]["spec"]
    assert (inside["type"], "externalTrafficPolicy" in inside) == ("ClusterIP", False)


def test_what_cannot_be_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"hosts lacks chat(.|\n)*one of LoadBalancer, ClusterIP"):
        Made(hosts={}, service_type="NodePort")
    with pytest.raises(ValueError, match="1 <= min <= max"):
        Made(replicas={"min": 3, "max": 2})


def test_envoy_judges_before_anything_is_registered() -> None:
    ensure("envoy"), ensure("picker")  # what is not there is not asked
    with pytest.raises(InstallError, match="Envoy refuses"):
        Made(spec=spec(header_seconds=-1.0))
