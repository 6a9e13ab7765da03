"""Kubeconfig files: merged as kubectl merges them, followed to a server, refused in words."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cluster import AccessError, Kubeconfig
from infra.cluster.kubeconfig import inline_or_file
from infra.cluster.login import login


def document(**names: dict[str, Any]) -> dict[str, Any]:
    """`contexts`, `clusters` and `users` by name."""
    single = {"contexts": "context", "clusters": "cluster", "users": "user"}
    return {
        part: [{"name": name, one: fields} for name, fields in names.get(part, {}).items()]
        for part, one in single.items()
    }


def load(*paths: Path) -> Kubeconfig:
    return Kubeconfig.load({"KUBECONFIG": ":".join(map(str, paths))})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    content = document(
        contexts={"dev": {"cluster": "one", "user": "me"}, "lost": {"cluster": "none", "user": "me"}},
        clusters={"one": {"server": "https://one.example:6443/", "certificate-authority": "ca.pem"}, "bare": {}},
        users={"me": {"tokenFile": "token"}},
    )
    path.write_text(yaml.safe_dump({**content, "current-context": "lost"}))
    return path


def test_of_two_files_the_first_that_has_a_name_wins(file: Path, tmp_path: Path) -> None:
    later = tmp_path / "sub/later"
    later.parent.mkdir()
    content = document(
        contexts={"dev": {"cluster": "two", "user": "me"}, "prod": {"cluster": "two", "user": "you"}},
        clusters={"two": {"server": "https://two.example"}},
        users={"you": {"tokenFile": "token"}},
    )
    later.write_text(yaml.safe_dump(content))
    found = load(tmp_path / "missing", file, later)
    assert found.files == (file, later)
    assert found.target("dev").server == "https://one.example:6443"
    assert found.target("prod").server == "https://two.example"
    assert found.target("prod").user["tokenFile"] == str(tmp_path / "sub/token")


def test_paths_start_at_the_folder_of_their_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a certificate")
    (tmp_path / "token").write_text("a token\n")
    target = load(file).target("dev")
    assert target.authority == "a certificate"
    assert login(target, {}).headers == (("Authorization", "Bearer a token"),)


def test_data_wins_over_a_file() -> None:
    data = base64.b64encode(b"inline").decode()
    assert inline_or_file({"client-key-data": data, "client-key": "/nowhere"}, "client-key") == "inline"


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ("test", "has no context 'test'; there are: dev, lost"),
        ("lost", "has no cluster 'none'; there are: bare, one"),
    ],
)
def test_names_that_lead_nowhere_are_told(file: Path, context: str, told: str) -> None:
    with pytest.raises(AccessError, match=told):
        load(file).target(context)


def test_a_missing_file_of_a_login_is_told(file: Path) -> None:
    with pytest.raises(AccessError, match=r"tokenFile .*/token: No such file"):
        login(load(file).target("dev"), {})


def test_a_broken_file_is_told_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("users:\n- name: me\n  user: {token: hush-hush\n")
    with pytest.raises(AccessError) as caught:
        load(path)
    assert f"kubeconfig {path}: is not YAML" in str(caught.value)
    assert "hush" not in str(caught.value)
    path.write_text("users: {me: {token: hush-hush}}\n")
    with pytest.raises(AccessError, match="users is not a list of entries with names"):
        load(path)


def test_a_login_never_shows_itself(file: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush")
    assert "hush" not in repr(login(load(file).target("dev"), {}))


def test_a_login_command_that_is_not_installed_is_told_with_the_hint(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    entry = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-login", "installHint": "Get it at X."}
    content["users"][0]["user"] = {"exec": entry}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(AccessError, match=r"no-such-login: is not installed here; Get it at X\."):
        login(load(file).target("dev"), {"PATH": "/usr/bin"})
    content["users"][0]["user"] = {"auth-provider": {"name": "gcp"}}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(AccessError, match=r"auth-provider was removed from Kubernetes 1\.26"):
        login(load(file).target("dev"), {})
