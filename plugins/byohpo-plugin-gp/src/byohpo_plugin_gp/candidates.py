"""Points among which a proposal is chosen."""

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.random import Generator
from scipy.stats import qmc

from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import History
from byohpo_plugin_gp.region import Box

_SMALL = 1024
"""In a space with no more configurations, all are candidates."""

_DEVIATIONS = np.array([0.02, 0.05, 0.1, 0.2])
_FEW = 50
"""A shorter range of integers is moved through by one step at least."""


@attrs.frozen(eq=False)
class Candidates:
    """The candidates of one proposal: points of a box that have no trial."""

    cube: Cube
    history: History
    box: Box
    generator: Generator

    @property
    def are_all(self) -> bool:
        """True if the space is so small that `everywhere` is all of it."""
        return self.cube.space.cardinality <= _SMALL

    def everywhere(self, count: int) -> Array:
        """Points that cover the box."""
        if self.are_all:
            return self.history.new(self.cube.everything)
        return self._new(self.box.filled(spread(self.cube, self.generator, count)))

    def around(self, origins: Array, count: int, scale: float) -> Array:
        """Points near the *origins*."""
        near = neighbours(self.cube, self.generator, origins, count, scale)
        return self._new(self.box.clipped(near))

    def _new(self, points: Array) -> Array:
        return self.history.new(self.cube.settled(self.cube.snapped(points)))


def spread(cube: Cube, generator: Generator | int, count: int) -> Array:
    """Scrambled Sobol points (Owen 1998, "Scrambling Sobol and Niederreiter-Xing points")."""
    power_of_two = 1 << (count - 1).bit_length()  # else SciPy warns
    points: Array = qmc.Sobol(cube.dimension, rng=generator).random(power_of_two)
    return points[:count]


def farthest(cube: Cube, points: Array, others: Sequence[Array]) -> Array:
    """The points, the one that is farthest from all *others* first."""
    if not len(others):
        return points
    rows, known = cube.features(points), cube.features(np.array(others))
    squared = np.array([((known - row) ** 2).sum(axis=1).min() for row in rows])
    return points[np.argsort(-np.round(squared, 8), kind="stable")]


def neighbours(cube: Cube, generator: Generator, origins: Array, count: int, scale: float) -> Array:
    """Points near the *origins*: of each, at least one coordinate has moved, and about a fifth of all."""
    shape = count, cube.dimension
    start = np.tile(origins, (-(-count // len(origins)), 1))[:count]
    moves = generator.random(shape) < max(0.2, 2 / cube.dimension)
    moves[np.arange(count), generator.integers(cube.dimension, size=count)] = True
    deviations = generator.choice(_DEVIATIONS * scale, size=(count, 1))
    moved = np.abs(start + deviations * generator.standard_normal(shape))
    moved = np.where(moved > 1, 2 - moved, moved)  # reflected
    draws = generator.random(shape)
    for place, steps in cube.steps.items():
        if steps.categorical:
            moved[:, place] = draws[:, place]
        elif len(steps.middles) <= _FEW:
            here, there = steps.nearest(start[:, place]), steps.nearest(moved[:, place])
            step = np.where(draws[:, place] < 0.5, -1, 1)  # noqa: PLR2004 - either way
            there = np.clip(np.where(here == there, here + step, there), 0, len(steps.middles) - 1)
            moved[:, place] = steps.middles[there]
    return np.clip(np.where(moves, moved, start), 0, 1)
