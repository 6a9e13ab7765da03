"""The picker's own algorithm, called from Python (native/pool)."""

import ctypes
from functools import cache

from tests.bench.gateway import native


class _Choice(ctypes.Structure):
    _fields_ = (("ticket", ctypes.c_uint64), ("backend", ctypes.c_uint32), ("cached_bytes", ctypes.c_uint64))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(native.pool_library()))
    library.picker_new.argtypes = (ctypes.c_uint32, ctypes.c_uint64)
    library.picker_new.restype = ctypes.c_void_p
    library.picker_free.argtypes = (ctypes.c_void_p,)
    library.picker_free.restype = None
    library.picker_pick.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    library.picker_pick.restype = _Choice
    for name in ("picker_prefilled", "picker_finished"):
        function = getattr(library, name)
        function.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
        function.restype = None
    return library


class Picker:
    """One gateway's picker in front of backends 0 to n - 1."""

    def __init__(self, backends: int, kv_tokens: int) -> None:
        """`kv_tokens`: KV cache of each backend, as discovery metadata would say."""
        self._library = _library()
        self._picker = self._library.picker_new(backends, kv_tokens)

    def __del__(self) -> None:
        self._library.picker_free(self._picker)

    def pick(self, prompt: bytes) -> tuple[int, int]:
        """The backend for this prompt, which is charged with it, and a ticket to give the charge back."""
        choice = self._library.picker_pick(self._picker, prompt, len(prompt))
        return choice.backend, choice.ticket

    def prefilled(self, ticket: int) -> None:
        """The first token is out."""
        self._library.picker_prefilled(self._picker, ticket)

    def finished(self, ticket: int) -> None:
        """The request has ended."""
        self._library.picker_finished(self._picker, ticket)
