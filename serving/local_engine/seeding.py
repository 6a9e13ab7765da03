"""Seeds for CTranslate2, which has one for the whole process.

Each of its threads seeds its own generator from it when it draws its first random number. So a request with a seed gets
a model of its own, whose thread has drawn none yet (3 ms for a model of a few MB), and the seed is set until that
thread has drawn. A thread of the common model that draws its first number in that moment starts from the same seed:
its answers stay random, but from a start that someone chose.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ctranslate2

_UNSET = 2**32 - 1
"""CTranslate2's mark for: take each thread's seed from the system."""
_one_at_a_time = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, a thread that draws its first random number starts from `seed` (64 bits, folded to 32)."""
    with _one_at_a_time:
        ctranslate2.set_random_seed((seed ^ seed >> 32) % _UNSET)
        try:
            yield
        finally:
            ctranslate2.set_random_seed(_UNSET)
