"""Errors that a client sees: status, text, and the type by which client libraries tell them apart."""


class ApiError(Exception):
    """A refused or failed request. Each protocol writes its own body from it."""

    status = 500
    kind = "unknown"
    """`error_type` in TGI's bodies (router/src/infer/mod.rs, InferError::error_type)."""
    reason = "generation"
    """Label `err` of tgi_request_failure and te_request_failure."""

    @property
    def body(self) -> dict[str, str]:
        """TGI's error body."""
        return {"error": str(self), "error_type": self.kind}


class InvalidRequestError(ApiError):
    """The request cannot be served as it is."""

    status = 422
    kind = "validation"
    reason = "validation"

    def __init__(self, rule: str) -> None:
        super().__init__(f"Input validation error: {rule}")


class MalformedBodyError(ApiError):
    """The body is not JSON, or not of the right shape."""

    kind = "validation"
    reason = "validation"

    def __init__(self, problem: str, *, status: int = 422) -> None:
        super().__init__(problem)
        self.status = status


class BatchSizeError(ApiError):
    """More inputs than one request may have."""

    status = 422
    kind = "batch size exceeded"

    def __init__(self, problem: str, reason: str = "validation") -> None:
        super().__init__(problem)
        self.reason = reason


class EmptyInputError(ApiError):
    """Nothing to embed."""

    status = 400
    kind = "empty"
    reason = "validation"

    def __init__(self) -> None:
        super().__init__("`inputs` cannot be empty")


class TemplateError(ApiError):
    """The chat template cannot take these messages, or there is none."""

    status = 422
    kind = "template_error"
    reason = "template"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Template error: {problem}")


class OverloadedError(ApiError):
    """As many requests run and wait as may."""

    status = 429
    kind = "overloaded"
    reason = "overloaded"

    def __init__(self) -> None:
        super().__init__("Model is overloaded")


class GenerationError(ApiError):
    """The model failed."""

    status = 424
    kind = "generation"
    reason = "generation"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Request failed during generation: {problem}")


class IncompleteError(ApiError):
    """The model stopped without a reason."""

    status = 500
    kind = "incomplete_generation"
    reason = "incomplete"

    def __init__(self) -> None:
        super().__init__("Incomplete generation")
