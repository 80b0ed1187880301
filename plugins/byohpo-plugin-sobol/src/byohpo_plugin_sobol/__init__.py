"""Quasi-random search for byohpo, with SciPy's scrambled Sobol points.

Sobol 1967, "On the distribution of points in a cube and the approximate evaluation of integrals". The scrambling
follows Owen 1998, "Scrambling Sobol and Niederreiter-Xing points".
"""

from typing import Any, ClassVar

import attrs
from scipy.stats import qmc

from byohpo_core import InvalidInput, Problem, Traits, hookimpl

_BLOCK = 64
"""How many points are drawn at a time. SciPy warns unless the first draw is a power of two."""


@attrs.define(eq=False)
class SobolSearch:
    """Covers the space more evenly than random draws do, for any number of slots."""

    traits: ClassVar[Traits] = Traits(learns=False)
    problem: Problem
    _engine: qmc.Sobol = attrs.field(init=False)
    _points: list[list[float]] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        if self.problem.seed < 0:
            raise InvalidInput(f"random_seed is {self.problem.seed}; it must be at least 0 for Sobol points")
        self._engine = qmc.Sobol(self.problem.space.dimension, rng=self.problem.seed)

    @hookimpl
    def propose(self, count: int) -> list[dict[str, Any]]:
        """Exactly *count* new configurations."""
        while len(self._points) < count:
            self._points += self._engine.random(_BLOCK).tolist()
        points, self._points = self._points[:count], self._points[count:]
        return [self.problem.space.decode(point) for point in points]
