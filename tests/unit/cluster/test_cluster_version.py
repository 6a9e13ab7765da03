"""How old a cluster may be."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.platforms.kubernetes_checks.needs import FEATURES, MINIMUM
from infra.platforms.kubernetes_checks.server import version


def cluster(text: str) -> Any:
    return SimpleNamespace(target=SimpleNamespace(context="dev"), version=lambda: text)


@pytest.mark.parametrize("text", ["v1.30.0", "v1.36.3", "v1.31.4-eks-2d5f260", "v2.0.1", "1.30"])
def test_new_enough(text: str) -> None:
    assert list(version(cluster(text))) == []


def test_too_old_names_what_it_does_not_know() -> None:
    (found,) = version(cluster("v1.26.15-gke.10"))
    assert found.blocks
    assert found.text.startswith("'dev' runs Kubernetes v1.26.15-gke.10, older than 1.30: it does not know ")
    assert "preStop sleep" in found.text
    assert "matchLabelKeys" in found.text
    assert "podFailurePolicy" not in found.text
    assert found.text.endswith("; upgrade the cluster")


def test_a_version_of_another_kind_stops_nothing() -> None:
    (found,) = version(cluster("unstable"))
    assert not found.blocks


def test_the_minimum_is_what_the_newest_feature_needs() -> None:
    assert max(FEATURES.values()) == MINIMUM
