"""The state of the strategy, as it follows from a list of results."""

import copy
import random
from collections.abc import Sequence

import attrs
import numpy as np
from cmaes import CatCMAwM

from byohpo_plugin_cmaes.axes import Array, Axes

_KEPT = 24
"""How many states are kept. A late result changes the generations after its own."""
_SMALLEST = 1e-4
"""A generation that is smaller than this in the unit cube has converged."""


@attrs.frozen(eq=False)
class Result:
    """An observed trial."""

    number: int
    solution: CatCMAwM.Solution
    point: Array
    loss: float
    """Infinite for a trial without a loss."""


@attrs.frozen(eq=False)
class State:
    """The strategy after some results."""

    used: tuple[int, ...]
    """The numbers of the trials that it knows, in order."""
    optimizer: CatCMAwM
    restarts: int = 0
    begun: int = 0
    """How many results had been used when the strategy began anew."""


@attrs.define(eq=False)
class Evolution:
    """Tells results to a strategy, one generation after another, in the order of the trials' numbers.

    The first results only say where the strategy begins: at the best of them. Every later result is told, whenever it
    comes: a generation is made of the next trials that are known, not of those that were drawn together. The best
    result takes part in every later generation, in the place of the worst, so that one which comes late counts too:
    Hansen 2011, "Injecting external solutions into CMA-ES". A strategy that has converged begins anew elsewhere, with
    twice the population: Auger & Hansen 2005, "A restart CMA evolution strategy with increasing population size".
    """

    axes: Axes
    seed: int
    population: int
    startup: int
    sigma: float
    _states: list[State] = attrs.field(init=False, factory=list)
    """The newest states, each one generation after the one before: a cache."""

    def optimizer(self, results: Sequence[Result], foreign: Sequence[Result]) -> CatCMAwM | None:
        """The strategy after these results, sorted by number; None while there are too few to begin.

        With *foreign* results, of other studies, it begins at once, at the best of them.
        """
        numbers = tuple(result.number for result in results)
        self._states = [state for state in self._states if numbers[: len(state.used)] == state.used]
        if not self._states:
            begun = foreign or results[: self.startup]
            if not foreign and len(begun) < self.startup:
                return None
            best = min(begun, key=_rank)
            first = self.axes.optimizer(self.population, best.point, self.sigma)
            self._states = [State(() if foreign else numbers[: self.startup], first)]
        while (after := self._after(self._states[-1], results)) is not None:
            self._states = [*self._states[1 - _KEPT :], after]
        return copy.deepcopy(self._states[-1].optimizer)

    def _after(self, state: State, results: Sequence[Result]) -> State | None:
        """The state one generation later, or None if its results are not all known."""
        size = state.optimizer.population_size
        generation = results[len(state.used) :][:size]
        if len(generation) < size:
            return None
        used = (*state.used, *(result.number for result in generation))
        if _has_converged(generation):
            generator = random.Random(f"{self.seed} restart {state.restarts}")  # noqa: S311 - a search, not a secret
            centre = np.array([generator.random() for _ in self.axes.normal])
            bigger = self.axes.optimizer(2 * size, centre, self.sigma)
            return State(used, bigger, state.restarts + 1, len(used))
        # Ranks in the place of losses: their size does not matter, and no two are equal.
        ranked = sorted(generation, key=_rank)
        best = min(results[state.begun : len(used)], key=_rank)
        if best not in ranked:
            ranked = [best, *ranked[:-1]]
        optimizer = copy.deepcopy(state.optimizer)
        optimizer.tell([(result.solution, float(rank)) for rank, result in enumerate(ranked)])
        return State(used, optimizer, state.restarts, state.begun)


def _rank(result: Result) -> tuple[float, int]:
    return result.loss, result.number


def _has_converged(generation: Sequence[Result]) -> bool:
    points = np.array([result.point for result in generation])
    labels = [result.solution.c for result in generation]
    same = all(np.array_equal(labels[0], other) for other in labels)
    return same and bool(np.all(np.ptp(points, axis=0) < _SMALLEST))
