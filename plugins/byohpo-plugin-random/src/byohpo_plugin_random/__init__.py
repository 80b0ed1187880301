"""Random search for byohpo (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", JMLR 13)."""

import random
from typing import Any, ClassVar

import attrs

from byohpo_core import Problem, Study, Traits, hookimpl


@attrs.define(eq=False)
class RandomSearch:
    """Draws each configuration at random, with one uniform draw per parameter, in the order of the space.

    Each trial has a generator of its own, whose seed is made of the study's seed and the trial's number.
    """

    traits: ClassVar[Traits] = Traits(learns=False, memoryless=True)
    problem: Problem

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """Exactly *count* new configurations."""
        first = len(study.trials)
        return [self._drawn(number) for number in range(first, first + count)]

    def _drawn(self, number: int) -> dict[str, Any]:
        return self.problem.space.sample(random.Random(f"{self.problem.seed}-{number}"))  # noqa: S311 - no secret
