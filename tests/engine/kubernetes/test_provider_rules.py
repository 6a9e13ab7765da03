"""The test provider's rules under the real engine: owners, replacements, waits, deletion, refresh, preview, secrets."""

from collections.abc import Callable

from tests.support.cluster import Behaviour
from tests.support.cluster.program import STATE, Placed, Program
from tests.support.cluster.workloads import deployment, pod_spec, service
from tests.support.kubernetes_api import Client, Object

Until = Callable[..., None]


def config_map(name: str, namespace: str, **data: str) -> Object:
    metadata = {"namespace": namespace, **({"name": name} if name else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def annotated(item: Object, **annotations: str) -> Object:
    marks = {f"pulumi.com/{name}": value for name, value in annotations.items()}
    metadata = item["metadata"]
    return {**item, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **marks}}}


def scaled(namespace: str, trigger: Object) -> Object:
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "engine", "namespace": namespace},
        "spec": {"scaleTargetRef": {"name": "engine"}, "triggers": [trigger]},
    }


def test_objects_and_fields_of_others_are_left_alone_unless_told_otherwise(
    program: Program, api: Client, namespace: str
) -> None:
    api.create(config_map("taken", namespace, a="theirs"))
    program.place(config_map("taken", namespace, a="ours"))
    refused = program.try_up()
    assert refused.status != 0
    assert 'successfully created by the Kubernetes API server: configmaps "taken" already exists' in refused.output
    assert "taken" not in program.state()

    mutable = {"enableConfigMapMutable": "true"}
    engine = deployment("engine", namespace, 1, pod_spec())
    program.place(config_map("shared", namespace, a="1"), engine, provider=mutable)
    program.up()
    # Others take a field each: a person the data, a scaler the replicas.
    api.apply(config_map("shared", namespace, a="theirs"), "person", force=True)
    api.apply({**engine, "spec": {"replicas": 2}}, "scaler", force=True)

    grown = deployment("engine", namespace, 1, pod_spec(priority=0))
    ignoring = Placed(grown, ignored=("spec.replicas",))
    program.place(config_map("shared", namespace, a="2"), ignoring, provider=mutable)
    conflict = program.try_up()
    assert conflict.status != 0
    assert "Server-Side Apply field conflict detected" in conflict.output
    assert 'conflict with "person": .data.a' in conflict.output, conflict.output
    assert api.get("apps/v1", "Deployment", "engine", namespace)["spec"]["replicas"] == 2

    program.place(annotated(config_map("shared", namespace, b="2"), patchForce="true"), ignoring, provider=mutable)
    program.up()
    # What the creation wrote belongs to the applier since, so a key that the program drops goes.
    assert api.get("v1", "ConfigMap", "shared", namespace)["data"] == {"a": "theirs", "b": "2"}


def test_replaced_objects_come_before_or_after_the_old_ones_by_their_names(
    program: Program, api: Client, namespace: str
) -> None:
    def write(value: str) -> None:
        fixed = config_map("fixed", namespace, a=value)
        program.place(fixed, Placed(config_map("", namespace, a=value), name="free"))

    write("1")
    program.up()
    first = program.state()["free"]["outputs"]["metadata"]
    assert first["name"].startswith("free-")
    assert first["annotations"] == {"pulumi.com/autonamed": "true"}
    write("2")
    run = program.up()
    steps = [
        (metadata["urn"].rpartition("::")[2], metadata["op"])
        for event in run.events
        if (metadata := event.get("resourcePreEvent", {}).get("metadata")) and metadata["op"] != "same"
    ]
    assert [op for name, op in steps if name == "free"] == ["create-replacement", "replace", "delete-replaced"]
    assert [op for name, op in steps if name == "fixed"] == ["delete-replaced", "replace", "create-replacement"]
    assert program.state()["free"]["outputs"]["metadata"]["name"] != first["name"]
    assert api.find("v1", "ConfigMap", first["name"], namespace) is None


def test_waits_end_with_the_reason_and_the_object_is_kept(program: Program, api: Client, namespace: str) -> None:
    lonely = service("lonely", namespace)
    headless = service("headless", namespace, clusterIP="None")
    hasty = annotated(deployment("hasty", namespace, 1, pod_spec(), Behaviour(unready=True)), skipAwait="true")
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": {"spec": pod_spec(restartPolicy="Never")}},
    }
    job["spec"]["template"]["metadata"] = {"annotations": Behaviour(crash=0.1).annotations()}
    unplaced = deployment("unplaced", namespace, 1, pod_spec(16))
    never = annotated(
        scaled(namespace, {"type": "cron", "metadata": {}}), waitFor="condition=Ready", timeoutSeconds="2"
    )
    soon = annotated(deployment("soon", namespace, 1, pod_spec()), waitFor="jsonpath={.status.replicas}=1")
    soon["spec"]["template"]["metadata"]["annotations"] = Behaviour(unready=True).annotations()
    quick = {"create": "2s"}
    objects: list[Object | Placed] = [
        Placed(lonely, timeouts=quick),
        headless,
        hasty,
        job,
        # The scheduler gets time to say why.
        Placed(unplaced, timeouts={"create": "10s"}),
        never,
        soon,
    ]
    # Longer than the annotation, which it outdoes.
    patient = Placed(annotated(service("patient", namespace), timeoutSeconds="60"), timeouts=quick)
    program.place(*objects, patient)
    run = program.try_up("--parallel", "20")
    assert run.status != 0
    for told in (
        "'lonely' timed out waiting to be Ready",
        "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match",
        "Resource 'job' was created but failed to initialize",
        "[BackoffLimitExceeded] Job has reached the specified backoff limit",
        'container "engine" completed with exit code 1',
        "'unplaced' timed out waiting to be Ready",
        "Minimum number of live Pods was not attained",
        "0/7 nodes are available",
        "'engine' timed out waiting to be Ready",
        "Waiting for condition=Ready",
        "'patient' timed out waiting to be Ready",
    ):
        assert told in run.output, told
    state = program.state()
    assert {name for name, resource in state.items() if "initErrors" in resource} == {
        "lonely", "job", "unplaced", "engine", "patient"
    }  # fmt: skip
    assert {"headless", "hasty", "soon"} <= state.keys()


