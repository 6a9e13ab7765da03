"""Why a stack cannot be rendered."""


class RenderError(ValueError):
    """The message says what stands in the way; all of it at once."""
