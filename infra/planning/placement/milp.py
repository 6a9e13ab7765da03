"""Mixed-integer programs for HiGHS, with the large ones made small first, without giving up exactness."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Values = npt.NDArray[np.float64]

_SMALL = 600
"""Variables up to which a program is solved as it is."""
_KEPT = 3
"""Members of each group, best reduced cost first, that the first, incomplete program keeps."""
SECONDS = 60.0
"""Longest that one program may take."""


class UnsolvableError(Exception):
    """No placement keeps all limits."""


@dataclass(frozen=True, slots=True)
class Member:
    """A switch, and variables that are 0 when it is 0."""

    switch: int
    parts: tuple[int, ...]


@dataclass(slots=True)
class Model:
    """Variables with costs, from 0 to an upper bound, and rows between bounds. Least cost is sought."""

    costs: list[float] = field(default_factory=list)
    integer: list[int] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    rows: list[tuple[dict[int, float], float, float]] = field(default_factory=list)
    seconds: float = SECONDS
    groups: dict[int, list[Member]] = field(default_factory=dict)
    """Switches of which exactly one is 1."""

    def variable(self, cost: float = 0.0, upper: float = np.inf, *, integer: bool = True) -> int:
        """Add a variable and return its index."""
        self.costs.append(cost)
        self.integer.append(1 if integer else 0)
        self.upper.append(upper)
        return len(self.costs) - 1

    def member(self, group: int, switch: int, parts: Iterable[int]) -> None:
        """Say that `switch` belongs to a group, and that its `parts` are 0 when it is 0."""
        self.groups.setdefault(group, []).append(Member(switch, tuple(parts)))

    def row(self, terms: Mapping[int, float], low: float, high: float) -> None:
        """Add low <= sum of terms <= high."""
        self.rows.append((dict(terms), low, high))

    def solve(self) -> Values:
        """Return the values of a least-cost solution. Raises UnsolvableError.

        Large programs are fixed by reduced costs: with the relaxation's bound L and any solution's cost U, a group's
        member that adds more than U - L to the bound is 0 in every better solution (Dantzig, Fulkerson, Johnson 1954).
        """
        if len(self.costs) <= _SMALL:
            return self._integer(set())
        bound, reduced = self._relaxed()
        added = {member: float(reduced[member.switch]) for members in self.groups.values() for member in members}
        kept = {member for members in self.groups.values() for member in sorted(members, key=added.__getitem__)[:_KEPT]}
        try:
            first = self._integer(set(added) - kept)
        except UnsolvableError:
            return self._integer(set())
        slack = float(np.dot(self.costs, first)) - bound + 1e-6
        needed = {member for member, more in added.items() if more <= slack}
        return first if needed <= kept else self._integer(set(added) - needed)

    def _matrix(self) -> "tuple[csr_array, Values, Values]":
        # scipy is imported where it is used: it takes a second to load, which a local plan need not wait for.
        from scipy.sparse import csr_array  # noqa: PLC0415

        data: list[float] = []
        columns: list[int] = []
        starts = [0]
        for terms, _, _ in self.rows:
            data += terms.values()
            columns += terms.keys()
            starts.append(len(data))
        matrix = csr_array((data, columns, starts), shape=(len(self.rows), len(self.costs)))
        return matrix, np.array([row[1] for row in self.rows]), np.array([row[2] for row in self.rows])

    def _relaxed(self) -> tuple[float, Values]:
        from scipy.optimize import linprog  # noqa: PLC0415
        from scipy.sparse import csr_array  # noqa: PLC0415

        matrix, low, high = self._matrix()
        equal = low == high
        above, below = np.isfinite(high) & ~equal, np.isfinite(low) & ~equal
        inequality = csr_array(np.concatenate([matrix.toarray()[above], -matrix.toarray()[below]]))
        result = linprog(
            np.array(self.costs),
            A_ub=inequality,
            b_ub=np.concatenate([high[above], -low[below]]),
            A_eq=matrix[np.flatnonzero(equal)],
            b_eq=low[equal],
            bounds=np.column_stack([np.zeros(len(self.costs)), np.array(self.upper)]),
            method="highs",
        )
        if result.x is None:
            raise UnsolvableError(str(result.message))
        return float(result.fun), np.asarray(result.lower.marginals, dtype=np.float64)

    def _integer(self, without: set[Member]) -> Values:
        """Solve with some members left out, switch and parts."""
        from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415

        dropped = {name for member in without for name in (member.switch, *member.parts)}
        kept = [name for name in range(len(self.costs)) if name not in dropped]
        matrix, low, high = self._matrix()
        result = milp(
            np.array(self.costs)[kept],
            integrality=np.array(self.integer)[kept],
            bounds=Bounds(0, np.array(self.upper)[kept]),
            constraints=LinearConstraint(matrix[:, kept], low, high),
            options={"mip_rel_gap": 0.0, "time_limit": self.seconds},
        )
        if result.x is None:
            raise UnsolvableError(str(result.message))
        values = np.zeros(len(self.costs))
        values[kept] = np.round(result.x * 1e6) / 1e6
        return values
