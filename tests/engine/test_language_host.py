"""The kit's Python language host under the real engine: programs, dynamic providers, policy packs, plugins, their ends.

With an official engine on the machine the host is put before that engine's own, so that it is this one that is tested.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import grpc
import pytest
import yaml

from infra.toolchain import Found, engine_env, find
from infra.toolchain.engine import PYTHON_VARIABLE
from infra.toolchain.language_host.protocol import Empty, language_pb2, language_pb2_grpc
from infra.toolchain.toolchain import HOSTS

STACK = "test"


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of `pulumi`, away from the user's own state."""
    own = engine_env()
    found = find("pulumi")
    if isinstance(found, Found) and found.way != "go":
        own["PATH"] = f"{HOSTS}{os.pathsep}{own.get('PATH', os.environ['PATH'])}"
        own[PYTHON_VARIABLE] = sys.executable
    home = tmp_path_factory.mktemp("pulumi-home")
    return {**os.environ, **own, "PULUMI_HOME": str(home), "PULUMI_CONFIG_PASSPHRASE": "any"}


@dataclass
class Project:
    """A small Pulumi project with a file backend."""

    root: Path
    variables: dict[str, str]

    def write(self, path: str, text: str) -> Path:
        """A file of the project, its text indented as in the test."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return file

    def settings(self, **more: Any) -> None:
        """Pulumi.yaml: the program is in `infra`, its Python is the project's `.venv`."""
        document = {
            "name": "small",
            "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
            "main": "infra",
            "backend": {"url": f"file://{self.root}/state"},
            **more,
        }
        self.write("Pulumi.yaml", yaml.safe_dump(document))

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`pulumi ARGUMENTS` for the stack."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--stack", STACK, "--non-interactive"],
            cwd=self.root,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pulumi(self, *arguments: str) -> tuple[int, str]:
        """The same to its end: exit status and output."""
        run = self.start(*arguments)
        output, _ = run.communicate(timeout=600)
        return run.returncode, output

    def up(self, *arguments: str) -> str:
        """A deployment that must succeed; its output."""
        status, output = self.pulumi("up", "--yes", "--skip-preview", *arguments)
        assert status == 0, output
        return output

    def outputs(self) -> dict[str, Any]:
        """Outputs of the stack, secrets in the clear."""
        status, output = self.pulumi("stack", "output", "--json", "--show-secrets")
        assert status == 0, output
        return dict(yaml.safe_load(output))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Project:
    """A project with a stack and nothing in it: each test starts from a copy."""
    made = Project(tmp_path_factory.mktemp("empty"), variables)
    (made.root / "state").mkdir()
    (made.root / ".venv").symlink_to(sys.prefix)
    made.settings()
    made.write("infra/__main__.py", "")
    status, output = made.pulumi("stack", "init")
    assert status == 0, output
    return made


