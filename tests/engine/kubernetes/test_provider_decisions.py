"""What the test provider decides without a cluster: names, differences, replacements, other clusters."""

from typing import Any

import pytest

from tests.fakes.kubernetes_provider import configuration, naming, ownership, properties
from tests.fakes.kubernetes_provider.decision import Decision, decide
from tests.fakes.kubernetes_provider.normal import comparable, quantity
from tests.fakes.kubernetes_provider.properties import UNKNOWN, Secret
from tests.fakes.kubernetes_provider.protocol import provider_pb2
from tests.fakes.kubernetes_provider.settings import Settings, SettingsError
from tests.fakes.kubernetes_provider.waits import custom, jsonpath
from tests.support.cluster.workloads import deployment, pod, pod_spec, service

Object = dict[str, Any]


def item(version: str, kind: str, **fields: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "ns"}, **fields}


def decision(old: Object, new: Object, live: Object | None = None, settings: Object | None = None) -> Decision:
    return decide(old, live or comparable(old), new, [], Settings.read(settings or {}, {}), namespaced=True)


def texts(found: Decision) -> dict[str, str]:
    return {change.text: change.kind for change in found.changes}


def test_fields_that_a_controller_added_are_no_change() -> None:
    old = deployment("x", "ns", 3, pod_spec())
    live = deployment("x", "ns", 3, {**pod_spec(), "dnsPolicy": "ClusterFirst"}, revisionHistoryLimit=10)
    live["status"] = {"replicas": 3}
    assert decision(old, old, live).changes == ()


def test_a_field_that_a_controller_changed_is_put_back() -> None:
    old, live = deployment("x", "ns", 3, pod_spec()), deployment("x", "ns", 5, pod_spec())
    assert texts(decision(old, old, live)) == {"spec.replicas": "UPDATE"}


def test_changes_are_told_by_path() -> None:
    old = deployment("x", "ns", 3, pod_spec())
    new = deployment("x", "ns", 3, pod_spec(1))
    new["metadata"]["annotations"] = {"a.b/c": "d"}
    del new["spec"]["template"]["metadata"]["annotations"]
    old["metadata"]["annotations"], old["spec"]["paused"] = {"old": "1"}, True
    assert texts(decision(old, new)) == {
        "metadata.annotations.old": "DELETE",
        'metadata.annotations["a.b/c"]': "ADD",
        "spec.paused": "DELETE",
        "spec.template.metadata.annotations": "DELETE",
        "spec.template.spec.containers[0].resources": "ADD",
        "spec.template.spec.tolerations": "ADD",
    }


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1000m", "1", True), ("1024Mi", "1Gi", True), ("1", "2", False), (1, "1", True), ("1M", "1Mi", False)],
)
def test_quantities_are_compared_by_value_where_kubernetes_has_them(one: Any, other: Any, same: bool) -> None:
    def limited(value: Any) -> Object:
        spec = pod_spec()
        spec["containers"][0]["resources"] = {"limits": {"cpu": value}}
        return spec

    found = decision(pod("x", "ns", limited(one)), pod("x", "ns", limited(other)))
    assert (found.changes == ()) == same
    labels = [item("v1", "ConfigMap", data={"cpu": value}) for value in (one, other)]
    assert decision(labels[0], labels[1]).changes, "elsewhere the text counts"


def test_what_the_server_leaves_out_is_no_change_of_built_in_kinds() -> None:
    new = deployment("x", "ns", 1, {**pod_spec(), "hostNetwork": False, "volumes": [], "securityContext": {}})
    assert decision(new, new, deployment("x", "ns", 1, pod_spec())).changes == ()
    custom_resource = item("keda.sh/v1alpha1", "ScaledObject", spec={"paused": False})
    dropped = item("keda.sh/v1alpha1", "ScaledObject", spec={})
    assert texts(decision(custom_resource, custom_resource, dropped)) == {"spec.paused": "ADD"}


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "a"}
ROLE = {"kind": "Role", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}


