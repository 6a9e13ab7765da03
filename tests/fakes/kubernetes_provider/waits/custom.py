"""What the annotation `pulumi.com/waitFor` asks for."""

import json

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits import jsonpath, pods
from tests.fakes.kubernetes_provider.waits.base import Wait
from tests.support.kubernetes_api import Client, Object

_JSONPATH, _CONDITION = "jsonpath=", "condition="


class WaitForError(ValueError):
    """An annotation that is not understood."""


class CustomWait(Wait):
    """`jsonpath={.status.phase}=Ready`, `condition=Ready`, or a JSON array of such: all of them."""

    def __init__(self, api: Client, item: Object, before: Object | None = None) -> None:
        """Raises WaitForError at once, not after a wait."""
        super().__init__(api, item, before)
        self._wanted = _expressions(objects.annotation(item, objects.WAIT_FOR))
        for expression in self._wanted:
            _holds(expression, item)

    def done(self) -> bool:
        """All expressions hold."""
        return not self._missing()

    def problems(self) -> list[str]:
        """Those that do not."""
        return [f"Waiting for {expression}" for expression in self._missing()]

    def _missing(self) -> list[str]:
        return [expression for expression in self._wanted if not _holds(expression, self.item)]


class ReadyWait(Wait):
    """With PULUMI_K8S_AWAIT_ALL: a `Ready` condition where the object has conditions."""

    def done(self) -> bool:
        """Without conditions there is nothing to wait for."""
        conditions = objects.at(self.item, "status", "conditions") or ()
        known = {condition["type"] for condition in conditions}
        return "Ready" not in known or pods.is_true(self.item, "Ready")


def _expressions(text: str) -> list[str]:
    try:
        values = json.loads(text)
    except ValueError:
        values = [text]
    found = values if isinstance(values, list) else [text]
    if not found:
        raise WaitForError(f"{objects.WAIT_FOR}: at least one condition must be specified")
    return found


def _holds(expression: str, item: Object) -> bool:
    if expression.startswith(_JSONPATH):
        path, _, wanted = expression.removeprefix(_JSONPATH).partition("}=")
        try:
            values = jsonpath.find(path.removesuffix("}"), item)
        except jsonpath.JsonPathError as error:
            raise WaitForError(f"{objects.WAIT_FOR}: {error}") from error
        return any(_text(value) == wanted.strip("'\"") for value in values) if wanted else bool(values)
    if expression.startswith(_CONDITION):
        name, _, wanted = expression.removeprefix(_CONDITION).partition("=")
        return str(pods.condition(item, name).get("status", "")).lower() == (wanted or "true").lower()
    raise WaitForError(f'{objects.WAIT_FOR}: expected a "jsonpath=" or "condition=" prefix, got "{expression}"')


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
