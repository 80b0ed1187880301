"""The next point to try, as a pure function of a history, a seed and the trial's number."""

from collections.abc import Iterator
from itertools import chain

import attrs
import numpy as np
from numpy.random import Generator

from byohpo_plugin_gp.acquisition import Improvement
from byohpo_plugin_gp.candidates import Candidates, farthest, spread
from byohpo_plugin_gp.committee import Committee
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import OWN, History, Results
from byohpo_plugin_gp.polishing import polished
from byohpo_plugin_gp.region import AFTER, Box, side
from byohpo_plugin_gp.transform import targets

_FEWEST = 3
"""Below so many completed trials there is nothing to learn from."""
_SPREAD, _NEAR, _NEARER = 512, 500, 100
"""How many candidates there are: everywhere, near the best results, and near the best candidates. With many results
each takes longer, so there are half as many, and one is polished instead of two."""
_BEST, _POLISHED = 5, 2
_DRAWS = 4096
"""So many random points are tried if all candidates have trials."""


@attrs.define(eq=False)
class Search:
    """Proposes one point at a time."""

    cube: Cube
    committee: Committee
    seed: int
    startup: int
    jobs: int
    """How many trials the study may have."""

    def next_point(self, history: History, number: int) -> Array | None:
        """The point of trial *number*, which is new; None if every point has a trial."""
        generator = np.random.default_rng([self.seed, number])
        if number < self.startup or history.results.completed.sum() < _FEWEST:
            ranked = self._covering(history, number, generator)
        else:
            ranked = self._promising(history, number, generator)
        for point in chain(ranked, self._anywhere(generator)):
            exact = self.cube.exactly(point)
            if exact.tobytes() not in history.known:
                return exact
        return None

    def _anywhere(self, generator: Generator) -> Iterator[Array]:
        yield from self.cube.settled(self.cube.snapped(generator.random((_DRAWS, self.cube.dimension))))

    def _covering(self, history: History, number: int, generator: Generator) -> Array:
        """Points to begin with: those of a design, then the farthest from all that have trials."""
        design = self.cube.snapped(spread(self.cube, self.seed, self.startup)[number : number + 1])
        candidates = Candidates(self.cube, history, Box.whole(self.cube.dimension), generator)
        taken = [*history.results.points, *history.pending]
        return np.vstack([design, farthest(self.cube, candidates.everywhere(_SPREAD), taken)])

    def _promising(self, history: History, number: int, generator: Generator) -> Array:
        """Points of which a large improvement is expected, the largest first."""
        objectives = history.results.losses.shape[1]
        weights = generator.dirichlet(np.ones(objectives)) if objectives > 1 else np.ones(1)
        members = self.committee.members(history.results, weights)
        running = self.cube.features(np.reshape(history.pending, (-1, self.cube.dimension)))
        gates = [gate.believing(running) for gate in self.committee.gates(history.results)]
        prices = self.committee.prices(history.results, self._left(history.results, number))
        improvement = Improvement([member.believing(running) for member in members], [*gates, *prices])
        best, box = members[0].ranked[:_BEST], Box.whole(self.cube.dimension)
        if len(history.results) > AFTER and number % 2:
            box = Box.around(self.cube, best[0], side(targets(history.results, weights), self.cube.dimension))
        return self._climbed(Candidates(self.cube, history, box, generator), improvement, best)

    def _left(self, results: Results, number: int) -> float:
        """The share of this study's trials that are to come."""
        return max(0.0, 1 - (number - np.count_nonzero(results.origins != OWN)) / self.jobs)

    def _climbed(self, candidates: Candidates, improvement: Improvement, best: Array) -> Array:
        """Candidates, then better ones near the best of them, then the tops near those."""
        share = 1 if len(candidates.history.results) <= AFTER else 2
        points = candidates.everywhere(_SPREAD // share)
        if candidates.are_all:
            return improvement.ranked(self.cube, points)
        points = np.vstack([points, candidates.around(best, _NEAR // share, 1)])
        points = improvement.ranked(self.cube, points)[:_BEST]
        for scale in (0.5, 0.25):
            if len(points):
                points = np.vstack([points, candidates.around(points, _NEARER // share, scale)])
                points = improvement.ranked(self.cube, points)[:_BEST]
        if self.cube.free:
            tops = [polished(self.cube, improvement, candidates.box, point) for point in points[: _POLISHED // share]]
            points = improvement.ranked(self.cube, self.cube.settled(np.vstack([points, *tops])))
        return points