CLAIM_KIND, ROLE_KIND = ("v1", "PersistentVolumeClaim"), ("rbac.authorization.k8s.io/v1", "RoleBinding")
RENAMED = {"spec": {**pod_spec(), "containers": [{"name": "engine", "image": "b"}]}}
GROWN = {"spec": {**CLAIM, "resources": {"requests": {"storage": "2Gi"}}}}
REPLACED: list[tuple[Object, Object, list[str]]] = [
    (item("v1", "ConfigMap", data={"a": "1"}), {"data": {"a": "2"}}, ["data.a"]),
    (item("v1", "ConfigMap", data={"a": "1"}), {"data": {"b": "1"}}, ["data.a", "data.b"]),
    (item("v1", "ConfigMap", data={"a": "1"}), {"immutable": True}, []),
    (item("v1", "Secret", stringData={"a": "1"}), {"stringData": {"a": "2"}}, ["data.a"]),
    (item("v1", "Secret", type="Opaque"), {"type": "other"}, ["type"]),
    (item("v1", "Service", spec={"clusterIP": "10.96.0.9"}), {"spec": {"clusterIP": "None"}}, ["spec.clusterIP"]),
    (item(*CLAIM_KIND, spec=CLAIM), {"spec": {**CLAIM, "storageClassName": "b"}}, ["spec.storageClassName"]),
    (item(*CLAIM_KIND, spec=CLAIM), GROWN, []),
    (
        item("batch/v1", "Job", spec={"template": {"spec": pod_spec()}}),
        {"spec": {"template": {"spec": pod_spec(1)}}},
        ["spec.template.spec.containers[0].resources", "spec.template.spec.tolerations"],
    ),
    (item(*ROLE_KIND, roleRef=ROLE), {"roleRef": {**ROLE, "name": "b"}}, ["roleRef.name"]),
    (item("apps/v1", "StatefulSet", spec={"serviceName": "a"}), {"spec": {"serviceName": "b"}}, ["spec.serviceName"]),
    (item("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1}), {"spec": {"minAvailable": 2}}, []),
    (item("v1", "Pod", spec=pod_spec()), RENAMED, ["spec.containers[0].image"]),
    (item("v1", "Service"), {"metadata": {"name": "x", "namespace": "other"}}, ["metadata.namespace"]),
]


@pytest.mark.parametrize(
    ("old", "change", "replaced"), REPLACED, ids=[f"{old['kind']} {change}" for old, change, _ in REPLACED]
)
def test_what_cannot_be_changed_is_replaced(old: Object, change: Object, replaced: list[str]) -> None:
    found = decision(old, {**old, **change})
    assert found.changes
    assert sorted(change.text for change in found.replacing) == sorted(replaced)


def test_selector_of_a_deployment_replaces_it_and_its_template_does_not() -> None:
    old, other = deployment("x", "ns", 1, pod_spec()), deployment("y", "ns", 1, pod_spec())
    new = {**old, "spec": other["spec"]}
    assert [change.text for change in decision(old, new).replacing] == ["spec.selector.matchLabels.app"]


def test_mutable_config_maps_and_secrets_are_changed_in_place() -> None:
    for kind, switch in (("ConfigMap", "enableConfigMapMutable"), ("Secret", "enableSecretMutable")):
        old, new = item("v1", kind, data={"a": "MQ=="}), item("v1", kind, data={"a": "Mg=="})
        assert decision(old, new, settings={switch: "true"}).replacing == ()
        assert decision({**old, "immutable": True}, {**new, "immutable": True}, settings={switch: "true"}).replacing


def test_old_object_goes_first_only_where_the_new_one_has_its_name() -> None:
    old, new = item("v1", "ConfigMap", data={"a": "1"}), item("v1", "ConfigMap", data={"a": "2"})
    assert decision(old, new).delete_first
    moved = {**new, "metadata": {"name": "x", "namespace": "other"}}
    assert not decision(old, moved).delete_first
    renamed = {**new, "metadata": {"name": "x", "namespace": "ns", "annotations": {"pulumi.com/autonamed": "true"}}}
    assert not decision(old, renamed).delete_first


def test_ignored_changes_are_no_changes() -> None:
    old, new = deployment("x", "ns", 1, pod_spec()), deployment("x", "ns", 2, pod_spec(1))
    ignored = ["spec.replicas", "spec.template.spec"]
    assert decide(old, old, new, ignored, Settings.read({}, {}), namespaced=True).changes == ()


def test_unknown_values_are_changes() -> None:
    old, new = service("x", "ns"), service("x", "ns", clusterIP=UNKNOWN)
    assert [change.text for change in decision(old, new).replacing] == ["spec.clusterIP"]


def test_objects_without_a_name_get_one_and_keep_it() -> None:
    first = naming.named({"metadata": {}}, {}, "settings", b"seed", None)
    assert first["metadata"]["name"].startswith("settings-")
    assert len(first["metadata"]["name"]) == len("settings-") + 8
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert naming.named({"metadata": {}}, first, "settings", b"other", None) == first
    options = provider_pb2.CheckRequest.AutonamingOptions(proposed_name="prod-settings")
    assert naming.named({}, {}, "settings", b"", options)["metadata"]["name"] == "prod-settings"
    options.mode = provider_pb2.CheckRequest.AutonamingOptions.DISABLE
    with pytest.raises(naming.NamingError, match=r"requires explicit `\.metadata\.name`"):
        naming.named({}, {}, "settings", b"", options)


def test_properties_come_back_as_they_were_with_secrets_and_unknowns() -> None:
    values = {"a": 1, "b": [Secret({"c": "d"}), UNKNOWN], "x-kubernetes-list-type": "map", "f": 1.5, "t": True}
    message = properties.write(values)
    assert "x_kubernetes_list_type" in message.fields
    assert properties.read(message) == values
    assert properties.has_unknown(values)
    assert properties.plain(values)["b"][0] == {"c": "d"}
    assert properties.marked({"b": [1], "a": 2}, values) == {"b": Secret([1]), "a": 2}


def kubeconfig(server: str) -> str:
    return f"""
current-context: a
contexts: [{{name: a, context: {{cluster: one, user: u}}}}]
clusters: [{{name: one, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: t}}}}]
"""


def replaced(old: Object, new: Object) -> list[str]:
    return list(configuration.difference(old, new).replaces)


def test_another_active_cluster_replaces_everything() -> None:
    one, other = {"kubeconfig": kubeconfig("https://a")}, {"kubeconfig": kubeconfig("https://b")}
    assert replaced(one, other) == ["kubeconfig"]
    assert replaced(one, {"kubeconfig": kubeconfig("https://a").replace("token: t", "token: u")}) == []
    assert replaced(one, {"kubeconfig": UNKNOWN}) == ["kubeconfig"]


def test_identifier_alone_decides_where_there_is_one() -> None:
    one, other = ({"kubeconfig": kubeconfig(f"https://{x}"), "clusterIdentifier": "prod"} for x in "ab")
    assert replaced(one, other) == []
    assert replaced(one, {**one, "kubeconfig": UNKNOWN}) == []
    assert replaced(one, {**one, "clusterIdentifier": "staging"}) == ["clusterIdentifier"]
    without = {"kubeconfig": kubeconfig("https://a")}
    assert replaced(without, one) == []


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(SettingsError, match="renderYamlToDirectory is not in the test provider"):
        Settings.read({"renderYamlToDirectory": "out"}, {})
    with pytest.raises(SettingsError, match="enableServerSideApply: false"):
        Settings.read({"enableServerSideApply": "false"}, {})
    assert Settings.read({}, {"PULUMI_K8S_ENABLE_PATCH_FORCE": "true"}).patch_force


NODE = {
    "status": {
        "phase": "Ready",
        "n": 3,
        "conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "False"}],
    }
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("{.status.phase}", ["Ready"]),
        ("{$.status['phase']}", ["Ready"]),
        ('{.status.conditions[?(@.type=="B")].status}', ["False"]),
        ("{.status.conditions[*].type}", ["A", "B"]),
        ("{.status.conditions[-1].type}", ["B"]),
        ("{.status.conditions[7].type}", []),
        ("{.spec.absent}", []),
    ],
)
def test_json_paths(expression: str, found: list[str]) -> None:
    assert jsonpath.find(expression, NODE) == found


@pytest.mark.parametrize(
    ("wanted", "done"),
    [
        ("jsonpath={.status.phase}=Ready", True),
        ("jsonpath={.status.n}=3", True),
        ("jsonpath={.status.absent}", False),
        ("condition=A", True),
        ("condition=B=False", True),
        ('["condition=A", "condition=B"]', False),
    ],
)
def test_wait_for_annotation(wanted: str, done: bool) -> None:
    waiting = {**NODE, "metadata": {"name": "x", "annotations": {"pulumi.com/waitFor": wanted}}}
    found = custom.CustomWait(None, waiting)  # type: ignore[arg-type]  # it only looks
    assert found.done() == done
    assert bool(found.problems()) != done


@pytest.mark.parametrize("wanted", ["status.phase=Ready", "jsonpath={.status[}", "[]"])
def test_wait_for_annotation_that_is_not_understood_is_an_error_at_once(wanted: str) -> None:
    with pytest.raises(custom.WaitForError, match=r"pulumi\.com/waitFor: "):
        custom.CustomWait(None, {"metadata": {"annotations": {"pulumi.com/waitFor": wanted}}})  # type: ignore[arg-type]


def managed(manager: str, operation: str, *fields: str, **more: str) -> Object:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {f"f:{f}": {} for f in fields}}, **more}


