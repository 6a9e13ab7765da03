"""One request for vectors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.local_engine.job import Job

Vectors = npt.NDArray[np.float32]


class Embedding(Job[Vectors]):
    """Token ids of the inputs of a request; the result is one array, a row an input."""

    def __init__(self, inputs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.inputs = [list(ids) for ids in inputs]

    @property
    def tokens(self) -> int:
        """Of all inputs."""
        return sum(len(ids) for ids in self.inputs)
