"""The coordinates in which the evolution strategy works.

Continuous parameters, and integers with many values, have a coordinate of the unit cube each. Integers with few values
have the coordinates of their values. Categories, and integers with two values, have a probability for each value.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from cmaes import CatCMAwM
from numpy.typing import NDArray

from byohpo_core import CategoricalParameter, SearchSpace

Array: TypeAlias = NDArray[np.float64]
_BINARY = 2
MOST_STEPS = 64
"""An integer parameter with more values is treated as continuous."""


class Axes:
    """The parameters of a search space by their kind, each in the order of the space."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        kinds = {name: _kind(it) for name, it in space.tunable.items()}
        self._smooth, self._stepped, self._labelled = (
            [name for name, kind in kinds.items() if kind == wanted] for wanted in ("smooth", "stepped", "labelled")
        )
        self._values = {name: _values(space.tunable[name]) for name in (*self._stepped, *self._labelled)}
        self._steps = {name: [self._encode(name, it) for it in self._values[name]] for name in self._stepped}

    @property
    def normal(self) -> list[str]:
        """The parameters that the normal distribution draws, in its order."""
        return [*self._smooth, *self._stepped]

    def optimizer(self, population: int, centre: Array, sigma: float) -> CatCMAwM:
        """A strategy that begins around a point of the normal distribution."""
        given: dict[str, Any] = {}
        if self.normal:
            given = {"mean": centre.copy(), "sigma": sigma, "cov": np.eye(len(self.normal))}
        return CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._smooth) or None,
            z_space=list(self._steps.values()) or None,
            c_space=[len(self._values[name]) for name in self._labelled] or None,
            population_size=population,
            **given,
        )

    def configuration(self, solution: CatCMAwM.Solution) -> dict[str, Any]:
        """The configuration of what a strategy has drawn."""
        found = self.space.filled({})
        if solution.x is not None:
            found |= {name: self._decode(name, unit) for name, unit in zip(self._smooth, solution.x, strict=True)}
        if solution.z is not None:
            found |= {name: self._decode(name, unit) for name, unit in zip(self._stepped, solution.z, strict=True)}
        if solution.c is not None:
            rows = zip(self._labelled, solution.c, strict=True)
            found |= {name: self._values[name][int(np.argmax(row))] for name, row in rows}
        return self.space.settle(found)

    def solution(self, configuration: Mapping[str, Any]) -> CatCMAwM.Solution:
        """A configuration as what a strategy is told: what is inactive is in the middle."""
        point, values = self.point(configuration), self.space.filled(configuration)
        rows = [[value == values[name] for value in self._values[name]] for name in self._labelled]
        widest = max(map(len, rows), default=0)
        return CatCMAwM.Solution(
            point[: len(self._smooth)] if self._smooth else None,
            point[len(self._smooth) :] if self._stepped else None,
            np.array([[*row, *[False] * (widest - len(row))] for row in rows]) if rows else None,
            point if self.normal else None,
        )

    def point(self, configuration: Mapping[str, Any]) -> Array:
        """The coordinates of a configuration in the normal distribution."""
        values = self.space.filled(configuration)
        return np.array([self._encode(name, values[name]) for name in self.normal], dtype=float)

    def _encode(self, name: str, value: Any) -> float:
        return self.space.tunable[name].encode(value)

    def _decode(self, name: str, unit: float) -> Any:
        return self.space.tunable[name].decode(float(unit))


def _kind(parameter: Any) -> str:
    if parameter.cardinality == 1:
        return "fixed"
    if isinstance(parameter, CategoricalParameter) or parameter.cardinality == _BINARY:
        return "labelled"
    return "stepped" if parameter.cardinality <= MOST_STEPS else "smooth"


def _values(parameter: Any) -> list[Any]:
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.values)
    return list(range(parameter.min_value, parameter.max_value + 1))
