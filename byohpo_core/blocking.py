"""Let an optimiser that calls `f(x)` and waits take part in a study, unchanged.

`Blocking` turns one such optimiser into `propose` and `observe`; `Chains` runs several independent ones side by side;
`BlockingAlgorithm` is a base for plugin classes that hold either.

The optimiser runs on a greenlet, a second stack in the study's thread, and parks in its objective function. One side
runs at a time, so what it does depends on nothing but its seed and the results in the order in which they are observed.
After a crash it is rebuilt by running it again on the journaled results.
"""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import attrs
from greenlet import getcurrent, greenlet

from byohpo_core.errors import ByohpoError
from byohpo_core.hookspecs import hookimpl
from byohpo_core.study import Problem, Proposal, Study, Trial, TrialStatus

Points: TypeAlias = Sequence[list[Any]]
Losses: TypeAlias = list[Any]
Evaluate: TypeAlias = Callable[[Points], Losses]
NOTHING_KNOWN = 1e30
"""The loss of a failed trial while no finite loss is known."""
_PATIENCE = 1000


class Unwound(BaseException):
    """Raised in the optimiser, at each call, once its study is over."""


class Blocking:
    """An algorithm from *optimise*, a function that is given `evaluate` and returns when its search is over.

    `evaluate(points)` takes a list of points, by default in the unit cube (each of `problem.space.dimension` floats),
    blocks until all their results are in, and returns one loss each, smaller is better: a float, or a tuple where the
    problem has several objectives. *decode* turns a point into hyperparameters. Failed trials get the worst finite
    loss so far plus the range seen, 1e30 while none is known, once the whole batch is in: the order of arrival cannot
    matter. A pruned trial gives its last value.

    Register it as it is, or say in a `BlockingAlgorithm` which one to run. Where a study has several, each has its
    place in a `Chains`: it is number *chain* of *chains*, and knows its own proposals by that.
    """

    def __init__(
        self,
        problem: Problem,
        optimise: Callable[[Evaluate], object],
        *,
        decode: Callable[[list[Any]], Mapping[str, Any]] | None = None,
        chain: int = 0,
        chains: int = 1,
    ) -> None:
        self._optimise = optimise
        self._decode = decode or problem.space.decode
        self._objectives = len(problem.objectives)
        self._batch: list[Proposal] = []
        self._given = 0
        """How many of the batch have been proposed."""
        self._results: list[tuple[float, ...] | None] = []
        self._chains = chains
        self._first = chain
        """The key of the batch's first proposal; the others count on in steps of *chains*."""
        self._open = 0
        """How many of the batch have no result yet."""
        self._seen = [_Range() for _ in problem.objectives]
        self._fresh: list[tuple[float, ...]] = []
        """Losses that the ranges seen do not hold yet: those are needed for failed trials only."""
        self._optimiser = greenlet(self._body)
        self._over = False
        self._closed = False
        self._calls_after_close = 0
        self._known: list[Trial] = []

    @property
    def known(self) -> list[Trial]:
        """Completed foreign trials, the best first: what an optimiser may start from, instead of at random."""
        return sorted(self._known, key=lambda trial: trial.losses or ())

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:  # noqa: ARG002
        """The next points of the present batch; the optimiser runs on when the last batch is in."""
        if self._open == 0 and not self._over:  # it runs until it asks for more results or ends; its error is ours
            self._optimiser.parent = getcurrent()
            self._optimiser.switch()
        given = self._batch[self._given : self._given + count]
        self._given += len(given)
        return given

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:  # noqa: ARG002
        """Keep the results of this optimiser's own points until their batch is complete."""
        for trial in trials:
            key = trial.proposal.key
            if trial.foreign:
                self._learn(trial)
            elif isinstance(key, int):
                place, others = divmod(key - self._first, self._chains)
                if others == 0 and 0 <= place < len(self._results):
                    self._results[place] = trial.losses
                    self._open -= 1

    def _learn(self, trial: Trial) -> None:
        """Keep a result from before this search, but no repeat of one."""
        if trial.losses is not None and trial.status is TrialStatus.Completed:
            self._known.append(trial)

    def close(self) -> None:
        """Unwind the optimiser."""
        self._closed = True
        if self._optimiser:  # it has begun and not ended
            self._optimiser.parent = getcurrent()
            with suppress(Exception):  # what it raises on its way out is of no use to anybody
                self._optimiser.throw(Unwound)

    def _body(self) -> None:
        try:
            self._optimise(self._evaluate)
        except Unwound:
            pass
        finally:
            self._over = True

    def _evaluate(self, points: Points) -> Losses:
        """The optimiser's side: park until the batch is in."""
        if getcurrent() is not self._optimiser:
            raise ByohpoError("evaluate was called from another thread than the one that the optimiser was started in")
        if self._closed:
            self._leave()
        first = self._first = self._first + len(self._batch) * self._chains
        decode, step = self._decode, self._chains
        self._batch = [Proposal(decode(point), first + place * step) for place, point in enumerate(points)]
        self._given = 0
        self._results = [None] * len(points)
        self._open = len(points)
        if points:
            self._to_study()
        losses = self._imputed(self._results)
        return [loss for (loss,) in losses] if self._objectives == 1 else losses

    def _leave(self) -> None:
        self._calls_after_close += 1
        if self._calls_after_close > _PATIENCE:  # it swallows even BaseException: parked for good, it burns no time
            self._to_study()
        raise Unwound

    def _to_study(self) -> None:
        study_side = self._optimiser.parent
        if study_side is not None:
            study_side.switch()

    def _imputed(self, results: Sequence[tuple[float, ...] | None]) -> list[tuple[float, ...]]:
        """The losses of a batch, with what a failed trial is worth in the place of each None."""
        known = [losses for losses in results if losses is not None]
        if len(known) < len(results):
            for seen, column in zip(self._seen, zip(*self._fresh, *known, strict=True), strict=False):
                seen.add(column)
            self._fresh.clear()
            filler = tuple(seen.beyond for seen in self._seen)
            return [filler if losses is None else losses for losses in results]
        self._fresh += known
        return known


