"""The scaling section of a model: what is read, and what stands for what is left out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import Floor, SettingsError, load
from infra.settings.__main__ import main

SOURCE = "hf://meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659"
STACK = f"""config:
  berth:platform: aws
  berth:aws: {{region: us-east-1}}
  berth:gateway: {{host: llm.example.com}}
  berth:models:
    chat:
      engine: tgi
      source: {SOURCE}
      context: 8192
      replicas: {{min: 0, max: 6}}
      scaling:
        in_flight: 12.5
        cooldown: 30m
        floors:
          - {{start: "0 8 * * 1-5", end: "30 19 * * MON-FRI", timezone: Europe/Berlin, replicas: 2}}
          - {{start: "*/30 0-6/2 1,15 jan *", end: "59 23 31 12 6", replicas: 3}}
    other: {{engine: tgi, source: {SOURCE}, context: 8192, replicas: {{min: 1, max: 2}}}}
"""


def test_values_are_read_and_the_plan_gives_the_others(root: Callable[..., Path]) -> None:
    models = load("x", root(x=STACK)).models
    chat = models["chat"].scaling
    assert chat is not None
    assert (chat.in_flight, chat.queue, chat.cooldown, chat.stabilization) == (12.5, None, 1800.0, None)
    assert chat.floors == (
        Floor(start="0 8 * * 1-5", end="30 19 * * MON-FRI", timezone="Europe/Berlin", replicas=2),
        Floor(start="*/30 0-6/2 1,15 jan *", end="59 23 31 12 6", timezone="UTC", replicas=3),
    )
    assert models["other"].scaling is None


def test_floors_are_shown_one_by_one(root: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(root(x=STACK)), "show", "x"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["models.chat.scaling.in_flight", "12.5", "stacks/Pulumi.x.yaml:12"] in lines
    assert ["models.chat.scaling.floors[0].timezone", "Europe/Berlin", "stacks/Pulumi.x.yaml:15"] in lines
    assert ["models.chat.scaling.floors[1].replicas", "3", "stacks/Pulumi.x.yaml:16"] in lines


def test_a_machine_without_time_zones_takes_any_name(
    root: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = STACK.replace("Europe/Berlin", "Europe/Atlantis")
    with pytest.raises(SettingsError, match="'Europe/Atlantis' is not a time zone"):
        load("x", root(x=elsewhere))
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    assert load("x", root(x=elsewhere)).models["chat"].scaling is not None
