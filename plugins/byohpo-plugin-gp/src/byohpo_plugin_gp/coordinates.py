"""The points of a search space, as the model sees them.

A value of a discrete parameter stands at the middle of its share of the unit interval, before the model sees it and
before an acquisition is computed: Garrido-Merchán & Hernández-Lobato 2020, "Dealing with categorical and integer-valued
variables in Bayesian optimization with Gaussian processes".
"""

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from byohpo_core import CategoricalParameter, SearchSpace

Array: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

GRID = 2.0**20
"""Coordinates are multiples of 1 / GRID, so that no last digit makes two points of one."""
MOST_VALUES = 1000
"""An integer parameter with more values is treated as continuous."""
_MOVED = 32
"""So many candidates outside the constraints are moved inside; it takes longer than to find others."""
_CORNER = math.sqrt(0.5)
"""Two different categories have the distance 1."""


@attrs.frozen(eq=False)
class Steps:
    """The coordinates of a discrete parameter's values, in ascending order."""

    middles: Array
    categorical: bool

    def nearest(self, coordinates: Array) -> Rows:
        """The index of the value at each coordinate."""
        return np.searchsorted((self.middles[1:] + self.middles[:-1]) / 2, coordinates, side="right")


class Cube:
    """The unit cube of a search space: one coordinate for each parameter, one or more features for each coordinate."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._unconstrained = SearchSpace(space.parameters)
        self.dimension = space.dimension
        parameters = list(space.tunable.values())
        self.steps = {place: steps for place, it in enumerate(parameters) if (steps := _steps(it)) is not None}
        self.free = [place for place in range(self.dimension) if place not in self.steps]
        """The coordinates that are continuous."""
        self._widths = [self._width(place) for place in range(self.dimension)]
        self.owners = np.repeat(np.arange(self.dimension), self._widths)
        """The coordinate that each feature belongs to."""
        self.free_features = np.flatnonzero(np.isin(self.owners, self.free))

    def _width(self, place: int) -> int:
        steps = self.steps.get(place)
        return len(steps.middles) if steps is not None and steps.categorical else 1

    def snapped(self, points: Array) -> Array:
        """The points where trials would really run."""
        snapped: Array = np.round(np.clip(points, 0, 1) * GRID) / GRID + 0.0  # never -0.0
        for place, steps in self.steps.items():
            snapped[:, place] = steps.middles[steps.nearest(points[:, place])]
        return snapped

    def features(self, points: Array) -> Array:
        """The coordinates in which the model measures distances: a category is a corner of its own."""
        columns = []
        for place, width in enumerate(self._widths):
            column = points[:, [place]]
            if width > 1:
                column = (column == self.steps[place].middles) * _CORNER
            columns.append(column)
        return np.hstack(columns)

    def encode(self, configuration: Mapping[str, Any]) -> Array:
        """The point of a configuration. Two points of one configuration are the same, byte for byte."""
        point: Array = self.snapped(np.array([self.space.encode(configuration)], dtype=float))[0]
        return point

    def decode(self, point: Array) -> dict[str, Any]:
        return self.space.decode(point.tolist())

    def exactly(self, point: Array) -> Array:
        """The point of the configuration at *point*.

        It differs where a range has more integers than `MOST_VALUES`, where a parameter is inactive, and outside the
        constraints.
        """
        return self.encode(self.decode(point))

    def settled(self, points: Array) -> Array:
        """Points where trials would really run: inactive parameters in the middle, constraints obeyed.

        Points outside the constraints are left out, but for the first few, which are moved inside.
        """
        if not (self.space.conditional or self.space.constraints):
            return points
        moved, rows = 0, []
        for point in points:
            configuration = self._unconstrained.decode(point.tolist())
            if not self.space.obeys(configuration):
                moved += 1
                if moved > _MOVED:
                    continue
                configuration = self.space.decode(point.tolist())
            rows.append(self.space.encode(configuration))
        return self.snapped(np.array(rows, dtype=float).reshape(-1, self.dimension))

    @cached_property
    def everything(self) -> Array:
        """All points of a space whose parameters are all discrete."""
        values = {name: list(it.listed()) for name, it in self.space.tunable.items()}
        every = (
            dict(zip(part, chosen, strict=True))
            for part in self.space.parts(values)
            for chosen in product(*part.values())
        )
        rows = [self.space.encode(configuration) for configuration in every if self.space.obeys(configuration)]
        return self.snapped(np.array(rows, dtype=float).reshape(-1, self.dimension))


def _steps(parameter: Any) -> Steps | None:
    if parameter.cardinality > MOST_VALUES and not isinstance(parameter, CategoricalParameter):
        return None
    middles = np.array([parameter.encode(value) for value in parameter.listed()], dtype=float)
    return Steps(np.round(middles * GRID) / GRID, isinstance(parameter, CategoricalParameter))
