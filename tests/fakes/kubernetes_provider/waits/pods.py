"""What is wrong with the pods behind an object: condition, container and last events of each."""

from collections.abc import Iterator

from tests.fakes.kubernetes_provider import objects
from tests.support.kubernetes_api import Client, Object

SHOWN_PODS = 5
SHOWN_EVENTS = 3


def owned(api: Client, owner: Object) -> list[Object]:
    """Pods that an object controls."""
    return [pod for pod in api.items("v1", "Pod", objects.namespace(owner)) if is_owned(pod, owner)]


def is_owned(item: Object, owner: Object) -> bool:
    """Whether `owner` controls it."""
    return any(ref["uid"] == owner["metadata"]["uid"] for ref in item["metadata"].get("ownerReferences", ()))


def condition(item: Object, kind: str) -> Object:
    """A condition of its status; empty when it is not there."""
    conditions = objects.at(item, "status", "conditions") or ()
    return next((found for found in conditions if found["type"] == kind), {})


def is_true(item: Object, kind: str) -> bool:
    """Whether a condition holds."""
    return condition(item, kind).get("status") == "True"


def problems(api: Client, pods: list[Object]) -> list[str]:
    """Lines like `[Pod ns/name]: containers with unready status: [tgi][ImagePullBackOff] …`, then its events."""
    troubled = [pod for pod in pods if not is_true(pod, "Ready") and objects.at(pod, "status", "phase") != "Succeeded"]
    lines = [line for pod in troubled[:SHOWN_PODS] for line in _of_pod(api, pod)]
    hidden = len(troubled) - SHOWN_PODS
    return [*lines, f"and {hidden} more pods"] if hidden > 0 else lines


def _of_pod(api: Client, pod: Object) -> Iterator[str]:
    title = f"[Pod {objects.identity(pod).removeprefix('default/')}]"
    for kind in ("PodScheduled", "Initialized", "Ready"):
        found = condition(pod, kind)
        if found and found["status"] != "True":
            containers = "".join(_of_container(status) for status in _statuses(pod)) if kind != "PodScheduled" else ""
            message = found.get("message", "") + containers
            if message:
                yield f"{title}: {message}"
    events = [event for event in api.events(objects.namespace(pod), objects.name(pod)) if event["type"] == "Warning"]
    for event in events[-SHOWN_EVENTS:]:
        times = (event.get("series") or event).get("count") or 1
        yield f"{title}: event {event['reason']} (x{times}): {event['message']}"


def _statuses(pod: Object) -> list[Object]:
    return [*(objects.at(pod, "status", "containerStatuses") or ())]


def _of_container(status: Object) -> str:
    if status["ready"]:
        return ""
    text = ""
    waiting = objects.at(status, "state", "waiting")
    if waiting and waiting["reason"] != "ContainerCreating":
        text += f"[{waiting['reason']}] {waiting.get('message', '')}"
    ended = objects.at(status, "state", "terminated")
    if ended:
        text += f'container "{status["name"]}" completed with exit code {ended["exitCode"]}'
    last = objects.at(status, "lastState", "terminated")
    if last:
        text += f' container "{status["name"]}" terminated ({last.get("reason")}: exit code {last["exitCode"]})'
    return text
