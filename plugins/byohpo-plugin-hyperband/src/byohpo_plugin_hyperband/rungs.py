"""The rungs at which configurations are compared, and how many of them each bracket has there."""

import math
from typing import Self

import attrs

from byohpo_core import InvalidInput, Resource


@attrs.frozen
class Rungs:
    """Each rung has *eta* times the resource of the one below; the highest has all of it."""

    eta: int
    levels: tuple[int, ...]
    """The amount of the resource at each rung, the lowest first."""

    @classmethod
    def of(cls, resource: Resource, eta: int) -> Self:
        if resource.most < eta * resource.least:
            raise InvalidInput(
                f"max_resource is {resource.most}, and min_resource {resource.least}; with eta={eta} there is nothing "
                f"to promote: let max_resource be at least {eta * resource.least}"
            )
        levels, divisor = [], 1
        while resource.most >= resource.least * divisor:
            levels.append(round(resource.most / divisor))
            divisor *= eta
        return cls(eta, tuple(reversed(levels)))

    @property
    def top(self) -> int:
        return len(self.levels) - 1

    def bottom(self, bracket: int) -> int:
        """The rung at which a bracket begins: from the lowest to the highest, and over again."""
        return bracket % len(self.levels)

    def size(self, bracket: int, rung: int) -> int:
        """How many configurations of a bracket reach a rung (Li et al. 2018, algorithm 1)."""
        bottom = self.bottom(bracket)
        halvings = self.top - bottom
        first = math.ceil(len(self.levels) * self.eta**halvings / (halvings + 1))
        return int(first // self.eta ** (rung - bottom))

    def reached(self, steps: int) -> int | None:
        """The highest rung below the top that a trial has reached after so many steps, or None."""
        below = [rung for rung, level in enumerate(self.levels[:-1]) if level <= steps]
        return below[-1] if below else None
