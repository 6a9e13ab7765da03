"""What the engine may ask of the provider: messages in and out; the work is done in the modules beside."""

# ruff: noqa: N802 - names of the protocol

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import grpc

from tests.fakes.kubernetes_provider import answers, checkpoint, configuration, naming, objects, properties
from tests.fakes.kubernetes_provider.decision import decide, replaced
from tests.fakes.kubernetes_provider.engine import Engine
from tests.fakes.kubernetes_provider.normal import trimmed
from tests.fakes.kubernetes_provider.operations import ConflictError, Operations, PreviewError
from tests.fakes.kubernetes_provider.protocol import Empty, plugin_pb2, provider_pb2, provider_pb2_grpc
from tests.fakes.kubernetes_provider.settings import Settings, SettingsError
from tests.fakes.kubernetes_provider.waits import NotReadyError, WaitForError
from tests.support.kubernetes_api import ApiError, Client, KubeconfigError, NoSuchKindError, UnreachableError

VERSION = "4.34.2"
"""Of the provider that this one stands for."""
_REFUSALS = (ApiError, NoSuchKindError, UnreachableError, ConflictError, WaitForError)


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """One provider resource of a program: one cluster, one user."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stopping = threading.Event()
        self._settings: Settings
        self._operations: Operations | None = None
        self._unreachable = ""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:
        # The SDKs bring their own; the engine wants the name.
        return provider_pb2.GetSchemaResponse(schema=f'{{"name": "kubernetes", "version": "{VERSION}"}}')

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, accept_resources=False, accept_outputs=False, supports_autonaming_configuration=True
        )

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return configuration.difference(properties.read(request.olds), properties.read(request.news))

    def Configure(self, request: Any, context: Any) -> Any:
        """Asks the cluster for its version. Where that fails, previews go on without it, as those of the real one."""
        try:
            self._settings = Settings.read(properties.read(request.args))
        except SettingsError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            api = Client(self._settings.access())
            api.version()
            self._operations = Operations(api, self._settings, self.stopping)
        except (KubeconfigError, UnreachableError, ApiError) as error:
            self._unreachable = str(error)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request: Any, context: Any) -> Any:
        """Gives names and namespaces."""
        if answers.is_unsupported(request.urn):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, answers.unsupported(request.urn))
        given = properties.read(request.news)
        new, old = trimmed(properties.plain(given)), properties.plain(properties.read(request.olds))
        options = request.autonaming if request.HasField("autonaming") else None
        try:
            new = naming.named(new, old, answers.logical_name(request.urn), request.randomSeed, options)
        except naming.NamingError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        if "generateName" in (new.get("metadata") or {}):
            reason = "the `.metadata.generateName` field is not supported in Server-Side Apply mode"
            context.abort(grpc.StatusCode.UNKNOWN, reason)
        namespace = self._settings.namespace
        if namespace and not objects.namespace(new) and self._is_namespaced(new):
            new = objects.with_metadata(new, namespace=namespace)
        return provider_pb2.CheckResponse(inputs=properties.write(properties.marked(new, given)))

    def Diff(self, request: Any, context: Any) -> Any:
        """From the state alone; the cluster is asked whether a kind has namespaces and a Job that says so is ready."""
        old_inputs, live = checkpoint.read(properties.read(request.olds))
        new = properties.plain(properties.read(request.news))
        ignored = list(request.ignoreChanges)
        found = decide(old_inputs, live, new, ignored, self._settings, namespaced=self._is_namespaced(new))
        return answers.difference(replaced(found) if self._is_unready_job(new) else found)

    def Create(self, request: Any, context: Any) -> Any:
        given = properties.read(request.properties)
        inputs = properties.plain(given)
        manager = checkpoint.manager({}, inputs, _digest(request.urn))
        if request.preview:
            return self._previewed_creation(request, given, inputs, manager, context)
        operations = self._connected(context)
        report = self._reporter(request.urn)
        try:
            made = operations.create(inputs, manager, request.timeout, report)
        except NotReadyError as error:
            prefix = (
                f'resource "{request.urn}" was successfully created, but the Kubernetes API server reported that it '
                "failed to fully initialize or become live"
            )
            return answers.partial(context, prefix, error, given, manager)
        except _REFUSALS as error:
            return answers.failed(context, f'resource "{request.urn}" was not successfully created', error)
        report("")
        state = checkpoint.write(made, given, manager)
        return provider_pb2.CreateResponse(id=objects.identity(made), properties=properties.write(state))

    def Read(self, request: Any, context: Any) -> Any:
        """For `refresh`, `import` and `.get`; an object that is gone is answered by an empty id."""
        operations = self._operations
        if operations is None:
            if self._settings.delete_unreachable:
                self._engine.warn(request.urn, f"cluster unreachable, forgetting the resource: {self._unreachable}")
                return provider_pb2.ReadResponse()
            context.abort(grpc.StatusCode.UNKNOWN, answers.UNREACHABLE_READ)
            raise RuntimeError(self._unreachable)
        state, given = properties.read(request.properties), properties.read(request.inputs)
        old_inputs = properties.plain(given)
        _, known = checkpoint.read(state)
        wanted = answers.to_read(request.urn, request.id, old_inputs, known)
        try:
            live = operations.read(wanted)
            if live is None:
                return provider_pb2.ReadResponse()
            inputs = properties.marked(answers.inputs_of(live, old_inputs), given)
            manager = checkpoint.manager(state, old_inputs, _digest(request.urn))
            if old_inputs:
                operations.check_ready(old_inputs, live)
        except NotReadyError as error:
            return answers.partial(context, "", error, inputs, manager, identity=request.id)
        except _REFUSALS as error:
            return answers.failed(context, f'reading of resource "{request.urn}" failed', error)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=properties.write(checkpoint.write(live, inputs, manager)),
            inputs=properties.write(inputs),
        )

    def Update(self, request: Any, context: Any) -> Any:
        state, given = properties.read(request.olds), properties.read(request.news)
        inputs = trimmed(properties.plain(given))
        manager = checkpoint.manager(state, inputs, _digest(request.urn))
        ignored = list(request.ignoreChanges)
        if request.preview:
            return self._previewed_update(request, given, inputs, manager, context)
        operations = self._connected(context)
        try:
            changed = operations.update(inputs, manager, ignored, request.timeout)
        except NotReadyError as error:
            prefix = (
                f'the Kubernetes API server reported that "{objects.identity(error.item)}" failed to fully initialize '
                "or become live"
            )
            return answers.partial(context, prefix, error, given, manager)
        except _REFUSALS as error:
            return answers.failed(context, f'update of resource "{request.urn}" failed', error)
        written = checkpoint.write(changed, given, manager)
        return provider_pb2.UpdateResponse(properties=properties.write(written))

    def Delete(self, request: Any, context: Any) -> Any:
        state = properties.read(request.properties)
        inputs, live = checkpoint.read(state)
        if self._operations is None:
            if self._settings.delete_unreachable:
                self._engine.warn(request.urn, f"cluster unreachable, forgetting the resource: {self._unreachable}")
                return Empty()
            context.abort(grpc.StatusCode.UNKNOWN, answers.UNREACHABLE_DELETE)
            raise RuntimeError(self._unreachable)
        try:
            self._operations.delete(inputs, live, request.timeout)
        except NotReadyError as error:
            for reason in error.reasons:
                self._engine.warn(request.urn, reason)
            manager = checkpoint.manager(state, inputs, _digest(request.urn))
            return answers.partial(context, "", error, inputs, manager)
        except _REFUSALS as error:
            return answers.failed(context, f'deletion of resource "{request.urn}" failed', error)
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """Only what `yaml.ConfigFile` needs."""
        if request.tok != "kubernetes:yaml:decode":
            context.abort(grpc.StatusCode.UNIMPLEMENTED, answers.unsupported(request.tok))
        return answers.decoded(properties.plain(properties.read(request.args)))

    def Cancel(self, request: Any, context: Any) -> Any:
        """Ends all waits; what they waited for is kept in the state as not ready."""
        self.stopping.set()
        return Empty()

    def _previewed_creation(self, request: Any, given: Any, inputs: Any, manager: str, context: Any) -> Any:
        if self._operations is None or properties.has_unknown(inputs):
            return provider_pb2.CreateResponse(properties=request.properties)
        try:
            shown = self._operations.preview_creation(inputs, manager)
        except PreviewError:
            return provider_pb2.CreateResponse(properties=request.properties)
        except _REFUSALS as error:
            return answers.failed(context, f'resource "{request.urn}" was not successfully created', error)
        shown.pop("status", None)
        return provider_pb2.CreateResponse(properties=properties.write(checkpoint.write(shown, given, manager)))

    def _previewed_update(self, request: Any, given: Any, inputs: Any, manager: str, context: Any) -> Any:
        if self._operations is None or properties.has_unknown(inputs):
            return provider_pb2.UpdateResponse(properties=request.news)
        try:
            shown = self._operations.preview_update(inputs, manager, list(request.ignoreChanges))
        except PreviewError:
            return provider_pb2.UpdateResponse(properties=request.news)
        except _REFUSALS as error:
            return answers.failed(context, f'update of resource "{request.urn}" failed', error)
        return provider_pb2.UpdateResponse(properties=properties.write(checkpoint.write(shown, given, manager)))

    def _connected(self, context: Any) -> Operations:
        if self._operations is None:
            reason = f"configured Kubernetes cluster is unreachable: {self._unreachable}"
            context.abort(grpc.StatusCode.UNKNOWN, reason)
            raise RuntimeError(reason)
        return self._operations

    def _is_namespaced(self, item: dict[str, Any]) -> bool:
        """A kind that is not there yet is taken for one with namespaces."""
        if self._operations is None:
            return True
        try:
            return self._operations.api.namespaced(str(item.get("apiVersion")), str(item.get("kind")))
        except (NoSuchKindError, UnreachableError):
            return True

    def _is_unready_job(self, item: dict[str, Any]) -> bool:
        """Whether its annotation asks for another one when it is not complete, and it is not."""
        wanted = objects.kind(item) == "batch/v1/Job" and objects.annotation(item, objects.REPLACE_UNREADY) == "true"
        if self._operations is None or not wanted:
            return False
        try:
            live = self._operations.read(item)
            if live is not None:
                self._operations.check_ready(item, live)
        except NotReadyError:
            return True
        except _REFUSALS:
            return False
        return False

    def _reporter(self, urn: str) -> Callable[[str], None]:
        return lambda text: self._engine.status(urn, text)


def _digest(urn: str) -> str:
    return hashlib.sha256(urn.encode()).hexdigest()[:8]
