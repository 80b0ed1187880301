"""The problems on which `byohpo check NAME --strength` compares an algorithm with random search.

All are minimised. They are the field's: numbers of the kind f1 are those of COCO's suites bbob (Finck, Hansen, Ros &
Auger 2009, INRIA RR-6829) and bbob-noisy (RR-6869), without their non-linear distortions. As there, the seed of a study
draws where the optimum is, in the inner four fifths of each axis. With two objectives each has an optimum of its own,
as in bbob-biobj (Brockhoff, Auger, Hansen & Tusar 2022, Evolutionary Computation 30).
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from byohpo_core.space.parameters import CategoricalParameter, ContinuousParameter, IntegerParameter, Parameter
from byohpo_core.space.space import SearchSpace

Configuration: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[[Configuration], float]

DIMENSION = 5
_AXES: Mapping[str, Parameter] = {f"x{axis}": ContinuousParameter(-5, 5) for axis in range(DIMENSION)}
_MIXED: Mapping[str, Parameter] = {
    "x": ContinuousParameter(-5, 5),
    "rate": ContinuousParameter(1e-5, 1, "Logarithmic"),
    "layers": IntegerParameter(1, 8),
    "units": IntegerParameter(16, 1024, "Logarithmic"),
    "kind": CategoricalParameter(["a", "b", "c", "d"]),
    "flag": CategoricalParameter([True, False]),
}


@attrs.frozen
class Benchmark:
    """A class of problems; each seed draws one of them."""

    name: str
    parameters: Mapping[str, Parameter]
    draw: Callable[[random.Random], Function]
    """Draws the function of one objective."""
    noise: float = 0.0
    """The standard deviation of the logarithm of what a loss is multiplied with; it is 1 in f107."""
    slots: int = 4
    order: str = "first"
    """In which order running trials end: see `Rehearsal.run`."""


def _shifted(generator: random.Random) -> Callable[[Configuration], list[float]]:
    optimum = {name: generator.uniform(-4, 4) for name in _AXES}
    return lambda configuration: [configuration[name] - best for name, best in optimum.items()]


def _sphere(generator: random.Random) -> Function:
    """f1."""
    shifted = _shifted(generator)
    return lambda it: sum(z * z for z in shifted(it))


def _ellipsoid(generator: random.Random) -> Function:
    """f10: a rotated bowl, a thousand times as long as wide."""
    shifted, rows = _shifted(generator), _rotation(generator)
    weights = [10 ** (6 * axis / (DIMENSION - 1)) for axis in range(DIMENSION)]

    def function(configuration: Configuration) -> float:
        z = shifted(configuration)
        return sum(weight * _product(row, z) ** 2 for weight, row in zip(weights, rows, strict=True))

    return function


def _rotation(generator: random.Random) -> list[list[float]]:
    """An orthogonal matrix, by Gram and Schmidt from normal vectors."""
    rows: list[list[float]] = []
    for _ in range(DIMENSION):
        row = [generator.gauss(0, 1) for _ in range(DIMENSION)]
        for other in rows:
            along = _product(row, other)
            row = [mine - along * its for mine, its in zip(row, other, strict=True)]
        length = math.sqrt(_product(row, row))
        rows.append([value / length for value in row])
    return rows


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _rastrigin(generator: random.Random) -> Function:
    """f3: a bowl with ten local optima on each axis."""
    shifted = _shifted(generator)
    return lambda it: sum(z * z + 10 - 10 * math.cos(2 * math.pi * z) for z in shifted(it))


def _mixed(generator: random.Random) -> Function:
    """A sphere of numbers, some of them whole, as in bbob-mixint (Tusar, Brockhoff & Hansen 2019, GECCO).

    Each category but the best adds a loss of its own, in no order.
    """
    space = SearchSpace({name: it for name, it in _MIXED.items() if not isinstance(it, CategoricalParameter)})
    optimum = [generator.uniform(0.1, 0.9) for _ in range(space.dimension)]
    losses = {}
    for name, parameter in _MIXED.items():
        if isinstance(parameter, CategoricalParameter):
            best = generator.choice(parameter.values)
            losses[name] = {value: 0 if value == best else generator.uniform(0.02, 0.2) for value in parameter.values}

    def function(configuration: Configuration) -> float:
        units = space.encode({name: configuration[name] for name in space.parameters})
        apart = sum((unit - best) ** 2 for unit, best in zip(units, optimum, strict=True))
        return apart + sum(of[configuration[name]] for name, of in losses.items())

    return function


BENCHMARKS = (
    Benchmark("sphere", _AXES, _sphere),
    Benchmark("ellipsoid", _AXES, _ellipsoid),
    Benchmark("rastrigin", _AXES, _rastrigin),
    Benchmark("mixed", _MIXED, _mixed),
    Benchmark("noisy", _AXES, _sphere, noise=0.3),
    Benchmark("16 slots", _AXES, _sphere, slots=16, order="random"),
)


class Instance:
    """One problem of a class, drawn by a seed."""

    def __init__(self, benchmark: Benchmark, seed: int, objectives: int) -> None:
        self._benchmark = benchmark
        self._generators = [random.Random(f"{benchmark.name} {seed} {it}") for it in range(objectives)]  # noqa: S311
        self._functions = [benchmark.draw(generator) for generator in self._generators]
        self.space = SearchSpace(benchmark.parameters)

    @cached_property
    def _worst(self) -> list[float]:
        """Each objective's largest loss in a hundred random configurations."""
        sample = [self.losses(self.space.sample(self._generators[0])) for _ in range(100)]
        return [max(losses) for losses in zip(*sample, strict=True)]

    def losses(self, configuration: Configuration) -> tuple[float, ...]:
        """The losses without noise."""
        return tuple(function(configuration) for function in self._functions)

    def observed(self, configuration: Configuration, noise: random.Random) -> tuple[float, ...]:
        """The losses as a job reports them."""
        return tuple(it * math.exp(self._benchmark.noise * noise.gauss(0, 1)) for it in self.losses(configuration))

    def score(self, trials: Sequence[tuple[Configuration, tuple[float, ...]]]) -> float:
        """What a study came to, less is better: the loss of its best trial, or the hypervolume that it left.

        The trials are configurations and their observed losses; what seems best is taken without noise.
        """
        if not trials:
            return math.inf
        if len(self._functions) == 1:
            return self.losses(min(trials, key=lambda it: it[1])[0])[0]
        return -self._hypervolume([self.losses(configuration) for configuration, _ in trials])

    def _hypervolume(self, points: Sequence[tuple[float, ...]]) -> float:
        """The area between two objectives' losses and the worst of a hundred random configurations."""
        right, top = self._worst
        area, lowest = 0.0, top
        for one, other in sorted(points):
            if one < right and other < lowest:
                area += (right - one) * (lowest - other)
                lowest = other
        return area
