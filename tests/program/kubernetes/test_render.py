"""Programs written down as manifests: order, names, numbers; what is left out, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
import yaml

from infra.components.kubernetes.model_server import ModelServer
from infra.components.kubernetes.namespace import Namespace
from infra.providers.kept_secret import KeptSecret
from infra.render import RenderError, collect, pages, placeholders, write
from infra.tasks.session import ROOT
from tests.support.model_servers import arguments, encoder, many_hosts


def rendered(program: Callable[[], object], **config: str) -> dict[str, str]:
    return pages("test", collect(program, "test", ROOT, config, list(config)))


def objects(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def servers() -> None:
    cluster = k8s.Provider("cluster", context="dev")
    options = pulumi.ResourceOptions(providers={"kubernetes": cluster})
    space = Namespace("berth", {"name": "berth", "stack": "test", "gpu_quota": {"nvidia.com/gpu": 3}}, options)
    after = pulumi.ResourceOptions(providers={"kubernetes": cluster}, depends_on=[space])
    # Registered against the order in which they are to be read.
    for args in (many_hosts(), encoder(), arguments()):
        ModelServer(args["model"], args, after)


def test_there_is_a_file_a_component_and_an_order_among_them() -> None:
    files = rendered(servers)
    assert list(files) == ["berth.yaml", "chat.yaml", "embed.yaml", "huge.yaml", "kustomization.yaml", "README.md"]
    index = yaml.safe_load(files["kustomization.yaml"])
    assert index["resources"] == ["berth.yaml", "chat.yaml", "embed.yaml", "huge.yaml"]
    assert index["sortOptions"] == {"order": "fifo"}
    assert [item["kind"] for item in objects(files["berth.yaml"])][:1] == ["Namespace"]
    kinds = [item["kind"] for item in objects(files["chat.yaml"])]
    assert kinds.index("ServiceAccount") < kinds.index("Deployment")
    assert kinds.index("NetworkPolicy") < kinds.index("Deployment")


def test_rendering_twice_gives_the_same_to_the_byte() -> None:
    assert rendered(servers) == rendered(servers)


def test_manifests_are_plain() -> None:
    files = rendered(servers)
    text = "".join(content for name, content in files.items() if name.endswith(".yaml"))
    assert "pulumi.com/" not in text
    assert "null" not in text
    (deployment,) = [item for item in objects(files["chat.yaml"]) if item["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 2
    assert "replicas: 2\n" in files["chat.yaml"]
    assert list(deployment) == ["apiVersion", "kind", "metadata", "spec"]


def test_the_readme_names_the_kinds_that_a_cluster_must_know() -> None:
    assert "- `leaderworkerset.x-k8s.io/v1`" in rendered(servers)["README.md"]


def secrets() -> None:
    key = KeptSecret("peers")
    given = pulumi.Config("berth").require_secret("token")
    files = {"key": key.value, "token": given}
    k8s.core.v1.Secret("gateway", metadata={"name": "gateway-keys", "namespace": "berth"}, string_data=files)
    k8s.core.v1.ConfigMap("plain", metadata={"name": "plain"}, data={"two": "first\nsecond\n", "many": "1"})


def test_secrets_are_left_out_and_told() -> None:
    token = placeholders.placeholder("berth:token")
    files = rendered(secrets, **{"berth:token": token})
    assert list(files) == ["plain.yaml", "kustomization.yaml", "README.md"]
    assert "| `gateway-keys` | `berth` | Opaque | `key`, `token` |" in files["README.md"]
    assert not any(placeholders.MARK in content for content in files.values())
    assert "- `pulumi-python:dynamic/stack:KeptSecret`, which is not an object" in files["README.md"]


def test_texts_of_several_lines_are_written_as_such_and_texts_stay_texts() -> None:
    content = rendered(secrets, **{"berth:token": "x"})["plain.yaml"]
    assert "  two: |\n    first\n    second\n" in content
    assert "  many: '1'\n" in content


def test_a_secret_outside_of_a_secret_is_refused_with_its_place() -> None:
    def program() -> None:
        token = pulumi.Config("berth").require_secret("token")
        k8s.core.v1.ConfigMap("open", metadata={"name": "open"}, data={"a": "b", "token": token})

    with pytest.raises(RenderError, match=r"ConfigMap open: data\.token is secret; only a Secret may hold it"):
        rendered(program, **{"berth:token": "x"})


def test_a_secret_of_the_stack_file_that_lost_its_mark_is_refused() -> None:
    def program() -> None:
        token = pulumi.Output.unsecret(pulumi.Config("berth").require_secret("token"))
        k8s.core.v1.ConfigMap("open", metadata={"name": "open"}, data={"token": token})

    with pytest.raises(RenderError, match=r"a secret of the stack file would stand in open\.yaml"):
        rendered(program, **{"berth:token": placeholders.placeholder("berth:token")})


def test_replicas_of_a_scaler_are_left_to_it() -> None:
    def program() -> None:
        k8s.apps.v1.Deployment(
            "scaled",
            metadata={"name": "scaled"},
            spec={
                "replicas": 1,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "y"}]}},
            },
            opts=pulumi.ResourceOptions(ignore_changes=["spec.replicas"]),
        )

    files = rendered(program)
    assert "replicas" not in files["scaled.yaml"]
    assert "A scaler owns those of scaled" in files["README.md"]


def test_a_program_that_asks_a_cluster_is_refused() -> None:
    with pytest.raises(RenderError, match=r"reads kubernetes:core/v1:ConfigMap berth/there, which only a cluster has"):
        rendered(lambda: k8s.core.v1.ConfigMap.get("there", "berth/there"))


def test_placeholders_stand_in_for_what_is_encrypted(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.test.yaml").write_text(
        "config:\n  berth:platform: local\n  berth:gateway:\n    tenants: {a: {key: {secure: v1:x:y}, rate: 3}}\n"
    )

    class Named:
        stack = "test"

    values, secret = placeholders.config(Named(), tmp_path)  # type: ignore[arg-type]
    assert values["berth:platform"] == "local"
    assert secret == ["berth:gateway"]
    assert placeholders.placeholder("berth:gateway.tenants.a.key") in values["berth:gateway"]
    assert "v1:x:y" not in values["berth:gateway"]


def test_files_of_an_earlier_run_go(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "a", "b.yaml": "b"})
    (tmp_path / "mine.txt").write_text("stays")
    changed = write(tmp_path, {"a.yaml": "a", "c.yaml": "c"})
    assert [path.name for path in changed] == ["b.yaml", "c.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "c.yaml", "mine.txt"]
