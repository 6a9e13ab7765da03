"""`make doctor`: what this machine and the stack's cluster lack, with the way out, before anything is created."""

import sys
from collections.abc import Iterator

from infra import toolchain
from infra.planning import Plan, PlanError, plan
from infra.platforms import images, kubernetes_checks
from infra.settings import Platform, Problem, Settings, SettingsError, load
from infra.tasks.session import Session
from infra.toolchain import doctor as parts


def doctor(session: Session, stack: str) -> bool:
    """Prints the table of external programs and all findings of the stack; whether a deployment could go on."""
    text, good = parts.report(toolchain.Toolchain())
    sys.stdout.write(f"{text}\n")
    try:
        settings = load(stack, session.root)
        planned = plan(settings, nodes=kubernetes_checks.nodes_to_plan_with(settings))
    except (SettingsError, PlanError) as error:
        sys.stdout.write(f"stack {stack}:\n{_lines(str(error))}")
        return False
    sound = True
    for line in (*stack_lines(settings, planned), *image_lines(settings, planned, session)):
        sound = sound and not line.startswith("  ✗")
        sys.stdout.write(f"{line}\n")
    return good and sound


def stack_lines(settings: Settings, planned: Plan) -> Iterator[str]:
    """What the stack's cluster has to say; `✗` stops a deployment, `!` does not."""
    if settings.platform is not Platform.KUBERNETES:
        yield f"stack {settings.stack}: settings and plan are sound; `make preview` looks at the rest"
        return
    report = kubernetes_checks.check(settings, planned)
    where = f"cluster '{settings.kubernetes.context}'" + (f", Kubernetes {report.version}" if report.version else "")
    if not report.problems:
        yield f"stack {settings.stack} on {where}: nothing stands in its way"
    else:
        many = len(report.problems)
        yield f"stack {settings.stack} on {where}: {many} thing{'s' * (many > 1)} in the way"
    yield from (_line("✗", problem) for problem in report.problems)
    yield from (_line("!", problem) for problem in report.notes)


def image_lines(settings: Settings, planned: Plan, session: Session) -> Iterator[str]:
    """Images that are not pinned yet; nothing is deployed without a digest."""
    if settings.platform is Platform.KUBERNETES:
        yield from (f"  ✗ {text}" for text in images.lacking(planned, session.root))


def _line(mark: str, problem: Problem) -> str:
    return f"  {mark} {problem}"


def _lines(text: str) -> str:
    return "".join(f"  ✗ {line}\n" for line in text.splitlines())
