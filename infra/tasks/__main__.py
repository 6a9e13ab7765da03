"""`python -m infra.tasks TASK STACK`: what the Makefile calls."""

import argparse
import os
import sys

from infra.planning import PlanError
from infra.render import RenderError
from infra.settings import SettingsError, load
from infra.tasks import doctor, down, render, up
from infra.tasks.engine import TaskError
from infra.tasks.prepare import prepare
from infra.tasks.session import ROOT, Session
from infra.toolchain import ToolchainError
from serving.store import StoreError


def main() -> int:
    """Runs one task; 1 and a message on standard error where it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m infra.tasks")
    parser.add_argument("task", choices=["up", "down", "preview", "outputs", "prepare", "doctor", "render"])
    parser.add_argument("stack")
    arguments = parser.parse_args()
    session = Session(ROOT)
    try:
        match arguments.task:
            case "up":
                up.up(session, arguments.stack)
            case "down":
                down.down(session, arguments.stack)
            case "prepare":
                prepare(load(arguments.stack, session.root))
            case "doctor":
                return 0 if doctor.doctor(session, arguments.stack) else 1
            case "render" if os.environ.get("SECRETS") == "1":
                render.show_secrets(session, arguments.stack)
            case "render":
                render.render(session, arguments.stack)
            case "preview":
                up.preview(session, arguments.stack)
            case _:
                up.show_outputs(session, arguments.stack, secrets=os.environ.get("SECRETS") == "1")
    except (SettingsError, PlanError, RenderError, StoreError, TaskError, ToolchainError) as error:
        print(f"berth: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("berth: interrupted; run it again to go on where it stopped", file=sys.stderr)  # noqa: T201
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