def test_what_was_created_is_taken_over_by_the_applier() -> None:
    created = managed("pulumi-kubernetes-1", "Update", "a", "b")
    other, status = managed("hpa", "Update", "c"), managed("pulumi-kubernetes-1", "Update", "d", subresource="status")
    live = {"metadata": {"resourceVersion": "7", "managedFields": [created, other, status]}}
    test, replace = ownership.takeover(live, "pulumi-kubernetes-1")
    assert test["value"] == "7"
    assert replace["value"] == [other, status, managed("pulumi-kubernetes-1", "Apply", "a", "b")]
    live["metadata"]["managedFields"] = replace["value"]
    assert ownership.takeover(live, "pulumi-kubernetes-1") == []


def test_ignored_fields_stay_as_their_owner_has_them() -> None:
    fields = [
        managed("us", "Apply", "replicas", "paused"),
        managed("hpa", "Update", "replicas"),
        managed("x", "Update", "c"),
    ]
    live = {"metadata": {"managedFields": fields}, "spec": {"replicas": 5, "paused": True, "c": 1}}
    inputs = {"spec": {"replicas": 1, "paused": False, "c": 2, "d": 3}}
    ignored = ["spec.replicas", "spec.c", "spec.d"]
    assert ownership.without_ignored(inputs, live, ignored, "us") == {"spec": {"replicas": 5, "paused": False, "d": 3}}


@pytest.mark.parametrize(
    ("text", "value"), [("1500m", "1.5"), ("2Ki", "2048"), ("1e3", "1000"), ("3", "3"), ("1.5G", "1500000000")]
)
def test_quantities(text: str, value: str) -> None:
    assert str((quantity(text) or 0).normalize()) == str(quantity(value).normalize())  # type: ignore[union-attr]


def test_texts_are_no_quantities() -> None:
    assert quantity("engine") is None
    assert quantity("1x") is None
