from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings.__main__ import main

CIPHER = "v1:MTIzNDU2Nzg5MDEy:YWJjZGVmZ2hpamtsbW5vcA=="
STACK = f"""config:
  berth:platform: local
  berth:models:
    chat: {{engine: local, source: store://tiny-gpt2, context: 512, replicas: 2, memory: 300MiB}}
    other: {{engine: local, source: store://tiny-t5, context: 512}}
  berth:gateway:
    routing: round_robin
    tenants:
      acme:
        key: {{secure: {CIPHER}}}
        requests_per_minute: 600
    fallback: {{chat: [other]}}
"""


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    assert main(["--root", str(folder), "show", "x"]) == 0
    return {line.split()[0]: line.split(maxsplit=1)[1].split("  ") for line in capsys.readouterr().out.splitlines()}


def test_values_are_shown_in_the_files_own_spelling(
    root: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {path: columns[0] for path, columns in shown(root(x=STACK), capsys).items()}
    assert lines["platform"] == "local"
    assert lines["models.chat.source"] == "store://tiny-gpt2"
    assert lines["models.chat.memory"] == "300MiB"
    assert lines["models.chat.gpu"] == "none"
    assert lines["gateway.routing.policy"] == "round_robin"
    assert lines["gateway.timeouts.stream"] == "30m"
    assert lines["gateway.fallback.chat"] == "[other]"
    assert lines["local.ports"] == "21000-21199"


def test_origins_are_shown(root: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    lines = {path: columns[-1].strip() for path, columns in shown(root(x=STACK), capsys).items()}
    assert lines["gateway.routing.policy"] == "stacks/Pulumi.x.yaml:7"
    assert lines["gateway.tenants.acme.requests_per_minute"] == "stacks/Pulumi.x.yaml:11"
    assert lines["gateway.tenants.acme.priority"] == "built in"


def test_secrets_are_hidden(root: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root(x=STACK)), "show", "x"]) == 0
    out = capsys.readouterr().out
    assert CIPHER not in out
    (line,) = [line for line in out.splitlines() if "acme.key" in line]
    assert line.split() == ["gateway.tenants.acme.key", "(secret)", "stacks/Pulumi.x.yaml:10"]


def test_values_that_the_platform_ignores_are_left_out(
    root: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = shown(root(x=STACK), capsys).keys()
    assert not [path for path in paths if path.startswith(("aws", "kubernetes", "gateway.host", "gateway.replicas"))]
    assert "models.chat.spot" not in paths


def test_errors_go_to_stderr_with_their_number(root: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = root(x="config:\n  berth:platform: laptop\n  berth:models: {}\n")
    assert main(["--root", str(folder), "show", "x"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "stacks/Pulumi.x.yaml:2: platform: 'laptop' is not a platform; use one of local, kubernetes, aws",
        "stacks/Pulumi.x.yaml:3: models: is empty; a stack serves one model at least",
        "2 problems in the settings of stack x.",
    ]
