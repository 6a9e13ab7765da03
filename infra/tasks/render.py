"""`make render`: a stack as plain manifests in build/render, for people whose clusters follow a repository."""

import json
import secrets
import sys
from pathlib import Path

import pulumi

from infra import platforms
from infra.planning import Plan, plan
from infra.platforms import kubernetes_checks
from infra.render import collect, pages, placeholders, secret_page, write
from infra.settings import Platform, Settings, load
from infra.tasks import engine
from infra.tasks.engine import TaskError, say, select, untouched
from infra.tasks.session import Session

FOLDER = "build/render"


def render(session: Session, stack: str) -> Path:
    """Writes the stack's manifests; their folder. Raises RenderError, SettingsError, PlanError or TaskError."""
    folder = session.root / FOLDER / stack
    changed = write(folder, files(session.root, stack))
    say(f"stack {stack} is in {FOLDER}/{stack} ({len(changed)} files changed); its README.md says what else is needed")
    return folder


def files(root: Path, stack: str) -> dict[str, str]:
    """Content of the manifests by file name."""
    settings, planned = _plan(root, stack)
    values, secret = placeholders.config(settings, root)
    return pages(stack, collect(lambda: _program(settings, planned), stack, root, values, secret))


def show_secrets(session: Session, stack: str) -> None:
    """Prints the Secrets that the manifests need, with what the stack's config holds decrypted."""
    settings, planned = _plan(session.root, stack)
    values, secret = _decrypted(session, stack)
    made = collect(lambda: _program(settings, planned), stack, session.root, values, secret, _fresh)
    sys.stdout.write(secret_page(made))


def _fresh(_place: str) -> str:
    return secrets.token_hex(32)


def _plan(root: Path, stack: str) -> tuple[Settings, Plan]:
    settings = load(stack, root)
    if settings.platform is not Platform.KUBERNETES:
        raise TaskError(f"stack {stack} is on platform {settings.platform}; only those on kubernetes are manifests")
    return settings, plan(settings)


def _program(settings: Settings, planned: Plan) -> None:
    try:
        with kubernetes_checks.without_cluster():
            platforms.platform(settings.platform).build(settings, planned)
    except pulumi.RunError as error:
        raise TaskError(str(error)) from None


def _decrypted(session: Session, stack: str) -> tuple[dict[str, str], list[str]]:
    session.open()
    with untouched(session.stack_file(stack)):
        select(session, stack)
        done = engine.pulumi(session, "config", "--show-secrets", "--json", "--stack", stack, capture=True)
    if done.returncode:
        raise TaskError(f"the config of stack {stack} cannot be decrypted: {done.stderr.strip()}")
    config = json.loads(done.stdout)
    return {key: entry["value"] for key, entry in config.items()}, [
        key for key, entry in config.items() if entry.get("secret")
    ]
