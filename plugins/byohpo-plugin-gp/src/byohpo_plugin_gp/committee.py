"""The models that choose a trial together, made of a study's results.

Up to a number of results there are two: one learns the losses, the other their average with their normal scores. From
40 results on, their hyperparameters follow from the first results alone and change with every eighth part more.
"""

from collections.abc import Callable

import attrs
import numpy as np

from byohpo_plugin_gp.acquisition import Gate, Price
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.history import OWN, Results
from byohpo_plugin_gp.memory import Memory
from byohpo_plugin_gp.model import Data, Posterior, fit
from byohpo_plugin_gp.thinning import thinned
from byohpo_plugin_gp.transform import normal_scores, single_losses, standardised, targets

_REFIT_ALWAYS = 40
_FITTED, _LEARNT = 100, 500
"""The hyperparameters, and the posterior, follow from no more results than these."""
_FEWEST = 3
"""Below so many values of a metric, nothing is said about where it is beyond its bound."""
_DOUBT = 0.1
"""The variance that is added to the noise of another study's results."""
_DOUBT_OF_FAILURES = 1.0
"""The same for failed trials: many keep the search away, but one that failed by chance hides no good neighbours."""


def _as_they_are(losses: Array) -> Array:
    return losses


def _halfway_to_ranks(losses: Array) -> Array:
    return standardised(losses + normal_scores(losses))


@attrs.define(eq=False)
class Committee:
    """Makes posteriors, and remembers the last ones."""

    cube: Cube
    two_up_to: int
    _fits: Memory[Array] = attrs.field(init=False, factory=lambda: Memory(4))
    _posteriors: Memory[Posterior] = attrs.field(init=False, factory=lambda: Memory(2))
    _gates: Memory[Gate] = attrs.field(init=False, factory=lambda: Memory(20))
    _expenses: Memory[Posterior] = attrs.field(init=False, factory=lambda: Memory(2))

    def members(self, results: Results, weights: Array) -> list[Posterior]:
        """One or two posteriors, given these results and the objectives' *weights*."""
        both = len(results) <= self.two_up_to
        return [self._member(results, weights, view) for view in (_as_they_are, _halfway_to_ranks)[: 1 + both]]

    def _member(self, results: Results, weights: Array, view: Callable[[Array], Array]) -> Posterior:
        key = results.key + weights.tobytes() + view.__name__.encode()

        def make() -> Posterior:
            return Posterior(self._hyperparameters(results, weights, view), self._data(results, weights, view, _LEARNT))

        return self._posteriors.get(key, make)

    def _hyperparameters(self, results: Results, weights: Array, view: Callable[[Array], Array]) -> Array:
        count = len(results)
        first = results if count < _REFIT_ALWAYS else results.at(slice(count - count % (count // 8)))
        key = first.key + weights.tobytes() + view.__name__.encode()
        near = None if view is _as_they_are else self._hyperparameters(results, weights, _as_they_are)
        return self._fits.get(key, lambda: fit(self._data(first, weights, view, _FITTED), near))

    def _data(self, results: Results, weights: Array, view: Callable[[Array], Array], limit: int) -> Data:
        losses, features = view(targets(results, weights)), self.cube.features(results.points)
        kept = thinned(losses, features, limit)
        failed = np.isnan(single_losses(results, weights))
        doubts = np.where(failed, _DOUBT_OF_FAILURES, np.where(results.origins == OWN, 0, _DOUBT))
        rows = results.points[kept], features[kept], self.cube.owners, losses[kept], doubts[kept]
        return Data(*rows, results.violations[kept])

    def gates(self, results: Results) -> list[Gate]:
        """A gate for each bound of an outcome constraint about which enough is known."""
        known = [~np.isnan(column) for column in results.excesses.T]
        return [self._gate(results.at(rows), place) for place, rows in enumerate(known) if rows.sum() >= _FEWEST]

    def _gate(self, results: Results, place: int) -> Gate:
        return self._gates.get(results.key + bytes([place]), lambda: self._opened(results, results.excesses[:, place]))

    def _opened(self, results: Results, excesses: Array) -> Gate:
        beyond = np.arcsinh(excesses)  # what is far beyond is not told apart
        centre, scale = beyond.mean(), max(beyond.std(), 1e-3)
        posterior = self._learnt(results, (beyond - centre) / scale, np.abs(beyond))
        return Gate(posterior, float(-centre / scale))

    def prices(self, results: Results, power: float) -> list[Price]:
        """What a trial is expected to cost, raised to a power; nothing while too few costs are known."""
        known = results.at(np.isfinite(results.costs))
        if len(known) < _FEWEST:
            return []
        costs = np.log(known.costs)
        posterior = self._expenses.get(known.key, lambda: self._learnt(known, standardised(costs), costs))
        return [Price(posterior, power * float(costs.std()))]

    def _learnt(self, results: Results, values: Array, ranks: Array) -> Posterior:
        """A posterior of standardised *values*. Of many results, those with the least *ranks* are kept."""
        features = self.cube.features(results.points)
        kept = thinned(ranks, features, _FITTED)
        doubts = np.where(results.origins == OWN, 0, _DOUBT)
        data = Data(results.points[kept], features[kept], self.cube.owners, values[kept], doubts[kept])
        return Posterior(fit(data), data)
