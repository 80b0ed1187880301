"""Random search for byohpo (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", JMLR 13)."""

import random
from typing import Any, ClassVar

import attrs

from byohpo_core import Problem, Traits, hookimpl


@attrs.define(eq=False)
class RandomSearch:
    """Draws each configuration at random, with one uniform draw per parameter, in the order of the space."""

    traits: ClassVar[Traits] = Traits(learns=False)
    problem: Problem
    _random: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.problem.seed)  # noqa: S311 - a search, not a secret

    @hookimpl
    def propose(self, count: int) -> list[dict[str, Any]]:
        """Exactly *count* new configurations."""
        return [self.problem.space.sample(self._random) for _ in range(count)]
