"""Creating, changing, reading and deleting objects, with the waits that belong to it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.kubernetes_provider import objects, ownership, waits
from tests.fakes.kubernetes_provider.settings import Settings
from tests.support.kubernetes_api import JSON_PATCH, ApiError, Client, NoSuchKindError, Object

RETRY_SECONDS = (1, 2, 4, 8, 16)
"""Between attempts to create what needs something that is not there yet: its namespace, its definition."""
_CONFLICT = (
    "Server-Side Apply field conflict detected. See https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"
    "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting "
    "help.\n"
    'The resource managed by field manager "{manager}" had an apply conflict: {error}'
)


class ConflictError(Exception):
    """Someone else owns a field that was to be changed."""


class PreviewError(Exception):
    """What the server cannot say before it is done: the preview shows the inputs instead."""


@dataclass(frozen=True, slots=True)
class Operations:
    """On one cluster."""

    api: Client
    settings: Settings
    stopping: threading.Event
    """Set when the engine gives up."""

    def preview_creation(self, inputs: Object, manager: str) -> Object:
        """The object as the server would make it. Raises PreviewError, or ApiError for what it would refuse."""
        try:
            return self._create(inputs, manager, dry_run=True)
        except NoSuchKindError as error:
            raise PreviewError from error
        except ApiError as error:
            # Namespace not made yet; replaced under the same name; not allowed to try.
            if error.not_found or error.already_exists or error.code == 403:
                raise PreviewError from error
            raise

    def create(self, inputs: Object, manager: str, seconds: float, report: Callable[[str], None]) -> Object:
        """The object, ready. Raises NotReadyError once it exists; before that ApiError or NoSuchKindError."""
        made = self._created(inputs, manager, report)
        return self._settled(inputs, made, None, seconds)

    def preview_update(self, inputs: Object, manager: str, ignored: list[str]) -> Object:
        """The object as the server would change it. Raises PreviewError, ConflictError or ApiError."""
        try:
            live = self._live(inputs)
            return self._update(inputs, live, manager, ignored, dry_run=True)
        except NoSuchKindError as error:
            raise PreviewError from error
        except ApiError as error:
            if error.code == 403:
                raise PreviewError from error
            raise

    def update(self, inputs: Object, manager: str, ignored: list[str], seconds: float) -> Object:
        """The changed object, ready. Raises NotReadyError once it is changed; before that ConflictError or ApiError."""
        live = self._live(inputs)
        if patch := ownership.takeover(live, manager):
            place = (live["apiVersion"], live["kind"], objects.name(live))
            live = self.api.patch(*place, patch, objects.namespace(live) or None, JSON_PATCH)
        return self._settled(inputs, self._update(inputs, live, manager, ignored), live, seconds)

    def read(self, item: Object) -> Object | None:
        """The object as it is now; None when it, or its kind, is gone."""
        try:
            return self.api.find(item["apiVersion"], item["kind"], objects.name(item), objects.namespace(item) or None)
        except NoSuchKindError:
            return None

    def check_ready(self, inputs: Object, live: Object) -> None:
        """Raises NotReadyError when it is not, right now."""
        # A condition of one's own is for changes only.
        waiting = None if objects.annotation(inputs, objects.WAIT_FOR) else waits.of(self.api, inputs, live)
        if waiting is not None:
            waits.check(waiting)

    def delete(self, inputs: Object, live: Object, seconds: float) -> None:
        """Returns when it is gone. Raises NotReadyError when it stays."""
        policy = objects.annotation(inputs, objects.DELETION_POLICY).capitalize() or "Foreground"
        place = (live["apiVersion"], live["kind"], objects.name(live), objects.namespace(live) or None)
        try:
            self.api.delete(*place, propagation=policy)
        except NoSuchKindError:
            return
        except ApiError as error:
            if error.not_found:
                return
            raise
        if not waits.is_skipped(inputs):
            waits.wait_gone(self.api, live, _seconds(inputs, seconds), self.stopping)

    def _created(self, inputs: Object, manager: str, report: Callable[[str], None]) -> Object:
        for attempt, pause in enumerate(RETRY_SECONDS):
            try:
                return self._create(inputs, manager)
            except (ApiError, NoSuchKindError) as error:
                if isinstance(error, ApiError) and not error.not_found:
                    raise
                report(f"Retry #{attempt}; creation failed: {error}")
                if self.stopping.wait(pause):
                    raise
        return self._create(inputs, manager)

    def _create(self, inputs: Object, manager: str, *, dry_run: bool = False) -> Object:
        if not self.settings.upsert:
            return self.api.create(inputs, manager, dry_run=dry_run)
        return self._apply(inputs, manager, force=self._forces(inputs), dry_run=dry_run)

    def _update(
        self, inputs: Object, live: Object, manager: str, ignored: list[str], *, dry_run: bool = False
    ) -> Object:
        if objects.is_definition(inputs):
            version = live["metadata"]["resourceVersion"]
            return self.api.replace(objects.with_metadata(inputs, resourceVersion=version), manager, dry_run=dry_run)
        kept = ownership.without_ignored(inputs, live, ignored, manager)
        force = self._forces(inputs) or (dry_run and ownership.has_forerunner(live, manager))
        return self._apply(kept, manager, force=force, dry_run=dry_run)

    def _apply(self, inputs: Object, manager: str, *, force: bool, dry_run: bool) -> Object:
        try:
            return self.api.apply(inputs, manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if error.conflict:
                raise ConflictError(_CONFLICT.format(manager=manager, error=error)) from error
            raise

    def _settled(self, inputs: Object, item: Object, before: Object | None, seconds: float) -> Object:
        waiting = waits.of(self.api, inputs, item, before, await_all=self.settings.await_all)
        if waiting is None:
            return item
        return waits.wait(waiting, _seconds(inputs, seconds), self.stopping)

    def _live(self, inputs: Object) -> Object:
        place = (inputs["apiVersion"], inputs["kind"], objects.name(inputs))
        return self.api.get(*place, objects.namespace(inputs) or None)

    def _forces(self, inputs: Object) -> bool:
        own = objects.annotation(inputs, objects.PATCH_FORCE)
        return own == "true" if own else self.settings.patch_force


def _seconds(inputs: Object, custom: float) -> float | None:
    """Custom timeout of the resource, else its annotation; None: the kind's own."""
    text = objects.annotation(inputs, objects.TIMEOUT_SECONDS)
    return custom or (float(text) if text.isdigit() else None)
