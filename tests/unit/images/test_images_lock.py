"""The lock of images: what may be deployed, how it is brought up to date, and how the kit's own images get into it."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from images.__main__ import main
from images.lock import LOCK, ImageError, Pin, image, lacking, read, write
from infra.toolchain.parts import load as parts
from serving.engines.registry import ENGINES
from tests.fakes.registry import INDEX, FakeRegistry

DIGEST = "sha256:" + "ab" * 32
CAPABILITIES = (None, 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    started = FakeRegistry().start()
    yield started
    started.stop()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "images.lock"


def run(lock: Path, *words: str) -> int:
    return main(["--lock", str(lock), *words])


def test_the_kits_lock_has_every_image_that_the_kit_asks_for() -> None:
    pins = read()
    wanted = {"gateway", "local", "store-loader", "envoy", "rust", "python"}
    for engine in ENGINES.values():
        for capability in CAPABILITIES:
            try:
                wanted.add(engine.image(capability))
            except ValueError:  # it has none for that GPU
                continue
    assert wanted <= pins.keys()
    assert all(lacking([name]) or image(name).endswith(str(pins[name].digest)) for name in pins)


def test_the_module_and_envoys_image_are_of_one_version() -> None:
    """The module is bound to the interface of one Envoy version; the local platform's is in parts.yaml."""
    assert read()["envoy"].tag == f"distroless-v{parts()['envoy'].version}"


def test_the_lock_is_written_as_it_is_read(tmp_path: Path) -> None:
    again = tmp_path / "again.lock"
    write(read(), again)
    assert again.read_text() == LOCK.read_text()


def test_an_image_is_given_by_digest_or_not_at_all(lock: Path) -> None:
    write(
        {
            "good": Pin("ghcr.io/owner/good", "1.2", DIGEST),
            "open": Pin("ghcr.io/owner/open", "1.2"),
            "ours": Pin(built="gateway"),
        },
        lock,
    )
    assert image("good", lock) == f"ghcr.io/owner/good:1.2@{DIGEST}"
    with pytest.raises(ImageError, match=r"has no digest.*reaches ghcr\.io: python -m images update open"):
        image("open", lock)
    with pytest.raises(ImageError, match=r"the kit's own.*make images REGISTRY="):
        image("ours", lock)
    with pytest.raises(ImageError, match="did you mean 'good'"):
        image("god", lock)
    assert [text.split("'")[1] for text in lacking(["ours", "good", "open", "god"], lock)] == ["god", "open", "ours"]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{repository: ghcr.io/a/b, tag: '1', digest: sha256:12}", "is not sha256: and 64"),
        ("{repository: ubuntu, tag: '1', digest: null}", "is not registry/path"),
        ("{repository: ghcr.io/a/b, tag: null, digest: null}", "both repository and tag"),
        ("{repository: null, tag: null, digest: null}", "has no repository"),
        ("{repository: ghcr.io/a/b, tag: '1', digest: null, sha: x}", "an entry has the keys"),
        ("text", "an entry has the keys"),
    ],
)
def test_faults_of_the_lock_are_named(lock: Path, entry: str, fault: str) -> None:
    lock.write_text(f"one: {entry}\n")
    with pytest.raises(ImageError, match=rf"images\.lock: one: .*{fault}"):
        read(lock)


