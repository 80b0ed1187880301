"""The coordinates in which the ants walk: first those of the unit interval, then the whole numbers, as pygmo wants it.

An integer on a linear scale is a whole number to pygmo, which draws it around the known ones with a deviation that
never vanishes. On any other scale the steps of an integer differ in size, so it has a coordinate of the unit interval,
like a number. A category has no order, so each of its values has such a coordinate, and the largest wins.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from byohpo_core import CategoricalParameter, IntegerParameter, SearchSpace


@attrs.frozen
class Coordinates:
    """The coordinates of a search space, parameter by parameter."""

    space: SearchSpace
    names: tuple[str, ...] = attrs.field(init=False)
    """The parameters, those that are whole numbers to pygmo last."""
    sizes: tuple[int, ...] = attrs.field(init=False)
    """The number of values of each coordinate; 0 if it is any number from 0 to 1."""

    def __attrs_post_init__(self) -> None:
        tunable = self.space.tunable
        names = sorted(tunable, key=lambda name: _is_whole(tunable[name]))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "sizes", tuple(size for name in names for size in _sizes(tunable[name])))

    @property
    def whole(self) -> int:
        """How many coordinates are whole numbers; they are the last ones."""
        return sum(size > 0 for size in self.sizes)

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        return [0.0] * len(self.sizes), [float(size - 1) if size else 1.0 for size in self.sizes]

    def spread(self, points: Any) -> list[list[float]]:
        """Scale points of the unit cube to coordinates."""
        return [
            [min(int(unit * size), size - 1) if size else unit for unit, size in zip(point, self.sizes, strict=True)]
            for point in points.tolist()
        ]

    def encode(self, configuration: Mapping[str, Any]) -> list[float]:
        """Convert a configuration to coordinates."""
        point: list[float] = []
        values = self.space.filled(configuration)
        for name in self.names:
            parameter, value = self.space.tunable[name], values[name]
            if isinstance(parameter, CategoricalParameter):
                point += [float(value == other) for other in parameter.values]
            elif _is_whole(parameter):
                point.append(value - parameter.min_value)
            else:
                point.append(parameter.encode(value))
        return point

    def decode(self, point: Sequence[float]) -> dict[str, Any]:
        """Convert coordinates to a configuration."""
        rest, found = iter(point), {}
        for name in self.names:
            parameter = self.space.tunable[name]
            if isinstance(parameter, CategoricalParameter):
                votes = [next(rest) for _ in parameter.values]
                found[name] = parameter.values[votes.index(max(votes))]
            elif _is_whole(parameter):
                found[name] = parameter.min_value + int(next(rest))
            else:
                found[name] = parameter.decode(next(rest))
        return self.space.settle({name: found[name] for name in self.space.tunable})


def _is_whole(parameter: Any) -> bool:
    return isinstance(parameter, IntegerParameter) and parameter.scaling == "Linear" and parameter.cardinality > 1


def _sizes(parameter: Any) -> list[int]:
    if isinstance(parameter, CategoricalParameter):
        return [0] * len(parameter.values)
    return [int(parameter.cardinality)] if _is_whole(parameter) else [0]
