from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import load
from infra.tasks.prepare import prepare
from infra.tasks.session import ROOT
from tests.support.portblock import lease
from tests.support.project import Project

CHAT = {"engine": "local", "source": "store://tiny-gpt2", "context": 512, "max_output_tokens": 256, "replicas": 2}
MODELS = {
    "chat": CHAT,
    "repair": {"engine": "local", "source": "store://tiny-t5", "context": 128, "max_output_tokens": 64, "replicas": 1},
    "embed": {"engine": "local", "source": "store://minilm", "context": 256, "replicas": 1},
    "ngram": {"engine": "local", "source": "store://ngram", "context": 512, "max_output_tokens": 256, "replicas": 1},
}


@pytest.fixture(scope="session", autouse=True)
def _parts() -> None:
    prepare(load("local", ROOT))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """All four kinds of model, up."""
    project = Project.make(tmp_path_factory.mktemp("stack"), lease())
    project.write(MODELS)
    project.up()
    yield project
    project.down()


@pytest.fixture(scope="session")
def _ports() -> tuple[int, int]:
    """Of the projects of single tests, one after the other."""
    return lease()


@pytest.fixture
def project(tmp_path: Path, _ports: tuple[int, int]) -> Iterator[Project]:
    """A project with nothing up yet."""
    project = Project.make(tmp_path, _ports)
    yield project
    project.down()
