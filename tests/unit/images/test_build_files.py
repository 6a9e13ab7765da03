"""The build files, as far as they can be judged without building: bases, sources, users, packages."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from images.build import ROOT, bases
from images.lock import read
from infra.components.kubernetes import gateway_pod
from infra.components.kubernetes.model_store_job import USER as STORE_USER
from serving.engines import engine

FOLDERS = sorted(pin.built for pin in read().values() if pin.built)


def instructions(folder: str) -> list[tuple[str, str]]:
    """Instructions with their arguments, continued lines joined."""
    text = (ROOT / "images" / folder / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def stages(folder: str) -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions(folder):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def copied(folder: str) -> list[str]:
    """What comes from the repository."""
    return [
        source
        for word, rest in instructions(folder)
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]


def sent(folder: str) -> list[str]:
    """Files that the builder is sent, by Dockerfile.dockerignore: the last rule that matches decides."""
    lines = (ROOT / "images" / folder / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing but what is named"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)

    def kept(path: str) -> bool:
        keep = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            parts = Path(path).parts
            whole = any("/".join(parts[:n]) == pattern for n in range(1, len(parts) + 1))
            if pattern == "*" or whole or ("**/" in rule and any(fnmatch.fnmatch(p, pattern) for p in parts)):
                keep = rule.startswith("!")
        return keep

    return [path for path in listed.stdout.decode().splitlines() if kept(path) and (ROOT / path).exists()]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_stage_stands_on_a_base_from_the_lock(folder: str) -> None:
    names = bases(folder)
    assert names
    assert set(names) <= read().keys()
    allowed = {f"${{{name.upper()}_IMAGE}}" for name in names}
    for stage in stages(folder):
        assert stage[0][1].split()[0] in allowed, "a FROM without a digest from the lock"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_last_stage_runs_as_the_pods_do_and_never_as_root(folder: str) -> None:
    users = {
        "gateway": gateway_pod.USER,
        "local-engine": engine("local").container.user,
        "store-loader": STORE_USER,
    }
    (user,) = [rest for word, rest in stages(folder)[-1] if word == "USER"]
    assert user == f"{users[folder]}:{users[folder]}"
    assert not any(word == "ADD" for word, _ in instructions(folder)), "ADD fetches and unpacks"


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_copied_is_there_and_is_sent_to_the_builder(folder: str) -> None:
    files = sent(folder)
    for source in copied(folder):
        assert (ROOT / source).exists(), source
        assert any(path == source or path.startswith(f"{source}/") for path in files), f"{source} is not sent"
    for path in files:
        assert any(path == source or path.startswith(f"{source}/") for source in copied(folder)), f"{path} is not used"
    assert not any("__pycache__" in path or "/target/" in path for path in files)


def test_the_gateways_image_has_what_its_pods_start() -> None:
    text = (ROOT / "images/gateway/Dockerfile").read_text()
    folder, name = gateway_pod.PICKER.parent, gateway_pod.PICKER.name
    assert f"ENV ENVOY_DYNAMIC_MODULES_SEARCH_PATH={folder}\n" in text
    assert f"/build/out/lib/ {folder}/" in text
    assert f"release/{name}" in text
    assert f"/build/out/bin/ {Path(gateway_pod.DRAIN).parent}/" in text
    assert f"release/{Path(gateway_pod.DRAIN).name}" in text


@pytest.mark.parametrize("folder", ["local-engine", "store-loader"])
def test_packages_are_those_of_the_kit_with_hashes(folder: str) -> None:
    def packages(path: Path) -> dict[str, set[str]]:
        text = path.read_text().replace("\\\n", " ")
        found = {}
        for line in text.splitlines():
            if pinned := re.match(r"([a-z0-9-]+==\S+)", line):
                found[pinned[1]] = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line))
        return found

    ours, kit = packages(ROOT / "images" / folder / "requirements.lock"), packages(ROOT / "requirements.lock")
    assert ours
    assert {name: hashes for name, hashes in ours.items() if kit.get(name) != hashes} == {}, (
        f"uv pip compile --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header "
        f"-c requirements.lock images/{folder}/requirements.in -o images/{folder}/requirements.lock"
    )


def test_the_weights_of_the_loader_are_those_of_the_local_platform() -> None:
    parts = yaml.safe_load((ROOT / "infra/toolchain/parts.yaml").read_text())["parts"]
    (way,) = parts["minilm"]["ways"]
    text = (ROOT / "images/store-loader/minilm.lock").read_text()
    assert f"{way['package']}=={parts['minilm']['version']}" in text
    assert all(f"sha256:{each}" in text for each in way["sha256"])


@pytest.mark.parametrize(
    ("folder", "module"), [("local-engine", "serving.local_engine"), ("store-loader", "serving.store")]
)
def test_the_copied_sources_are_enough_to_start(folder: str, module: str, tmp_path: Path) -> None:
    for path in sent(folder):
        if path.startswith("serving/"):
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
    # -P and the folder in front: what is not among the copied files must not come from the checkout.
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import runpy; sys.argv = ['x', '--help']\n"
    code += "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f)]\n"
    code += f"import serving; assert serving.__file__.startswith({str(tmp_path)!r})\n"
    code += f"runpy.run_module({module!r}, run_name='__main__')"
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "usage" in run.stdout
