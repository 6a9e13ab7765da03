"""Ways in that kubeconfigs have, each at the real API server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cluster import AccessError, Client, Kubeconfig
from tests.support.cluster import CONTEXT, Cluster


class Config:
    """A kubeconfig of the test's own; `user` and `place` are the fields of its user and cluster."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.path = folder / "config"
        self.cluster_folder = cluster.folder
        self.document = yaml.safe_load(cluster.kubeconfig().read_text())
        self.token = self.document["users"][0]["user"]["token"]
        self.place = self.document["clusters"][0]["cluster"]

    def allowed(self, user: dict[str, Any]) -> bool:
        """Whether this user is the administrator."""
        self.document["users"][0]["user"] = user
        self.path.write_text(yaml.safe_dump(self.document))
        kubeconfig = Kubeconfig.load({"KUBECONFIG": str(self.path)})
        with Client(kubeconfig.target(CONTEXT), {"PATH": "/usr/bin:/bin"}) as client:
            return client.may("*", "*", "*")


@pytest.fixture
def config(cluster: Cluster, tmp_path: Path) -> Config:
    return Config(tmp_path, cluster)


def test_a_client_certificate_beside_the_kubeconfig(config: Config, tmp_path: Path) -> None:
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ),
            *("-CA", f"{config.cluster_folder}/ca.crt", "-CAkey", f"{config.cluster_folder}/ca.key"),
            *("-subj", "/O=system:masters/CN=somebody", "-keyout", "me.key", "-out", "me.crt"),
            *("-addext", "basicConstraints=critical,CA:false", "-addext", "extendedKeyUsage=clientAuth"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert config.allowed({"client-certificate": "me.crt", "client-key": "me.key"})


def test_a_login_command_beside_the_kubeconfig(config: Config, tmp_path: Path) -> None:
    credential = {"kind": "ExecCredential", "status": {"token": config.token}}
    command = tmp_path / "log-in"
    command.write_text(f'#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" > {tmp_path}/asked\n[ "$1$WHO" = nowme ] || exit 3\n')
    with command.open("a") as file:
        file.write(f"echo '{json.dumps(credential)}'\n")
    command.chmod(0o755)
    entry = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./log-in",
        "args": ["now"],
        "env": [{"name": "WHO", "value": "me"}],
        "provideClusterInfo": True,
        "interactiveMode": "Never",
    }
    assert config.allowed({"exec": entry})
    asked = json.loads((tmp_path / "asked").read_text())
    assert asked["spec"]["cluster"]["server"] == config.place["server"]
    with pytest.raises(AccessError, match=r"login command ./log-in: failed with status 3"):
        config.allowed({"exec": {**entry, "args": []}})


def test_a_token_in_a_file(config: Config, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{config.token}\n")
    assert config.allowed({"tokenFile": "token"})


def test_another_user_in_the_name_of_this_one(config: Config) -> None:
    assert not config.allowed({"token": config.token, "as": "nobody", "as-groups": ["system:authenticated", "others"]})
    assert config.allowed({"token": config.token, "as": "nobody", "as-groups": ["others", "system:masters"]})


def test_a_certificate_of_another_name_and_no_certificate_at_all(config: Config) -> None:
    config.place["server"] = config.place["server"].replace("127.0.0.1", "localhost")
    config.place["tls-server-name"] = "kubernetes.default.svc"
    assert config.allowed({"token": config.token})
    del config.place["tls-server-name"], config.place["certificate-authority-data"]
    config.place["insecure-skip-tls-verify"] = True
    assert config.allowed({"token": config.token})
