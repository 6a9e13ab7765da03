"""The model store under the real engine, on a real control plane: staged once, before servers, and only then."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from infra.components.kubernetes.model_store_job import job_name
from tests.support.cluster import Behaviour, Item, inventory
from tests.support.cluster.program import Program
from tests.support.cluster.timeline import ready
from tests.support.kubernetes_api import Client, Object

CHAT, NEXT = (f"hf://acme/chat@{digits * 20}" for digits in ("0a", "0b"))
EMBED = "s3://acme-weights/embed/v3"
CLASS = "shared-weights"
CLAIM = f"models-{CLASS}"
STAGING_SECONDS = 3.0
_PROGRAM = """
from infra.components.kubernetes.model_store import ModelStore
from infra.components.kubernetes.namespace import Namespace

given = {given!r}


def simulated(args):
    if args.type_ != "kubernetes:batch/v1:Job":
        return None
    # Retries wait 10 s, 20 s and so on.
    spec = {{**args.props["spec"], "backoffLimit": 0}}
    template = spec["template"]
    spec["template"] = {{**template, "metadata": {{**template["metadata"], "annotations": given["behaviour"]}}}}
    return pulumi.ResourceTransformResult({{**args.props, "spec": spec}}, args.opts)


pulumi.runtime.register_resource_transform(simulated)
space = Namespace("space", {{"name": given["space"], "stack": "test"}}, ResourceOptions(providers=[cluster]))
shared = k8s.storage.v1.StorageClass(
    "shared", metadata={{"name": given["store"]["storage_class"]}}, provisioner="simulated", opts=on_cluster
)
store = ModelStore("weights", given["store"], ResourceOptions(providers=[cluster], depends_on=[space, shared]))
labels = {{"app": "engine"}}
for source in given["served"]:
    k8s.apps.v1.Deployment(
        "engine",
        metadata={{"name": "engine", "namespace": given["space"]}},
        spec={{
            "selector": {{"match_labels": labels}},
            "template": {{
                "metadata": {{"labels": labels, "annotations": {{"source": source}}}},
                "spec": {{
                    "security_context": {{
                        "run_as_non_root": True,
                        "run_as_user": 1000,
                        "seccomp_profile": {{"type": "RuntimeDefault"}},
                    }},
                    "containers": [
                        {{
                            "name": "engine",
                            "image": "engine:1",
                            "security_context": {{
                                "allow_privilege_escalation": False,
                                "capabilities": {{"drop": ["ALL"]}},
                            }},
                        }}
                    ],
                }},
            }},
        }},
        opts=ResourceOptions(provider=cluster, depends_on=[store.jobs[source]]),
    )
pulumi.export("staged", store.staged)
"""


def text(space: str, *sources: str, image: str = "store:1", behaviour: Mapping[str, str], served: str = "") -> str:
    store: dict[str, Any] = {
        "namespace": space,
        "stack": "test",
        "image": image,
        "storage_class": CLASS,
        "sources": [{"source": source, "bytes": 2**30} for source in sources],
        "hub_token": "hf_" + "TEST" * 8,
    }
    given = {"space": space, "store": store, "behaviour": dict(behaviour), "served": [served] if served else []}
    return _PROGRAM.format(given=given)


def stamp(value: str) -> datetime:
    return datetime.fromisoformat(value)


def jobs(api: Client, space: str) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in api.items("batch/v1", "Job", space)}


def test_weights_are_there_before_servers_and_are_staged_once(
    program: Program, api: Client, until: Callable[..., None], before: set[Item]
) -> None:
    space = "staged-once"
    quick = Behaviour(job=STAGING_SECONDS).annotations()
    program.write(text(space, CHAT, EMBED, behaviour=quick, served=CHAT))
    program.preview()
    program.up()
    chat, embed = job_name(CLAIM, CHAT), job_name(CLAIM, EMBED)
    first = jobs(api, space)
    assert set(first) == {chat, embed}
    engine = api.get("apps/v1", "Deployment", "engine", space)
    assert stamp(engine["metadata"]["creationTimestamp"]) >= stamp(first[chat]["status"]["completionTime"])
    claim = api.get("v1", "PersistentVolumeClaim", CLAIM, space)
    assert (claim["status"]["phase"], claim["spec"]["accessModes"]) == ("Bound", ["ReadWriteMany"])

    assert program.preview("--expect-no-changes").operations() == {}
    program.write(text(space, CHAT, EMBED, image="store:2", behaviour=quick, served=CHAT))
    assert program.preview().operations() == {"weights": "update"}, "another image stages nothing again"

    # The next version comes beside the one that is served, and servers move when it is there.
    program.write(text(space, NEXT, EMBED, image="store:2", behaviour=quick, served=NEXT))
    changed = program.up().operations()
    new = job_name(CLAIM, NEXT)
    assert changed == {"weights": "update", f"weights-{new}": "create", f"weights-{chat}": "delete", "engine": "update"}
    second = jobs(api, space)
    assert set(second) == {new, embed}
    assert second[embed]["metadata"]["uid"] == first[embed]["metadata"]["uid"]
    (pod,) = (item for item in api.items("v1", "Pod", space, labels="app=engine") if ready(item))
    assert stamp(pod["metadata"]["creationTimestamp"]) >= stamp(second[new]["status"]["completionTime"])
    same = api.get("v1", "PersistentVolumeClaim", CLAIM, space)
    assert same["metadata"]["uid"] == claim["metadata"]["uid"]

    program.destroy()
    until("the end of its volume", lambda: inventory(api) <= before)
    assert inventory(api) == before


def test_a_job_that_failed_is_told_with_its_pod_and_replaced_by_a_better_one(program: Program, api: Client) -> None:
    space = "failed-job"
    program.write(text(space, CHAT, behaviour=Behaviour(crash=0.1).annotations(), served=CHAT))
    failed = program.try_up()
    assert failed.status != 0
    name = job_name(CLAIM, CHAT)
    old = jobs(api, space)[name]
    for told in (f"'{name}' was created but failed", f"[Pod {space}/{name}-", "completed with exit code 1"):
        assert told in failed.output, failed.output
    assert not api.find("apps/v1", "Deployment", "engine", space), "servers wait for their weights"

    quick = Behaviour(job=0.2).annotations()
    program.write(text(space, CHAT, image="store:2", behaviour=quick, served=CHAT))
    done = program.up().operations()
    assert (done["engine"], done.get(f"weights-{name}") in ("replace", "create-replacement")) == ("create", True)
    new = jobs(api, space)[name]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["spec"]["template"]["spec"]["containers"][0]["image"] == "store:2"
    assert program.preview("--expect-no-changes").operations() == {}
    program.destroy()
