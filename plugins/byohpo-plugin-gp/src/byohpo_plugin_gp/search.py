"""The next point to try, as a pure function of a history, a seed and the trial's number."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import attrs
import numpy as np
from numpy.random import Generator

from byohpo_plugin_gp.acquisition import Improvement
from byohpo_plugin_gp.candidates import farthest, neighbours, spread
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import OWN, History, Results
from byohpo_plugin_gp.model import Data, Posterior, fit
from byohpo_plugin_gp.polishing import polished
from byohpo_plugin_gp.region import AFTER, Box, side
from byohpo_plugin_gp.thinning import thinned
from byohpo_plugin_gp.transform import normal_scores, standardised, targets

_FEWEST = 3
"""Below so many completed trials there is nothing to learn from."""
_SPREAD, _NEAR, _NEARER = 512, 500, 100
_BEST, _POLISHED = 5, 2
_SMALL = 1024
"""In a space with no more configurations, all are candidates."""
_DRAWS = 4096
_REFIT_ALWAYS = 40
_FITTED, _LEARNT = 200, 500
"""From so many results at most the hyperparameters and the posterior are computed."""
_DOUBT = 0.1
"""The variance that is added to the noise of another study's results."""
_T = TypeVar("_T")


class Memory:
    """The last results of a pure function. It saves time and changes nothing."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._results: OrderedDict[bytes, object] = OrderedDict()

    def get(self, key: bytes, make: Callable[[], _T]) -> _T:
        if key not in self._results:
            self._results[key] = make()
            if len(self._results) > self._size:
                self._results.popitem(last=False)
        return self._results[key]  # type: ignore[return-value]


@attrs.define(eq=False)
class Search:
    """Proposes one point at a time."""

    cube: Cube
    seed: int
    startup: int
    committee: int
    """Up to so many results, two models are asked."""
    _fits: Memory = attrs.field(init=False, factory=lambda: Memory(4))
    _posteriors: Memory = attrs.field(init=False, factory=lambda: Memory(2))

    def next_point(self, history: History, number: int) -> Array | None:
        """The point of trial *number*, which is new; None if every point has a trial."""
        generator = np.random.default_rng([self.seed, number])
        if number < self.startup:
            size = 1 << (self.startup - 1).bit_length()
            start = self.cube.snapped(spread(self.cube, self.seed, size)[number : number + 1])
            if len(history.new(start)):
                return start[0]
        results = history.results
        if results.completed.sum() < _FEWEST:
            return self._first_new(history, self._far_away(history, generator), generator)
        objectives = results.losses.shape[1]
        weights = generator.dirichlet(np.ones(objectives)) if objectives > 1 else np.ones(1)
        losses = targets(results, weights)
        kept = thinned(losses, self.cube.features(results.points), _LEARNT)
        members = self._members(results, losses, kept, weights)
        means = members[0].mean(self.cube.features(results.points[kept]))
        origins = results.points[kept][np.argsort(np.round(means, 8), kind="stable")[:_BEST]]
        box = Box.whole(self.cube.dimension)
        if len(results) > AFTER and number % 2:
            box = Box.around(self.cube, origins[0], side(losses, self.cube.dimension))
        pending = np.array(history.pending).reshape(-1, self.cube.dimension)
        running = self.cube.features(pending)
        improvement = Improvement([member.believing(running) for member in members])
        return self._first_new(history, self._ranked(history, improvement, box, origins, generator), generator)

    def _far_away(self, history: History, generator: Generator) -> Array:
        points = history.new(self._candidates(generator))
        return farthest(self.cube, points, [*history.results.points, *history.pending])

    def _candidates(self, generator: Generator) -> Array:
        if self.cube.space.cardinality <= _SMALL:
            return self.cube.everything()
        return self.cube.snapped(spread(self.cube, generator, _SPREAD))

    def _first_new(self, history: History, points: Array, generator: Generator) -> Array | None:
        """The first point that has no trial, or else a random one."""
        for some in (points, generator.random((_DRAWS, self.cube.dimension))):
            for point in history.new(self.cube.snapped(some)):
                exact = self.cube.encode(self.cube.decode(point))  # a large integer is exact only here
                if exact.tobytes() not in history.known:
                    return exact
        return None

    def _members(self, results: Results, losses: Array, kept: Array, weights: Array) -> list[Posterior]:
        """The models to ask. Their hyperparameters come from the first results, and change every few results only."""
        count = len(results)
        first = results if count < _REFIT_ALWAYS else results.at(slice(count - count % (count // 8)))
        first_losses = losses if first is results else targets(first, weights)
        fitted = thinned(first_losses, self.cube.features(first.points), _FITTED)
        views = [lambda it: it]
        if count <= self.committee:
            views.append(lambda it: standardised(it + normal_scores(it)))
        return [
            self._posterior(self._data(first, view(first_losses), fitted), self._data(results, view(losses), kept))
            for view in views
        ]

    def _data(self, results: Results, losses: Array, kept: Array) -> Data:
        return Data(
            self.cube.features(results.points[kept]),
            self.cube.owners,
            losses[kept],
            np.where(results.origins[kept] == OWN, 0.0, _DOUBT),
        )

    def _posterior(self, first: Data, data: Data) -> Posterior:
        key = data.key + first.key
        return self._posteriors.get(key, lambda: Posterior(self._fits.get(first.key, lambda: fit(first)), data))

    def _ranked(
        self, history: History, improvement: Improvement, box: Box, origins: Array, generator: Generator
    ) -> Array:
        """Candidates, the one with the largest expected improvement first."""
        cube = self.cube
        points, values = _rank(cube, improvement, self._all(history, box, origins, generator))
        if cube.space.cardinality <= _SMALL or not len(points):
            return points
        width = float((box.high - box.low).min())
        for scale in (0.5 * width, 0.25 * width):
            near = box.clipped(neighbours(cube, generator, points[:_BEST], _NEARER, scale))
            near = history.new(cube.snapped(near))
            points, values = _rank(cube, improvement, np.vstack([points[:_BEST], near]))
        if cube.free:
            tops = [polished(cube, improvement, box, point) for point in points[:_POLISHED]]
            points, values = _rank(cube, improvement, np.vstack([points, tops]))
        return points

    def _all(self, history: History, box: Box, origins: Array, generator: Generator) -> Array:
        cube = self.cube
        if cube.space.cardinality <= _SMALL:
            return history.new(cube.everything())
        far = box.filled(spread(cube, generator, _SPREAD))
        near = box.clipped(neighbours(cube, generator, origins, _NEAR, 1.0))
        return history.new(cube.snapped(np.vstack([far, near])))


def _rank(cube: Cube, improvement: Improvement, points: Array) -> tuple[Array, Array]:
    """Sort points by their expected improvement. Of equals the earlier one comes first."""
    values = improvement.at(cube.features(points))
    order = np.argsort(-values, kind="stable")
    return points[order], values[order]
