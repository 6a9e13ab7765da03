"""What ModelStore asks the engine for."""

import asyncio
import json
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from infra.components.kubernetes import model_store_job as manifests
from infra.components.kubernetes.model_store import ModelStore

CHAT = "hf://acme/chat@" + "0a" * 20
BUCKET = "s3://acme-weights/chat/v3"
TOKEN = "hf_" + "TEST" * 8
IMAGE = "registry.example/store@sha256:" + "0" * 64
GIB = 2**30


class _Recorder(Mocks):
    def __init__(self) -> None:
        self.made: dict[tuple[str, str], MockResourceArgs] = {}
        self.loops: set[asyncio.AbstractEventLoop] = set()

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        key = (args.typ.rpartition(":")[2], args.inputs.get("metadata", {}).get("name", args.name))
        assert key not in self.made, f"{key} is registered twice"
        self.made[key] = args
        # Each of the engine's threads has one, which nobody else closes.
        self.loops.add(asyncio.get_event_loop())
        return args.name, args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(args.token)


class Made:
    """What a store made; `changes` are those of its arguments."""

    def __init__(self, **changes: Any) -> None:
        recorder = _Recorder()
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        pulumi.runtime.set_mocks(recorder, project="berth", stack="dev", preview=False)
        sources = [{"source": CHAT, "bytes": 16 * GIB}, {"source": BUCKET, "bytes": 4 * GIB}]
        args: dict[str, Any] = {"namespace": "berth", "stack": "dev", "image": IMAGE, "sources": sources, **changes}
        seen: list[Any] = []

        def program() -> None:
            store = ModelStore("weights", args)  # type: ignore[arg-type]
            pulumi.Output.all(store.claim, store.staged).apply(seen.append)

        try:
            pulumi.runtime.test(program)()
        finally:
            asyncio.set_event_loop(None)
            for used in {loop, *recorder.loops}:
                used.close()
        ((self.claim, self.staged),) = seen
        self._made = recorder.made

    def __getitem__(self, key: tuple[str, str]) -> dict[str, Any]:
        """Inputs by kind and name of the object."""
        return dict(self._made[key].inputs)

    def objects(self) -> set[tuple[str, str]]:
        return {key for key, made in self._made.items() if made.typ.startswith("kubernetes:")}

    def job(self, source: str) -> dict[str, Any]:
        return self["Job", manifests.job_name(self.claim, source)]

    def pod(self, source: str) -> dict[str, Any]:
        return dict(self.job(source)["spec"]["template"]["spec"])

    def container(self, source: str) -> dict[str, Any]:
        (found,) = self.pod(source)["containers"]
        return dict(found)

    def env(self, source: str) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in self.container(source)["env"]}


@pytest.fixture(scope="module")
def made() -> Made:
    return Made(hub_token=TOKEN)


def test_each_source_is_staged_by_a_job_of_its_own_to_one_claim(made: Made):
    assert made.claim == "models"
    assert made.staged == {CHAT: "hf/acme--chat/0a0a0a0a0a0a", BUCKET: made.staged[BUCKET]}
    assert made.objects() == {
        ("PersistentVolumeClaim", "models"),
        ("ServiceAccount", "model-store"),
        ("NetworkPolicy", "model-store"),
        ("Secret", "hub-token"),
        *(("Job", manifests.job_name("models", source)) for source in (CHAT, BUCKET)),
    }
    command = [*made.container(CHAT)["command"], *made.container(CHAT)["args"]]
    most = str(manifests.most_bytes(16 * GIB))
    assert command == ["python", "-m", "serving.store", "stage", CHAT, "--root", "/models", "--bytes", most]


def test_a_source_of_two_models_is_staged_once_with_the_larger_size():
    twice = Made(sources=[{"source": CHAT, "bytes": 1}, {"source": CHAT, "bytes": GIB}])
    assert twice.container(CHAT)["args"][-1] == str(manifests.most_bytes(GIB))


def test_everything_bears_the_labels_that_find_left_overs(made: Made):
    for key in made.objects():
        found = made[key]["metadata"]["labels"]
        assert found["app.kubernetes.io/managed-by"] == "berth"
        assert (found["berth.dev/stack"], found["app.kubernetes.io/name"]) == ("dev", "model-store")