def test_update_pins_what_the_tags_are_now(
    lock: Path, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    first = registry.push("team/engine", "1.0")
    other = registry.push("team/other", "2")
    write(
        {
            "engine": Pin(f"{registry.host}/team/engine", "1.0", source="somebody said so"),
            "other": Pin(f"{registry.host}/team/other", "2", other),
            "ours": Pin(built="gateway"),
        },
        lock,
    )
    assert run(lock, "update") == 0
    assert image("engine", lock) == f"{registry.host}/team/engine:1.0@{first}"
    assert read(lock)["engine"].source is None, "the registry itself has said it"
    said = capsys.readouterr().out
    assert f"engine: {registry.host}/team/engine:1.0 is now {first}" in said
    assert f"is still {other}" in said
    assert all(INDEX in accepted for _, accepted in registry.asked), "the index of all processors is asked for"
    second = registry.push("team/engine", "1.0", annotations={"built": "again"})
    registry.push("team/other", "2", annotations={"built": "again"})
    assert run(lock, "update", "engine") == 0
    assert read(lock)["engine"].digest == second
    assert read(lock)["other"].digest == other, "the others stay"


def test_what_cannot_be_asked_stays_as_it_was(
    lock: Path, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.protected = False
    good = registry.push("team/good", "1")
    write(
        {
            "gone": Pin(f"{registry.host}/team/gone", "1", DIGEST),
            "good": Pin(f"{registry.host}/team/good", "1"),
            "nobody": Pin("127.0.0.1:1/team/nobody", "1", DIGEST),
            "ours": Pin(built="gateway"),
        },
        lock,
    )
    assert run(lock, "update") == 1
    pins = read(lock)
    assert (pins["gone"].digest, pins["good"].digest, pins["nobody"].digest) == (DIGEST, good, DIGEST)
    said = capsys.readouterr().err
    assert "gone: " in said
    assert "404" in said
    assert "nobody: " in said
    assert "refused" in said
    assert run(lock, "update", "ours") == 1
    assert "python -m images build" in capsys.readouterr().err
    assert run(lock, "update", "what") == 1
    assert "there are gone, good, nobody, ours" in capsys.readouterr().err


def test_a_registry_that_lies_about_its_bytes_is_not_believed(
    lock: Path, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.lying = True
    registry.push("team/engine", "1")
    write({"engine": Pin(f"{registry.host}/team/engine", "1", DIGEST)}, lock)
    assert run(lock, "update") == 1
    assert "but its bytes are" in capsys.readouterr().err
    assert read(lock)["engine"].digest == DIGEST


@pytest.fixture
def builder(tmp_path: Path) -> Path:
    """Stands for Docker: notes its arguments, and says what buildx says of what it pushed."""
    program = tmp_path / "builder"
    program.write_text(
        dedent(
            f"""\
            #!/bin/sh
            printf '%s\\n' "$@" >> {tmp_path}/arguments
            while [ $# -gt 0 ]; do
              [ "$1" = --metadata-file ] && echo '{{"containerimage.digest": "{DIGEST}"}}' > "$2"
              shift
            done
            """
        )
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_own_images_are_built_on_pinned_bases_pushed_and_pinned(lock: Path, tmp_path: Path, builder: Path) -> None:
    bases = {name: Pin(f"ghcr.io/owner/{name}", "1", DIGEST) for name in ("envoy", "rust", "python")}
    write({**bases, "gateway": Pin(built="gateway"), "local": Pin(built="local-engine")}, lock)
    assert run(lock, "build", "--registry", "reg.example.com/team/", "--tag", "v7", "--builder", str(builder)) == 0
    assert image("gateway", lock) == f"reg.example.com/team/berth-gateway:v7@{DIGEST}"
    assert image("local", lock) == f"reg.example.com/team/berth-local-engine:v7@{DIGEST}"
    words = (tmp_path / "arguments").read_text().splitlines()
    given = {words[i + 1] for i, word in enumerate(words) if word == "--build-arg"}
    assert given == {f"{name.upper()}_IMAGE=ghcr.io/owner/{name}:1@{DIGEST}" for name in bases}
    assert "--push" in words
    assert json.dumps(words).count("reg.example.com") == 2


def test_nothing_is_built_on_a_base_without_digest(
    lock: Path, tmp_path: Path, builder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        {
            "envoy": Pin("ghcr.io/owner/envoy", "1"),
            "rust": Pin("ghcr.io/owner/rust", "1", DIGEST),
            "gateway": Pin(built="gateway"),
        },
        lock,
    )
    assert run(lock, "build", "--registry", "reg.example.com/team", "--tag", "v7", "--builder", str(builder)) == 1
    assert "python -m images update envoy" in capsys.readouterr().err
    assert not (tmp_path / "arguments").exists()
    assert run(lock, "build", "envoy", "--registry", "reg.example.com/team", "--tag", "v7") == 1
    assert "envoy: not built here" in capsys.readouterr().err


def test_a_builder_that_is_missing_or_fails_pins_nothing(
    lock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bases = {name: Pin(f"ghcr.io/owner/{name}", "1", DIGEST) for name in ("envoy", "rust")}
    write({**bases, "gateway": Pin(built="gateway")}, lock)
    before = lock.read_text()
    words = ("build", "--registry", "reg.example.com/team", "--tag", "v7", "--builder")
    assert run(lock, *words, str(tmp_path / "none")) == 1
    assert "install Docker with buildx" in capsys.readouterr().err
    assert run(lock, *words, "false") == 1
    assert "could not build gateway" in capsys.readouterr().err
    assert lock.read_text() == before
