"""`make up`: everything that the stack file asks for, running, with its URLs printed."""

import json

from infra.settings import Platform, load
from infra.tasks import outputs, rollout_report
from infra.tasks.engine import TaskError, exclusive, pulumi, say, select, untouched
from infra.tasks.prepare import prepare
from infra.tasks.session import Session


def up(session: Session, stack: str) -> None:
    """Brings the stack up, or up to date."""
    settings = load(stack, session.root)
    prepare(settings)  # mistakes in the stack file show before anything is fetched or built
    session.open()
    with exclusive(session, stack), untouched(session.stack_file(stack)):
        select(session, stack)
        done = pulumi(session, "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs")
        if done.returncode:
            if settings.platform is Platform.KUBERNETES:
                rollout_report.report(settings)
            raise TaskError(f"stack {stack} is not wholly up; mend what the message above says and run this again")
        say(f"stack {stack} is up\n{outputs.table(outputs.read(session, stack, secrets=True))}")


def preview(session: Session, stack: str) -> None:
    """Shows what `up` would do."""
    prepare(load(stack, session.root))
    session.open()
    with untouched(session.stack_file(stack)):
        select(session, stack)
        if pulumi(session, "preview", "--stack", stack, "--diff").returncode:
            raise TaskError(f"stack {stack} cannot be previewed; see the message above")


def show_outputs(session: Session, stack: str, *, secrets: bool) -> None:
    """Prints the outputs as JSON."""
    print(json.dumps(outputs.read(session, stack, secrets=secrets), indent=2))  # noqa: T201
