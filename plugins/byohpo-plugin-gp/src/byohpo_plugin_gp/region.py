"""The box around the incumbent in which a study with many results searches every second time.

Eriksson et al. 2019, "Scalable global optimization via local Bayesian optimization" (TuRBO), with one region.
"""

from typing import Self

import attrs
import numpy as np

from byohpo_plugin_gp.coordinates import Array, Cube

AFTER = 100
"""So many results come from the whole cube alone."""
_LARGEST, _SMALLEST = 0.8, 2.0**-7


@attrs.frozen(eq=False)
class Box:
    """A part of the unit cube."""

    low: Array
    high: Array

    @classmethod
    def whole(cls, dimension: int) -> Self:
        return cls(np.zeros(dimension), np.ones(dimension))

    @classmethod
    def around(cls, cube: Cube, centre: Array, side: float) -> Self:
        """A box with *side* around the centre. It has all categories."""
        low, high = np.maximum(centre - side / 2, 0), np.minimum(centre + side / 2, 1)
        categorical = [place for place, steps in cube.steps.items() if steps.categorical]
        low[categorical], high[categorical] = 0, 1
        return cls(low, high)

    def filled(self, points: Array) -> Array:
        """Points of the unit cube, scaled into the box."""
        return self.low + points * (self.high - self.low)

    def clipped(self, points: Array) -> Array:
        return np.clip(points, self.low, self.high)


def side(targets: Array, dimension: int) -> float:
    """The side of the box after these results: it halves after 2 * dimension results without an improvement.

    A box that would be too small begins anew.
    """
    best, failures, size = targets[:AFTER].min(), 0, _LARGEST
    for target in targets[AFTER:]:
        failures = 0 if target < best else failures + 1
        best = min(best, target)
        if failures == 2 * dimension:
            failures, size = 0, size / 2
        if size < _SMALLEST:
            size = _LARGEST
    return size
