"""Components used from a program that does not have their code: by the plugin, under the real engine, on the cluster.

The program knows a type token and plain arguments, no more than one in YAML or TypeScript would.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from infra.tasks.session import ROOT
from infra.toolchain import engine_env
from tests.support.cluster.program import PROJECT, STACK, Program
from tests.support.kubernetes_api import Client
from tests.support.model_servers import arguments

SCHEMA = ROOT / "tests/program/kubernetes/schema.json"
PROGRAM = """\
import json

import pulumi
import pulumi_kubernetes as k8s


class Remote(pulumi.ComponentResource):
    host: pulumi.Output[str]

    def __init__(self, token, name, properties, outputs, opts=None):
        super().__init__(token, name, {**properties, **dict.fromkeys(outputs)}, opts, remote=True)


cluster = k8s.Provider("cluster", kubeconfig=open("kubeconfig").read(), cluster_identifier="test")
asked = json.load(open("asked.json"))
options = {"providers": {"kubernetes": cluster}}
space = Remote("berth:index:Namespace", "space", asked["namespace"], [], pulumi.ResourceOptions(**options))
options["depends_on"] = [space]
k8s.core.v1.PersistentVolumeClaim(
    "models",
    metadata={"name": "models", "namespace": asked["namespace"]["name"]},
    spec={
        "accessModes": ["ReadWriteMany"],
        "storageClassName": asked["storage_class"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
    opts=pulumi.ResourceOptions(provider=cluster, depends_on=[space]),
)
server = Remote("berth:index:ModelServer", "chat", asked["server"], ["host"], pulumi.ResourceOptions(**options))
pulumi.export("host", server.host)
"""


@pytest.fixture
def foreign(program: Program) -> Program:
    """A project that names the plugin by its folder, as `packages` of a YAML program does."""
    document = yaml.safe_load((program.root / "Pulumi.yaml").read_text())
    document["plugins"]["providers"].append({"name": "berth", "path": str(ROOT / "infra")})
    (program.root / "Pulumi.yaml").write_text(yaml.safe_dump(document))
    program.write("", PROGRAM)
    return program


def camel(value: Any) -> Any:
    """Arguments in the spelling of the schema. Maps with keys of the user's own are left alone."""
    own = ("options", "limits", "nodeLabels")
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        first, *rest = key.split("_")
        name = first + "".join(word.title() for word in rest)
        found[name] = item if name in own else camel(item)
    return found


@pytest.fixture
def volumes(api: Client) -> Iterator[str]:
    """A storage class for the weights."""
    name = "weights-of-host"
    api.create(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "sim"}
    )
    yield name
    api.delete("storage.k8s.io/v1", "StorageClass", name)


def test_a_program_without_the_code_deploys_a_model_server(foreign: Program, api: Client, volumes: str) -> None:
    space = "foreign"
    asked = {
        "namespace": {"name": space, "stack": "foreign", "gpuQuota": {"nvidia.com/gpu": 3}},
        "server": camel(arguments(namespace=space, stack="foreign", priority_class=f"{space}-model-server")),
        "storage_class": volumes,
    }
    (foreign.root / "infra/asked.json").write_text(json.dumps(asked))
    foreign.up()
    (deployment,) = api.items("apps/v1", "Deployment", space)
    assert deployment["metadata"]["labels"]["berth.dev/stack"] == "foreign"
    assert deployment["status"]["availableReplicas"] == 2
    pods = api.items("v1", "Pod", space)
    assert {pod["spec"]["nodeName"].rpartition("-1")[0] for pod in pods} == {"g6-xlarge"}
    stack = next(item for name, item in foreign.state().items() if name == f"{PROJECT}-{STACK}")
    assert stack["outputs"]["host"] == f"chat.{space}.svc.cluster.local"
    assert set(foreign.preview().counts()) == {"same"}
    foreign.destroy()
    assert api.find("v1", "Namespace", space) is None


def test_arguments_that_make_no_server_are_refused_with_the_reason(foreign: Program, volumes: str) -> None:
    asked = {
        "namespace": {"name": "refused", "stack": "foreign"},
        "server": camel(arguments(namespace="refused", stack="foreign", image="registry.test/vllm:latest")),
        "storage_class": volumes,
    }
    (foreign.root / "infra/asked.json").write_text(json.dumps(asked))
    run = foreign.pulumi("preview")
    assert run.status != 0
    assert "registry.test/vllm:latest" in run.output


def test_the_engine_itself_reads_the_schema(foreign: Program) -> None:
    """What `pulumi package add` and every generated SDK start from."""
    done = subprocess.run(
        ["pulumi", "package", "get-schema", str(ROOT / "infra")],
        cwd=foreign.root,
        env={**os.environ, **engine_env(), "PULUMI_HOME": str(foreign.root / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    read, golden = json.loads(done.stdout), json.loads(SCHEMA.read_text())
    assert set(read["resources"]) == set(golden["resources"])
    for token, resource in golden["resources"].items():
        assert set(read["resources"][token]["inputProperties"]) == set(resource["inputProperties"])
        assert set(read["resources"][token].get("requiredInputs", ())) == set(resource.get("requiredInputs", ()))
