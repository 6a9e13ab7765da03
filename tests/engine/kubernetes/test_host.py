"""Components used from programs that do not have their code: by the plugin, under the real engine, on the cluster."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import toolchain
from infra.tasks.session import ROOT
from infra.toolchain import engine_env
from tests.support.cluster import Cluster
from tests.support.cluster.program import PROJECT, STACK, Program
from tests.support.kubernetes_api import Client, Object
from tests.support.model_servers import arguments

SCHEMA = ROOT / "tests/program/kubernetes/schema.json"
# Knows type tokens and plain arguments, no more than a program in YAML. It gives its provider on by name.
PYTHON = """\
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
server = Remote("berth:index:ModelServer", "chat", asked["server"], ["host"], pulumi.ResourceOptions(**options))
pulumi.export("host", server.host)
"""


@pytest.fixture
def ready(api: Client, namespace: str) -> Iterator[str]:
    """A namespace with a volume for the weights, as a user's own may be."""
    name = f"weights-{namespace}"[:60]
    api.create(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "sim"}
    )
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    api.create(claim)
    yield namespace
    api.delete("storage.k8s.io/v1", "StorageClass", name)


def asked_of(space: str) -> tuple[Object, Object]:
    """Properties of Namespace and ModelServer, as the schema spells them."""
    server = arguments(namespace=space, stack="foreign", priority_class=f"{space}-model-server")
    return {"name": space, "stack": "foreign", "adopt": True, "gpuQuota": {"nvidia.com/gpu": 3}}, camel(server)


def camel(value: Any) -> Any:
    """Names of properties in the spelling of the schema. Maps with keys of the user's own are left alone."""
    own = ("options", "nodeLabels")
    if not isinstance(value, Mapping):
        return value
    found = {}
    for key, item in value.items():
        first, *rest = key.split("_")
        name = first + "".join(word.title() for word in rest)
        found[name] = item if name in own else camel(item)
    return found


def change(program: Program, **fields: Any) -> None:
    """Lays fields over the project's file, and names the plugin by its folder."""
    document = yaml.safe_load((program.root / "Pulumi.yaml").read_text())
    plugins = document["plugins"]["providers"]
    document["plugins"]["providers"] = [*plugins, {"name": "berth", "path": str(ROOT / "infra")}]
    (program.root / "Pulumi.yaml").write_text(yaml.safe_dump({**document, **fields}))


def outputs(program: Program) -> Any:
    return program.state()[f"{PROJECT}-{STACK}"]["outputs"]


def test_a_program_in_yaml_deploys_a_model_server(
    program: Program, cluster: Cluster, api: Client, ready: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By a link, as folders of the cache are taken out of the path that the engine gets.
    (tmp_path / "pulumi-language-yaml").symlink_to(toolchain.ensure("pulumi-language-yaml"))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{tmp_path}")
    space, server = asked_of(ready)
    change(
        program,
        runtime="yaml",
        main=".",
        resources={
            "space": {"type": "berth:index:Namespace", "properties": space},
            "chat": {
                "type": "berth:index:ModelServer",
                "properties": server,
                "options": {"dependsOn": ["${space}"]},
            },
        },
        outputs={"host": "${chat.host}"},
    )
    kubeconfig = cluster.kubeconfig().read_text()
    assert program.pulumi("config", "set", "--secret", "kubernetes:kubeconfig", kubeconfig).status == 0
    run = program.up()
    assert run.operations()["chat"] == "create"
    (deployment,) = api.items("apps/v1", "Deployment", ready)
    assert deployment["metadata"]["labels"]["berth.dev/stack"] == "foreign"
    assert deployment["status"]["availableReplicas"] == 2
    pods = api.items("v1", "Pod", ready)
    assert {pod["spec"]["nodeName"].rpartition("-1")[0] for pod in pods} == {"g6-xlarge"}
    assert outputs(program) == {"host": f"chat.{ready}.svc.cluster.local"}
    assert set(program.preview().counts()) == {"same"}
    program.destroy()
    assert api.items("apps/v1", "Deployment", ready) == []


def test_a_provider_is_given_on_to_what_a_component_makes(program: Program, api: Client, ready: str) -> None:
    change(program)
    program.write("", PYTHON)
    space, server = asked_of(ready)
    (program.root / "infra/asked.json").write_text(json.dumps({"namespace": space, "server": server}))
    program.up()
    state = program.state().values()
    (given,) = [item for item in state if item["type"] == "pulumi:providers:kubernetes"]
    objects = [item for item in state if item["type"].startswith("kubernetes:")]
    assert objects
    assert {item["provider"] for item in objects} == {f"{given['urn']}::{given['id']}"}
    assert outputs(program) == {"host": f"chat.{ready}.svc.cluster.local"}
    program.destroy()


def test_arguments_that_make_no_server_are_refused_with_the_reason(program: Program) -> None:
    change(program)
    program.write("", PYTHON)
    space, server = asked_of("refused")
    asked = {"namespace": space, "server": {**server, "image": "registry.test/vllm:latest"}}
    (program.root / "infra/asked.json").write_text(json.dumps(asked))
    run = program.pulumi("preview")
    assert run.status != 0
    assert "server chat: image is 'registry.test/vllm:latest'; it must be pinned by digest" in run.output
    assert "infra/components" not in run.output, "the kit's lines of code help nobody"


def test_a_number_that_is_not_whole_is_refused_by_its_name(program: Program) -> None:
    """Other languages have one kind of number."""
    change(program)
    program.write("", PYTHON)
    space, server = asked_of("refused")
    asked = {"namespace": {**space, "gpuQuota": {"nvidia.com/gpu": 2.5}}, "server": {**server, "cpuMillis": 2000.5}}
    (program.root / "infra/asked.json").write_text(json.dumps(asked))
    run = program.pulumi("preview")
    assert run.status != 0
    assert "2.5 is not a whole number" in run.output
    assert "gpuQuota" in run.output


def test_the_engine_itself_reads_the_schema(program: Program) -> None:
    """What `pulumi package add` and every generated SDK start from."""
    done = subprocess.run(
        ["pulumi", "package", "get-schema", str(ROOT / "infra")],
        cwd=program.root,
        env={**os.environ, **engine_env(), "PULUMI_HOME": str(program.root / "home")},
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
