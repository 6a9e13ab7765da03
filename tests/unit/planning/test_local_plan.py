from pathlib import Path

import pytest

from infra.planning import PlanError, parse_plan, plan
from infra.planning.local import plan_local, process_memory_bytes
from infra.planning.request import ModelRequest, Objectives
from infra.planning.shapes import read_shape, shape_from_folder
from infra.settings import load
from serving.store.kit import KIT

ROOT = Path(__file__).parents[3]
GIB = 2**30


def request(name: str = "chat", **changes: object) -> ModelRequest:
    shape = shape_from_folder(KIT / "tiny-gpt2", "models.chat.source")
    fields: dict[str, object] = {
        "name": name,
        "engine": "local",
        "source": "store://tiny-gpt2",
        "shape": shape,
        "context": 512,
        "concurrency": 4,
    }
    return ModelRequest(**(fields | changes))  # type: ignore[arg-type]


def test_process_memory_covers_what_was_measured() -> None:
    # facts: a process of the 2.3 M parameter GPT takes 66 to 110 MB, MiniLM in float 32 about 200 MB.
    assert 110e6 < process_memory_bytes(request()) < 250e6


def test_local_plan_holds_limits_and_total() -> None:
    planned = plan_local("local", [request(floor=2, ceiling=2), request("other")], 4 * GIB)
    chat = planned.model("chat")
    assert (chat.replicas, chat.limits.max_total_tokens, chat.limits.max_input_tokens) == (2, 512, 511)
    assert chat.limits.max_concurrent_requests == 4
    assert planned.memory_bytes == 2 * chat.memory_bytes + planned.model("other").memory_bytes


def test_local_plan_that_does_not_fit_names_size_and_way_out() -> None:
    with pytest.raises(
        PlanError, match=r"local.memory = 500.0 MB: all replicas together need .* too much; run \d instead of 8"
    ):
        plan_local("local", [request(floor=8, ceiling=8)], 500 * 10**6)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(PlanError) as caught:
        plan_local(
            "local",
            [
                request(context=2048),
                request("b", objectives=Objectives(ttft_p95=1.0)),
                request("c", memory_bytes=10**6),
            ],
            4 * GIB,
        )
    text = str(caught.value)
    assert "models.chat.context = 2048: is 1536 tokens more than the model was made for (512); set 512 or less" in text
    assert "models.b.objectives" in text
    assert "models.c.memory = 1.0 MB" in text


def test_shape_without_known_architecture_names_the_nearest() -> None:
    with pytest.raises(PlanError, match="did you mean llama"):
        read_shape({"model_type": "lama"}, "models.chat.shape")


def test_plan_of_a_stack_comes_back_from_json(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "defaults.yaml").write_text("config: {}\n")
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(
        "config:\n  berth:platform: local\n  berth:models:\n"
        "    chat: {engine: local, source: 'store://tiny-gpt2', context: 512, replicas: 2}\n"
    )
    planned = plan(load("mine", tmp_path))
    assert parse_plan(planned.to_json()) == planned
    assert planned.model("chat").replicas == 2


def test_problems_of_a_stack_carry_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "defaults.yaml").write_text("config: {}\n")
    (tmp_path / "stacks" / "Pulumi.mine.yaml").write_text(
        "config:\n  berth:platform: local\n  berth:models:\n"
        "    chat:\n      engine: local\n      source: store://tiny-gpt2\n      context: 4096\n"
    )
    with pytest.raises(PlanError, match=r"^stacks/Pulumi.mine.yaml:7: models.chat.context = 4096: is 3584 tokens more"):
        plan(load("mine", tmp_path))
