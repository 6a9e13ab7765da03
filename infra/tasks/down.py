"""`make down`: nothing of the stack is left but the cache."""

import shutil
from pathlib import Path

from infra.providers.local.daemon import Daemon
from infra.settings import Platform, SettingsError, load
from infra.tasks import orphans
from infra.tasks.engine import PROJECT, TaskError, exclusive, pulumi, say, untouched
from infra.tasks.session import Session


def down(session: Session, stack: str) -> None:
    """Destroys the stack's resources and its state; the last stack takes `.berth` along."""
    if not (session.home / "state").exists():
        say("nothing is up")
        return
    session.open()
    with exclusive(session, stack), untouched(session.stack_file(stack)):
        if state_file(session, stack).exists():
            if pulumi(session, "destroy", "--stack", stack, "--yes", "--skip-preview").returncode:
                raise TaskError(f"stack {stack} is not wholly down; see the message above, then run this again")
            done = pulumi(session, "stack", "rm", stack, "--yes", "--preserve-config", capture=True)
            if done.returncode:
                raise TaskError(f"stack {stack}: {done.stderr.strip()}")
        # A run that was killed may have left processes that the state never knew.
        Daemon(session.stack_dir(stack)).stop()
        shutil.rmtree(session.stack_dir(stack), ignore_errors=True)
    if not list(state_file(session, "*").parent.glob("*.json")):
        shutil.rmtree(session.home)
    say(f"stack {stack} is down")
    look_for_orphans(session, stack)


def look_for_orphans(session: Session, stack: str) -> None:
    """Tells what a stack on a cluster has left there, whatever the state knew of it."""
    try:
        settings = load(stack, session.root)
    except SettingsError:
        say(f"stack {stack}: its file no longer says which cluster it was on, so nobody looked for leftovers there")
        return
    if settings.platform is Platform.KUBERNETES:
        orphans.report(settings)


def state_file(session: Session, stack: str) -> Path:
    """Where the engine's file backend keeps a stack."""
    return session.home / "state/.pulumi/stacks" / PROJECT / f"{stack}.json"
