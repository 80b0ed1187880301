"""Quasi-random search for byohpo, with SciPy's scrambled Sobol points.

Sobol 1967, "On the distribution of points in a cube and the approximate evaluation of integrals". The scrambling
follows Owen 1998, "Scrambling Sobol and Niederreiter-Xing points".
"""

from typing import Any, ClassVar

import attrs
from scipy.stats import qmc

from byohpo_core import InvalidInput, Problem, Study, Traits, hookimpl

_BLOCK = 64
"""How many points are drawn at a time. SciPy warns unless the first draw is a power of two."""


@attrs.define(eq=False)
class SobolSearch:
    """Covers the space more evenly than random draws do, for any number of slots.

    Each trial has the point of its number in the sequence.
    """

    traits: ClassVar[Traits] = Traits(learns=False, memoryless=True)
    problem: Problem
    _blocks: dict[int, list[list[float]]] = attrs.field(init=False, factory=dict)
    """The block of points that was drawn last, by its number."""

    def __attrs_post_init__(self) -> None:
        if self.problem.seed < 0:
            raise InvalidInput(f"random_seed is {self.problem.seed}; it must be at least 0 for Sobol points")
        self._engine()

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """Exactly *count* new configurations."""
        first = len(study.trials)
        return [self.problem.space.decode(self._point(number)) for number in range(first, first + count)]

    def _point(self, number: int) -> list[float]:
        block, place = divmod(number, _BLOCK)
        if block not in self._blocks:
            engine = self._engine()
            if block:  # SciPy fails to go forward by nothing
                engine.fast_forward(block * _BLOCK)
            self._blocks = {block: engine.random(_BLOCK).tolist()}
        return self._blocks[block][place]

    def _engine(self) -> qmc.Sobol:
        return qmc.Sobol(self.problem.space.dimension, rng=self.problem.seed)