@pytest.fixture
def project(empty: Project, tmp_path: Path) -> Project:
    shutil.copytree(empty.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    made = Project(tmp_path, empty.variables)
    made.settings()
    return made


DYNAMIC = """
    import os
    from typing import Any

    from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


    class Maker(ResourceProvider):
        def create(self, props: dict[str, Any]) -> CreateResult:
            return CreateResult("made", {**props, "made": f"{int(props['size'])} in {os.path.basename(os.getcwd())}"})

        def diff(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> DiffResult:
            return DiffResult(changes=old["size"] != new["size"])

        def update(self, id_: str, old: dict[str, Any], new: dict[str, Any]) -> UpdateResult:
            return UpdateResult({**new, "made": f"{int(new['size'])} anew"})


    class Thing(Resource):
        made: Any

        def __init__(self, name: str, size: int) -> None:
            super().__init__(Maker(), name, {"size": size, "made": None})
"""


def test_a_program_with_a_dynamic_provider_and_secrets_comes_up(project: Project) -> None:
    project.write("infra/things.py", DYNAMIC)
    project.write(
        "infra/__main__.py",
        """
        import os
        import sys
        import threading

        import pulumi
        from things import Thing

        config = pulumi.Config()
        seen = []
        thread = threading.Thread(target=lambda: seen.append(pulumi.Config("small").get("size")))
        thread.start()
        thread.join()
        print("this is", sys.prefix, "dry" if pulumi.runtime.is_dry_run() else "real")
        pulumi.export("made", Thing("thing", config.require_int("size")).made)
        pulumi.export("word", config.require_secret("word"))
        pulumi.export("seen by a thread", seen[0])
        pulumi.export("names", [pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack()])
        pulumi.export("places", [os.getcwd(), pulumi.runtime.get_root_directory()])
        """,
    )
    project.pulumi("config", "set", "size", "3")
    project.pulumi("config", "set", "--secret", "word", "hush")
    output = project.up()
    assert f"this is {project.root}/.venv real" in output
    assert "hush" not in output
    assert project.outputs() == {
        "made": "3 in infra",
        "word": "hush",
        "seen by a thread": "3",
        "names": ["organization", "small", STACK],
        "places": [str(project.root / "infra"), str(project.root)],
    }
    _, hidden = project.pulumi("stack", "output", "word")
    assert "hush" not in hidden

    project.pulumi("config", "set", "size", "4")
    status, output = project.pulumi("up", "--yes")
    assert status == 0
    assert output.index(f"{project.root}/.venv dry") < output.index(f"{project.root}/.venv real")
    assert project.outputs()["made"] == "4 anew"


def test_nothing_but_the_program_speaks(project: Project) -> None:
    """No noise of gRPC or the host, no warning about where the host was found."""
    found = find("pulumi")
    assert isinstance(found, Found)
    project.write("infra/__main__.py", "print('one line')")
    output = project.up()
    if found.way == "go":
        assert "warning" not in output
    assert output.count("one line") >= 1
    for noise in ("grpc", "Traceback", "fork", "Exception", "DeprecationWarning"):
        assert noise not in output


def test_a_configuration_larger_than_a_variable_arrives(project: Project) -> None:
    project.write(f"Pulumi.{STACK}.yaml", yaml.safe_dump({"config": {"small:long": "x" * 300_000}}))
    project.write(
        "infra/__main__.py",
        """
        import subprocess
        import pulumi
        pulumi.export("length", len(pulumi.Config().require("long")))
        pulumi.export("echo", subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout)
        """,
    )
    project.up()
    assert project.outputs() == {"length": 300_000, "echo": "hello\n"}


def test_an_error_of_the_program_is_shown_from_its_own_first_line(project: Project) -> None:
    project.write("infra/helper.py", "def help_out(): raise ValueError('the widget is wrong')")
    project.write("infra/__main__.py", "import helper\nhelper.help_out()\n")
    status, output = project.pulumi("preview")
    assert status != 0
    shown = output[output.index("Diagnostics:") :]
    assert "Program failed with an unhandled exception:" in shown
    assert f'File "{project.root}/infra/__main__.py", line 2, in <module>' in shown
    assert f'File "{project.root}/infra/helper.py", line 1, in help_out' in shown
    assert "ValueError: the widget is wrong" in shown
    assert "language_host" not in shown
    assert "runpy" not in shown
    assert "non-zero exit code" not in shown


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import pulumi\nraise pulumi.RunError('the reason is this')", "error: the reason is this"),
        ("import sys\nsys.exit(3)", "Program exited with non-zero exit code: 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "Program was ended by SIGKILL"),
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_other_ends_of_a_program_fail_the_run_with_a_reason(project: Project, program: str, message: str) -> None:
    project.write("infra/__main__.py", program)
    status, output = project.pulumi("preview")
    assert status != 0
    assert message in output
    assert "language_host" not in output


def test_a_missing_program_is_told(project: Project) -> None:
    (project.root / "infra/__main__.py").unlink()
    status, output = project.pulumi("preview")
    assert status != 0
    assert f"there is no program: {project.root}/infra/__main__.py does not exist" in output


def test_a_missing_environment_is_told_with_the_way_to_make_it(project: Project) -> None:
    (project.root / ".venv").unlink()
    status, output = project.pulumi("preview")
    assert status != 0
    assert f"runtime option virtualenv: .venv in {project.root}: {project.root}/.venv does not exist." in output
    assert f"python3 -m venv {project.root}/.venv" in output


def _environment(folder: Path, *paths: Path | str) -> None:
    """A virtual environment that also sees these folders of modules."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "more.pth").write_text("".join(f"{path}\n" for path in paths))


def test_an_environment_without_the_sdk_is_told(project: Project) -> None:
    (project.root / ".venv").unlink()
    _environment(project.root / ".venv")
    status, output = project.pulumi("preview")
    assert status != 0
    assert f"The Pulumi SDK is not installed in {project.root}/.venv/bin/python" in output


PACK = {
    "PulumiPolicy.yaml": "runtime: {name: python, options: {virtualenv: ../.venv}}\nversion: 0.1.0\n",
    "rules.py": "def too_large(size): return size > 5",
    "__main__.py": """
        from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy
        from rules import too_large

        def small(args, report):
            if too_large(args.props.get("size", 0)):
                report("a thing may not be larger than 5")

        PolicyPack("sizes", policies=[
            ResourceValidationPolicy("small", "things are small", small, EnforcementLevel.MANDATORY),
        ])
        """,
}


def test_a_policy_pack_stops_what_it_forbids(project: Project) -> None:
    project.write("infra/things.py", DYNAMIC)
    for name, text in PACK.items():
        project.write(f"rules/{name}", text)
    project.write("infra/__main__.py", "from things import Thing\nThing('thing', 6)\n")
    status, output = project.pulumi("up", "--yes", "--skip-preview", "--policy-pack", "rules")
    assert status != 0
    assert "a thing may not be larger than 5" in output
    project.write("infra/__main__.py", "from things import Thing\nThing('thing', 5)\n")
    assert "sizes@v0.1.0" in project.up("--policy-pack", "rules")


COMPONENT = """
    from typing import Optional, TypedDict

    import pulumi


    class GreeterArgs(TypedDict):
        who: pulumi.Input[str]


    class Greeter(pulumi.ComponentResource):
        text: pulumi.Output[str]

        def __init__(self, name: str, args: GreeterArgs, opts: Optional[pulumi.ResourceOptions] = None) -> None:
            super().__init__("greetings:index:Greeter", name, {**args}, opts)
            self.text = pulumi.Output.concat("hello ", args["who"])
            self.register_outputs({"text": self.text})
"""
USE = """
    import pulumi


    class Greeter(pulumi.ComponentResource):
        text: pulumi.Output[str]

        def __init__(self, name: str, who: str) -> None:
            super().__init__("greetings:index:Greeter", name, {"who": who, "text": None}, None, remote=True)


    pulumi.export("text", Greeter("greeter", "harbour").text)
"""


def test_a_component_plugin_with_an_entry_point_runs(project: Project) -> None:
    project.settings(plugins={"providers": [{"name": "greetings", "path": "plugin"}]})
    project.write("plugin/PulumiPlugin.yaml", "runtime: {name: python, options: {virtualenv: ../.venv}}\n")
    project.write("plugin/greeter.py", COMPONENT)
    project.write(
        "plugin/__main__.py",
        """
        from greeter import Greeter
        from pulumi.provider.experimental import component_provider_host

        component_provider_host(name="greetings", components=[Greeter])
        """,
    )
    project.write("infra/__main__.py", USE)
    project.up()
    assert project.outputs() == {"text": "hello harbour"}


def test_a_component_plugin_that_is_an_installed_package_runs(project: Project) -> None:
    project.settings(plugins={"providers": [{"name": "greetings", "path": "plugin"}]})
    project.write("plugin/PulumiPlugin.yaml", "runtime: {name: python, options: {virtualenv: .venv}}\n")
    project.write("plugin/pyproject.toml", '[project]\nname = "greetings"\nversion = "1.0.0"\n')
    project.write("plugin/src/greetings/__init__.py", COMPONENT)
    _environment(project.root / "plugin/.venv", sysconfig.get_path("purelib"), project.root / "plugin/src")
    project.write("infra/__main__.py", USE)
    project.up()
    assert project.outputs() == {"text": "hello harbour"}


def _of_project(project: Project) -> list[str]:
    """Command lines of running processes that belong to the project, or to its host."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            cwd = str((process / "cwd").readlink())
        except OSError:
            continue
        if cwd.startswith(str(project.root)) and line:
            found.append(line)
    return found


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def sleeper(project: Project) -> Iterator["subprocess.Popen[str]"]:
    """A deployment, policy pack and all, whose dynamic provider takes 3 s and whose program takes for ever."""
    for name, text in PACK.items():
        project.write(f"rules/{name}", text)
    project.write(
        "infra/things.py", DYNAMIC.replace("return CreateResult", "import time; time.sleep(3); return CreateResult")
    )
    project.write(
        "infra/__main__.py",
        """
        import time
        from pathlib import Path

        from things import Thing

        Thing("thing", 5).made.apply(lambda _: (Path("../created").touch(), time.sleep(600)))
        """,
    )
    run = project.start("up", "--yes", "--skip-preview", "--policy-pack", "rules")
    try:
        _wait(lambda: any("pulumi.dynamic" in line for line in _of_project(project)))
        yield run
    finally:
        run.kill()
        run.communicate(timeout=30)


def test_nothing_is_left_when_the_engine_is_killed(project: Project, sleeper: "subprocess.Popen[str]") -> None:
    running = " ".join(_of_project(project))
    for part in ("language_host language", "child.py program", "child.py module pulumi.policy", "pulumi.dynamic"):
        assert part in running
    sleeper.kill()
    _wait(lambda: not _of_project(project))


def test_ctrl_c_ends_a_deployment_in_good_order(project: Project, sleeper: "subprocess.Popen[str]") -> None:
    _wait((project.root / "created").exists)
    sleeper.send_signal(signal.SIGINT)
    output, _ = sleeper.communicate(timeout=120)
    assert sleeper.returncode != 0
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    _wait(lambda: not _of_project(project))


def test_the_engine_can_ask_about_the_project(project: Project) -> None:
    status, output = project.pulumi("about")
    assert status == 0, output
    assert f"executable='{project.root}/.venv/bin/python'" in output
    assert "pulumi-policy" in output.replace("_", "-")


@pytest.fixture
def host(variables: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """The host alone, with a client and its standard error."""
    with subprocess.Popen(
        [HOSTS / "pulumi-language-python", "-v=3", "127.0.0.1:9"],
        cwd=tmp_path,
        env={**variables, PYTHON_VARIABLE: sys.executable},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield process, language_pb2_grpc.LanguageRuntimeStub(channel)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, b"")


def test_what_needs_an_official_installation_is_refused_in_words(host: Any) -> None:
    _, client = host
    with pytest.raises(grpc.RpcError) as caught:
        client.GeneratePackage(language_pb2.GeneratePackageRequest())
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "install an official Pulumi for it" in caught.value.details()


def test_the_host_answers_for_the_version_of_its_sdk(host: Any) -> None:
    _, client = host
    found = find("pulumi")
    assert client.GetPluginInfo(Empty()).version == found.version


def test_options_that_name_no_python_are_refused_in_words(host: Any, tmp_path: Path) -> None:
    _, client = host
    info = language_pb2.ProgramInfo(root_directory=str(tmp_path), program_directory=str(tmp_path), entry_point=".")
    info.options.update({"toolchain": "poetry"})
    with pytest.raises(grpc.RpcError) as caught:
        list(client.InstallDependencies(language_pb2.InstallDependenciesRequest(info=info)))
    assert "does not ask poetry where its environment is" in caught.value.details()


def test_the_older_way_to_a_policy_pack_works(variables: dict[str, str], tmp_path: Path) -> None:
    project = Project(tmp_path, variables)
    for name, text in PACK.items():
        project.write(name, text)
    with subprocess.Popen(
        [HOSTS / "pulumi-analyzer-policy-python", "127.0.0.1:9", "."],
        cwd=tmp_path,
        env={**variables, PYTHON_VARIABLE: sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors == b""
