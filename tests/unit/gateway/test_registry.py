"""The registry of backends: atomic, locked, and unwilling to empty a set."""

import json
import multiprocessing
from pathlib import Path

import pytest

from serving.gateway import Backend, Registry, RegistryError


def _backend(i: int) -> Backend:
    return Backend(f"chat-{i}", "127.0.0.1", 9000 + i, {"speed": 1.5, "kv_tokens": 4096})


def test_backends_come_back_as_they_were_put_in(tmp_path: Path) -> None:
    registry = Registry(tmp_path, targets=tmp_path / "targets")
    registry.add("chat", _backend(2))
    registry.add("chat", _backend(1))
    assert registry.backends("chat") == [_backend(1), _backend(2)]
    targets = json.loads((tmp_path / "targets/chat.json").read_text())
    assert targets[0] == {"targets": ["127.0.0.1:9001"], "labels": {"model": "chat", "replica": "chat-1"}}
    assert registry.backends("other") == []


def test_adding_again_replaces_and_removing_again_is_fine(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add("chat", _backend(1))
    registry.add("chat", Backend("chat-1", "127.0.0.1", 9009))
    registry.add("chat", _backend(2))
    assert [b.port for b in registry.backends("chat")] == [9009, 9002]
    registry.remove("chat", "chat-1")
    registry.remove("chat", "chat-1")
    assert [b.replica for b in registry.backends("chat")] == ["chat-2"]


def test_the_last_backend_goes_only_by_force(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add("chat", _backend(1))
    with pytest.raises(RegistryError, match=r"chat-1 is the last backend.*force=True"):
        registry.remove("chat", "chat-1")
    with pytest.raises(RegistryError, match="empty set in place of 1"):
        registry.replace("chat", [])
    assert registry.backends("chat") == [_backend(1)]
    registry.remove("chat", "chat-1", force=True)
    assert registry.backends("chat") == []


def test_an_address_belongs_to_one_replica(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add("chat", _backend(1))
    with pytest.raises(RegistryError, match=r"wants 127\.0\.0\.1:9001, where chat-1 is"):
        registry.add("chat", Backend("chat-7", "127.0.0.1", 9001))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.open("chat")
    registry.path("chat").write_text("{")
    with pytest.raises(RegistryError, match=r"chat\.json is not an endpoint file"):
        registry.add("chat", _backend(1))
    for name in ("../x", "", "A"):
        with pytest.raises(RegistryError, match="not a model's name"):
            registry.backends(name)


def _add_many(folder: Path, first: int) -> None:
    for i in range(first, first + 20):
        Registry(folder).add("chat", _backend(i))


def test_processes_do_not_lose_each_others_changes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(tmp_path, first)) for first in (100, 200, 300)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(Registry(tmp_path).backends("chat")) == 60
    assert [p.name for p in (tmp_path / "eds").iterdir() if p.name.startswith(".chat")] == []