def test_deletion_waits_and_names_the_finalizer_that_holds_an_object(
    program: Program, api: Client, namespace: str
) -> None:
    held = config_map("held", namespace, a="1")
    held["metadata"]["finalizers"] = ["test.invalid/hold"]
    # In the foreground the garbage collector's own finalizer might still be there too.
    held = annotated(held, deletionPropagationPolicy="background")
    program.place(Placed(held, timeouts={"delete": "2s"}))
    program.up()
    run = program.pulumi("destroy", "--yes", "--skip-preview")
    assert run.status != 0
    assert "'held' timed out waiting to be Deleted" in run.output
    assert "finalizers might be preventing deletion (test.invalid/hold)" in run.output
    api.patch("v1", "ConfigMap", "held", {"metadata": {"finalizers": None}}, namespace)
    program.destroy()


def test_refresh_sees_what_changed_and_what_is_gone(program: Program, api: Client, namespace: str) -> None:
    program.place(config_map("changed", namespace, a="1"), config_map("gone", namespace, a="1"))
    program.up()
    api.patch("v1", "ConfigMap", "changed", {"data": {"a": "2", "b": "3"}}, namespace)
    api.delete("v1", "ConfigMap", "gone", namespace)
    refreshed = program.pulumi("refresh", "--yes", "--skip-preview")
    assert refreshed.status == 0, refreshed.output
    state = program.state()
    assert "gone" not in state
    assert state["changed"]["inputs"]["data"] == {"a": "2"}, "what the program does not speak of is no input"
    assert program.preview().operations() == {"changed": "create-replacement", "gone": "create"}


def test_previews_ask_the_server(program: Program, namespace: str, api: Client) -> None:
    good, bad = scaled(namespace, {"type": "cron", "metadata": {}}), scaled(namespace, {"metadata": {}})
    program.place(config_map("later", "not-there-yet", a="1"), good)
    program.preview()
    program.place(bad)
    refused = program.pulumi("preview")
    assert refused.status != 0
    assert "spec.triggers[0].type: Required value" in refused.output
    assert api.find(good["apiVersion"], "ScaledObject", "engine", namespace) is None


WIDGET: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.test.invalid"},
    "spec": {
        "group": "test.invalid",
        "scope": "Cluster",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def test_a_definition_and_its_resource_come_in_one_program(program: Program, api: Client) -> None:
    widget = {"apiVersion": "test.invalid/v1", "kind": "Widget", "metadata": {"name": "one"}, "spec": {"size": 3}}
    # In the foreground it would wait for the garbage collector, which looks for new kinds twice a minute.
    widget = annotated(widget, deletionPropagationPolicy="background")
    program.place(WIDGET, Placed(widget, after=("widgets.test.invalid",)))
    program.preview()
    program.up()
    assert api.get("test.invalid/v1", "Widget", "one")["spec"] == {"size": 3}
    program.preview("--expect-no-changes")
    program.destroy()
    assert api.find("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.test.invalid") is None


def test_secrets_are_encrypted_in_the_state(program: Program, api: Client, namespace: str) -> None:
    program.write(f"""
    key = pulumi.Output.secret("hf_do-not-show")
    k8s.core.v1.Secret(
        "keys", metadata={{"name": "keys", "namespace": {namespace!r}}}, string_data={{"key": key}}, opts=on_cluster
    )
    there = k8s.core.v1.ServiceAccount.get("there", "{namespace}/default", opts=on_cluster)
    pulumi.export("account", there.metadata["name"])
    """)
    run = program.up()
    assert 'account: "default"' in run.output
    assert api.get("v1", "Secret", "keys", namespace)["data"] == {"key": "aGZfZG8tbm90LXNob3c="}
    stored = (program.root / STATE).read_text()
    assert "hf_do-not-show" not in stored + run.output
    assert "aGZfZG8tbm90LXNob3c=" not in stored + run.output
    program.preview("--expect-no-changes")


def test_without_a_cluster_previews_work_and_nothing_else_does(program: Program) -> None:
    program.place(config_map("c", "default", a="1"), provider={"context": "absent"})
    program.preview()
    run = program.try_up()
    assert run.status != 0
    assert 'Kubernetes cluster is unreachable: context "absent" does not exist in the kubeconfig' in run.output
