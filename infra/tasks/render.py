"""`make render`: a stack as plain manifests in build/render, for people whose clusters follow a repository."""

from pathlib import Path

from infra import platforms
from infra.planning import Plan, plan
from infra.render import collect, pages, placeholders, write
from infra.settings import Platform, Settings, load
from infra.tasks.engine import TaskError, say
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
    settings = load(stack, root)
    if settings.platform is not Platform.KUBERNETES:
        raise TaskError(f"stack {stack} is on platform {settings.platform}; only those on kubernetes are manifests")
    planned = plan(settings)
    values, secret = placeholders.config(settings, root)
    return pages(stack, collect(lambda: _program(settings, planned), stack, values, secret))


def _program(settings: Settings, planned: Plan) -> None:
    platforms.platform(settings.platform).build(settings, planned)
