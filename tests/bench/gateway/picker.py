"""The picker's own algorithm, called from Python (native/pool)."""

import ctypes
from dataclasses import dataclass
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
    library.picker_prefilled.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_double)
    library.picker_finished.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
    library.picker_told.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int64, ctypes.c_int32),
        *(ctypes.c_char_p, ctypes.c_size_t),
    )
    for name in ("prefilled", "finished", "told"):
        getattr(library, f"picker_{name}").restype = None
    return library


@dataclass(frozen=True, slots=True)
class Pick:
    """What a picker decided."""

    ticket: int
    """To give the charge back with."""
    backend: int
    work: int
    """Bytes of the prompt that the backend is believed to have to compute."""


class Picker:
    """One gateway's picker in front of backends 0 to n - 1."""

    def __init__(self, backends: int, kv_tokens: int) -> None:
        """`kv_tokens`: KV cache of each backend, as discovery metadata would say."""
        self._library = _library()
        self._picker = self._library.picker_new(backends, kv_tokens)

    def __del__(self) -> None:
        self._library.picker_free(self._picker)

    def pick(self, prompt: bytes) -> Pick:
        """The backend for this prompt, which is charged with it."""
        choice = self._library.picker_pick(self._picker, prompt, len(prompt))
        return Pick(choice.ticket, choice.backend, len(prompt) - choice.cached_bytes)

    def prefilled(self, pick: Pick, seconds: float) -> None:
        """The first token is out, so many seconds after the pick."""
        self._library.picker_prefilled(self._picker, pick.ticket, seconds)

    def finished(self, pick: Pick) -> None:
        """The request has ended."""
        self._library.picker_finished(self._picker, pick.ticket)

    def told(self, sender: int, backend: int, work: int, active: int, prompt: bytes = b"") -> None:
        """Another gateway has sent a prompt, or has got so many bytes of work or requests back."""
        self._library.picker_told(self._picker, sender, backend, work, active, prompt, len(prompt))
