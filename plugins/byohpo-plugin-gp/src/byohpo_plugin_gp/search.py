"""The next point to try, as a pure function of a history, a seed and the trial's number."""

import attrs
import numpy as np
from numpy.random import Generator

from byohpo_plugin_gp.acquisition import Improvement
from byohpo_plugin_gp.candidates import farthest, neighbours, spread
from byohpo_plugin_gp.committee import Committee
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import History, Results
from byohpo_plugin_gp.polishing import polished
from byohpo_plugin_gp.region import AFTER, Box, side
from byohpo_plugin_gp.transform import targets

_FEWEST = 3
"""Below so many completed trials there is nothing to learn from."""
_SPREAD, _NEAR, _NEARER, _DRAWS = 512, 500, 100, 4096
"""How many candidates there are: in the whole box, near the best results, near the best candidates, and if all of
those have trials."""
_BEST, _POLISHED = 5, 2
_SMALL = 1024
"""In a space with no more configurations, all are candidates."""


@attrs.define(eq=False)
class Search:
    """Proposes one point at a time."""

    cube: Cube
    committee: Committee
    seed: int
    startup: int

    def next_point(self, history: History, number: int) -> Array | None:
        """The point of trial *number*, which is new; None if every point has a trial."""
        generator = np.random.default_rng([self.seed, number])
        if number < self.startup and len(start := history.new(self._start(number))):
            return self.cube.exactly(start[0])
        if history.results.completed.sum() < _FEWEST:
            taken = [*history.results.points, *history.pending]
            ranked = farthest(self.cube, self._everywhere(history, Box.whole(self.cube.dimension), generator), taken)
        else:
            ranked = self._promising(history, number, generator)
        return self._first_new(history, ranked, generator)

    def _start(self, number: int) -> Array:
        return self.cube.snapped(spread(self.cube, self.seed, self.startup)[[number]])

    def _first_new(self, history: History, ranked: Array, generator: Generator) -> Array | None:
        for points in (ranked, self.cube.snapped(generator.random((_DRAWS, self.cube.dimension)))):
            for point in points:
                exact = self.cube.exactly(point)
                if exact.tobytes() not in history.known:
                    return exact
        return None

    def _everywhere(self, history: History, box: Box, generator: Generator) -> Array:
        """New points of the box that cover it."""
        if self.small:
            return history.new(self.cube.everything())
        count = _SPREAD // _share(history)
        return history.new(self.cube.snapped(box.filled(spread(self.cube, generator, count))))

    def _around(self, history: History, box: Box, origins: Array, scale: float, generator: Generator) -> Array:
        """New points of the box near the *origins*."""
        count = (_NEAR if scale == 1 else _NEARER) // _share(history)
        return history.new(self.cube.snapped(box.clipped(neighbours(self.cube, generator, origins, count, scale))))

    def _promising(self, history: History, number: int, generator: Generator) -> Array:
        """New points, the one with the largest expected improvement first."""
        weights = _weights(history.results, generator)
        members = self.committee.members(history.results, weights)
        running = self.cube.features(np.reshape(history.pending, (-1, self.cube.dimension)))
        improvement = Improvement([member.believing(running) for member in members])
        origins = members[0].ranked[:_BEST]
        box = Box.whole(self.cube.dimension)
        if len(history.results) > AFTER and number % 2:
            box = Box.around(self.cube, origins[0], side(targets(history.results, weights), self.cube.dimension))
        return self._climbed(history, improvement, box, origins, generator)

    @property
    def small(self) -> bool:
        return self.cube.space.cardinality <= _SMALL

    def _climbed(
        self, history: History, improvement: Improvement, box: Box, origins: Array, generator: Generator
    ) -> Array:
        cube = self.cube
        points = self._everywhere(history, box, generator)
        if self.small:
            return improvement.ranked(cube, points)
        points = improvement.ranked(cube, np.vstack([points, self._around(history, box, origins, 1, generator)]))
        for scale in (0.5, 0.25):
            best = points[:_BEST]
            points = improvement.ranked(cube, np.vstack([best, self._around(history, box, best, scale, generator)]))
        if cube.free:
            tops = [polished(cube, improvement, box, point) for point in points[:_POLISHED]]
            points = improvement.ranked(cube, np.vstack([points[:_BEST], *tops]))
        return points


def _weights(results: Results, generator: Generator) -> Array:
    objectives = results.losses.shape[1]
    return generator.dirichlet(np.ones(objectives)) if objectives > 1 else np.ones(1)


def _share(history: History) -> int:
    """With many results each candidate takes longer, so there are half as many."""
    return 1 if len(history.results) <= AFTER else 2