def test_only_jobs_for_the_hub_have_its_token_and_only_as_a_file(made: Made):
    assert made.env(CHAT)["HF_TOKEN_PATH"] == f"{manifests.TOKEN_FOLDER}/{manifests.TOKEN_KEY}"
    assert "hub-token" in json.dumps(made.pod(CHAT)["volumes"])
    assert "hub-token" not in json.dumps(made.pod(BUCKET))
    assert "HF_TOKEN_PATH" not in made.env(BUCKET)
    assert TOKEN not in json.dumps([made.job(CHAT), made.job(BUCKET)])


def test_without_a_token_there_is_no_secret():
    bare = Made()
    assert ("Secret", "hub-token") not in bare.objects()
    assert "HF_TOKEN_PATH" not in bare.env(CHAT)


def test_pods_are_as_the_restricted_standard_asks_with_a_read_only_root(made: Made):
    pod, container = made.pod(CHAT), made.container(CHAT)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_time_grows_with_the_weights_and_pulumi_waits_longer_than_the_job():
    assert manifests.deadline_seconds(0) < manifests.deadline_seconds(140 * GIB)
    assert manifests.most_bytes(140 * GIB) / manifests.deadline_seconds(140 * GIB) < 25e6


def test_a_job_stays_when_it_is_done_and_gives_up_at_once_when_refused(made: Made):
    spec = made.job(CHAT)["spec"]
    assert "ttlSecondsAfterFinished" not in spec
    first = spec["podFailurePolicy"]["rules"][0]
    assert (first["action"], first["onExitCodes"]["values"]) == ("FailJob", [manifests.REFUSED])


def test_stagers_reach_https_and_dns_and_nothing_reaches_them(made: Made):
    spec = made["NetworkPolicy", "model-store"]["spec"]
    labels = made.job(CHAT)["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert spec["ingress"] == []
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {443, 53}


def test_another_class_is_another_claim_with_jobs_of_its_own(made: Made):
    other = Made(storage_class="efs")
    assert other.claim == "models-efs"
    assert other["PersistentVolumeClaim", "models-efs"]["spec"]["storageClassName"] == "efs"
    assert not {key for key in other.objects() if key[0] == "Job"} & made.objects()
    assert "storageClassName" not in made["PersistentVolumeClaim", "models"]["spec"]


def test_the_volume_holds_all_sources_and_another_version_of_the_largest(made: Made):
    # 21 + 6 GiB, and 21 again.
    assert made["PersistentVolumeClaim", "models"]["spec"]["resources"]["requests"]["storage"] == "64Gi"
    assert made["PersistentVolumeClaim", "models"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_a_claim_does_not_shrink_below_what_is_there():
    small = [{"source": CHAT, "bytes": GIB}]
    assert Made(sources=small)["PersistentVolumeClaim", "models"]["spec"]["resources"]["requests"]["storage"] == "16Gi"
    kept = Made(sources=small, existing_bytes=64 * GIB)
    assert kept["PersistentVolumeClaim", "models"]["spec"]["resources"]["requests"]["storage"] == "64Gi"


def test_a_job_may_have_an_image_of_its_own():
    source = "store://tiny-gpt2@0123456789ab"
    own = Made(sources=[{"source": source, "bytes": 1, "image": "registry.example/local@sha256:1"}])
    assert own.container(source)["image"] == "registry.example/local@sha256:1"
    assert own.staged == {source: "store/tiny-gpt2/0123456789ab"}


def test_a_job_may_remove_what_neither_this_deployment_nor_the_one_before_serves():
    old = f"hf://meta-llama/Llama-3.1-8B-Instruct@{'0' * 40}"
    args = Made(served=[old, CHAT]).container(CHAT)["args"]
    assert [args[at + 1] for at, part in enumerate(args) if part == "--keep"] == sorted([old, CHAT, BUCKET])
    assert "--keep" not in Made().container(CHAT)["args"], "nobody has looked at what is served"