class Chains:
    """Several blocking optimisers in one study, independent of each other, whose points fill the slots together."""

    def __init__(self, chains: Sequence[Blocking]) -> None:
        self._chains = chains

    @property
    def known(self) -> list[Trial]:
        """Completed foreign trials, the best first."""
        return self._chains[0].known

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """What each has to propose, in their order."""
        proposals: list[Proposal] = []
        for chain in self._chains:
            if len(proposals) < count:
                proposals += chain.propose(study, count - len(proposals))
        return proposals

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        for chain in self._chains:
            chain.observe(study, trials)

    def close(self) -> None:
        for chain in self._chains:
            chain.close()


@attrs.define(eq=False)
class BlockingAlgorithm(ABC):
    """A base for plugin classes that run a library's own loop: a subclass adds options, and says in `search` what runs.

    The subclass is an attrs class (`@attrs.define(eq=False)`), so that its fields are its options.
    """

    problem: Problem
    _search: "Blocking | Chains" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._search = self.search()

    @abstractmethod
    def search(self) -> "Blocking | Chains":
        """The optimiser to run, made from the problem and the options; raise `InvalidInput` for what cannot work."""

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """What is left of the present batch; the next one begins when all its results are in."""
        return self._search.propose(study, count)

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        self._search.observe(study, trials)

    def close(self) -> None:
        self._search.close()


class _Range:
    """The losses seen of one objective."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def add(self, losses: Sequence[float]) -> None:
        self.low, self.high = min(self.low, *losses), max(self.high, *losses)

    @property
    def beyond(self) -> float:
        """What a failed trial is worth: worse than the worst by the range seen."""
        if not math.isfinite(self.high):
            return NOTHING_KNOWN
        return min(self.high + (self.high - self.low), sys.float_info.max)
