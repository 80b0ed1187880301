"""Grid search for byohpo: tries every combination of chosen values of the hyperparameters once."""

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, ClassVar

import attrs

from byohpo_core import CategoricalParameter, InvalidInput, Problem, Study, Traits, hookimpl

_ORDERS = ("shuffled", "lexicographic")
_FINEST = 10_000
"""The largest resolution of one parameter: its values are held in memory, and nobody pays for more trials."""
_PATIENCE = 100_000
"""After so many points in a row that break a constraint, which take seconds, the grid ends."""


@attrs.define(eq=False)
class GridSearch:
    """Tries every combination of values once, then ends; integers and categories take all their values by default.

    It leaves out what was tried already, such as initial configurations that lie on the grid, and what breaks a
    constraint. Inactive parameters multiply nothing: each combination of their parents has a grid of its own.
    """

    traits: ClassVar[Traits] = Traits(learns=False, finite=True, memoryless=True, example={"resolution": 4})
    problem: Problem
    resolution: int | Mapping[str, int] | None = attrs.field(
        default=None,
        metadata={
            "help": "how many values a continuous parameter takes, and how many an integer parameter takes at most: "
            "one number for all, or a mapping from names to numbers"
        },
    )
    order: str = attrs.field(
        default="shuffled",
        metadata={
            "help": "shuffled: a random order, which the seed decides; lexicographic: the last parameter varies fastest"
        },
    )
    _drawn: list[tuple[Any, dict[str, Any]]] = attrs.field(init=False, factory=list)
    """The first points of the grid in its order, each with what tells it from others."""
    _undrawn: Iterator[dict[str, Any]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if self.order not in _ORDERS:
            raise InvalidInput(f"order is {self.order!r}; it must be one of {', '.join(_ORDERS)}")
        if isinstance(self.resolution, Mapping):
            for name in self.resolution:
                if name not in self.problem.space.tunable:
                    raise InvalidInput(f"resolution names {name!r}, which is not a tuned hyperparameter")
                if isinstance(self.problem.space.tunable[name], CategoricalParameter):
                    raise InvalidInput(
                        f"resolution names {name!r}, which is categorical; leave it out, since all its values are tried"
                    )
        parts = self.problem.space.parts({name: self._values(name) for name in self.problem.space.tunable})
        self._undrawn = self._obeying(parts)
        if self.problem.space.constraints and next(self._points(), None) is None:
            raise InvalidInput("no point of the grid obeys the constraints: give another resolution")

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """The first points of the grid that were not tried yet; an empty list when all were."""
        tried = {_identity(trial.proposal.hyperparameters) for trial in study.trials if not trial.prior}
        return [dict(point) for point in islice((it for key, it in self._points() if key not in tried), count)]

    def _obeying(self, parts: Sequence[Mapping[str, Sequence[Any]]]) -> Iterator[dict[str, Any]]:
        """All points of these grids that obey the constraints, in their order."""
        ends = list(accumulate(math.prod(map(len, axes.values())) for axes in parts))
        generator = random.Random(self.problem.seed)  # noqa: S311 - a search, not a secret
        outside = 0
        for index in range(ends[-1]) if self.order == "lexicographic" else _shuffled(ends[-1], generator):
            part = bisect_right(ends, index)
            point = _point(parts[part], index - (ends[part - 1] if part else 0))
            outside = 0 if self.problem.space.obeys(point) else outside + 1
            if outside == _PATIENCE:
                return
            if not outside:
                yield point

    def _points(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """All points of the grid in its order."""
        yield from self._drawn
        for point in self._undrawn:
            self._drawn.append((_identity(point), point))
            yield self._drawn[-1]

    def _values(self, name: str) -> Sequence[Any]:
        parameter = self.problem.space.tunable[name]
        resolution = self.resolution.get(name) if isinstance(self.resolution, Mapping) else self.resolution
        if isinstance(parameter, CategoricalParameter):
            return list(parameter.listed())
        if parameter.cardinality == 1:
            return [parameter.min_value]
        if resolution is None:
            if parameter.cardinality == math.inf:
                raise InvalidInput(f"{name} is continuous and needs a resolution, such as {{{name!r}: 5}}")
            return parameter.listed()
        if isinstance(resolution, bool) or not isinstance(resolution, int) or not 1 <= resolution <= _FINEST:
            raise InvalidInput(f"the resolution of {name} is {resolution!r}, not a whole number from 1 to {_FINEST}")
        if parameter.cardinality <= resolution:
            return parameter.listed()
        steps = [index / (resolution - 1) for index in range(resolution)] if resolution > 1 else [0.5]
        return list(dict.fromkeys(parameter.decode(step) for step in steps))


def _identity(point: Mapping[str, Any]) -> frozenset[Any]:
    """What is equal for equal points, also if another machine has computed them: floats are rounded to 12 digits."""
    return frozenset(
        (name, type(value), f"{value:.12g}" if isinstance(value, float) else value) for name, value in point.items()
    )


def _point(axes: Mapping[str, Sequence[Any]], index: int) -> dict[str, Any]:
    """The configuration number *index*, which is read as digits: the last parameter is the lowest digit."""
    point = {}
    for name, values in reversed(list(axes.items())):
        index, place = divmod(index, len(values))
        point[name] = values[place]
    return dict(reversed(point.items()))


def _shuffled(size: int, generator: random.Random) -> Iterator[int]:
    """The numbers below *size* in random order: a Fisher-Yates shuffle that stores only the numbers that it moved."""
    moved: dict[int, int] = {}
    for last in reversed(range(size)):
        chosen = generator.randint(0, last)
        yield moved.get(chosen, chosen)
        moved[chosen] = moved.pop(last, last)
