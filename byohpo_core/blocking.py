"""Run an optimiser that calls `f(x)` and waits for the result in a study, without changing it.

`Blocking` turns one such optimiser into `propose` and `observe`. `Chains` runs several side by side.
`BlockingAlgorithm` is a base class for plugins that hold either. `mode_option` is the option `mode` of algorithms that
need not wait for whole generations.

The optimiser runs on a greenlet, a second stack in the study's thread. It pauses inside its objective function until
results are in. Only one side runs at a time, so its behaviour depends only on its seed and on the results in the order
in which they are observed. After a crash it is rebuilt by running it again on the results in the journal.
"""

import math
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import attrs
from greenlet import getcurrent, greenlet

from byohpo_core.errors import ByohpoError
from byohpo_core.hookspecs import hookimpl
from byohpo_core.study.problem import Problem
from byohpo_core.study.ranking import best_first
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Proposal, Trial, TrialStatus

Points: TypeAlias = list[Any]
Losses: TypeAlias = list[Any]
Evaluate: TypeAlias = Callable[[Points], Losses]
NOTHING_KNOWN = 1e30
"""The loss of a failed trial while no finite loss is known."""
_PATIENCE = 1000
_REPEATS = 50
"""After this many repeated points in a row, the next one is proposed although it is a repeat."""


class Unwound(BaseException):
    """Raised in the optimiser by each call of `evaluate` once the study is over."""


class Blocking:
    """An algorithm made from *optimise*, a function that receives `evaluate` and returns when its search is over.

    `evaluate(points)` takes a list of points. By default a point lies in the unit cube and has
    `problem.space.dimension` floats; *decode* turns a point into hyperparameters. The call blocks until all results are
    in. It returns one loss per point, smaller is better: a float, or a tuple if the problem has several objectives.
    A pruned trial returns its last value. A failed trial, and one beyond an outcome constraint, returns the worst
    finite loss so far plus the range of losses seen, or 1e30 while no finite loss is known. This value is computed when
    the batch is returned, so it does not depend on the order of arrival within the batch.

    With *pending_allowed* above 0, `evaluate` returns while up to that many results are still pending. It replaces the
    content of the list that it was given with the points whose results it returns, in the order in which they were
    made. The other results come with later calls. So a call with k points returns k results (the first call returns
    *pending_allowed* fewer), and with *pending_allowed* = slots - 1 no slot is idle. An *optimise* that reads its
    points from that list, as the loop of inspyred does, needs no change.

    In this mode a point is dropped if its configuration was asked for before, because its result is known or pending
    and copies would displace other points. A call then returns as many results as it has other points, possibly none.
    Set *answered* if the optimiser needs a result for each point: it then gets the known result again, as soon as there
    is one. No result is lost: when the study closes, final calls return the results that are in, and the points of
    these calls are not evaluated.

    Register it directly, or return it from the `search` of a `BlockingAlgorithm`. If several run together, put them
    into a `Chains`: each is number *chain* of *chains*, and the keys of its proposals show which one made them. *late*
    is the old name of *pending_allowed*.
    """

    def __init__(
        self,
        problem: Problem,
        optimise: Callable[[Evaluate], object],
        *,
        decode: Callable[[Any], Mapping[str, Any]] | None = None,
        pending_allowed: int = 0,
        answered: bool = False,
        chain: int = 0,
        chains: int = 1,
        late: int | None = None,
    ) -> None:
        self._problem = problem
        self._optimise = optimise
        self._decode = decode or problem.space.decode
        self._objectives = len(problem.objectives)
        self._pending_allowed = pending_allowed if late is None else late
        self._answered = answered
        self._chains = chains
        self._next = chain
        """The key of the next proposal. Keys increase in steps of *chains*."""
        self._queue: deque[Proposal] = deque()
        """Proposals that the optimiser has asked for and that are not handed out yet."""
        self._keys: dict[int, int] = {}
        """Keys of this optimiser's unfinished trials, by trial number. A trial of another plugin may have any key."""
        self._points: dict[int, Any] = {}
        """Points whose results are not returned yet, by key."""
        self._results: dict[int, tuple[float, ...] | None] = {}
        """Losses of the points in `_points` whose trials are finished, by key."""
        self._asked: dict[tuple[Any, ...], tuple[float, ...] | None] = {}
        """Configurations asked for, with *pending_allowed*. With *answered*, only completed ones, and their losses."""
        self._repeats = 0
        """How many repeated points in a row were dropped or answered."""
        self._seen = [_Range() for _ in problem.objectives]
        self._fresh: list[tuple[float, ...]] = []
        """Losses not yet added to `_seen`. Only failed trials need the ranges, so they are updated late."""
        self._optimiser = greenlet(self._body)
        self._over = False
        self._closed = False
        self._calls_after_close = 0
        self._known: list[Trial] = []

    @property
    def known(self) -> list[Trial]:
        """Completed prior trials, best first. An optimiser may start from them instead of at random."""
        return best_first(self._known)

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """Return the next points. The optimiser continues when enough results are in."""
        return self.propose_from(len(study.trials), count)

    def propose_from(self, number: int, count: int) -> list[Proposal]:
        """Return the next points. They become the trials from *number* on."""
        proposals: list[Proposal] = []
        queue = self._queue
        while len(proposals) < count:
            if not queue:
                if self._over or len(self._results) < len(self._points) - self._pending_allowed:
                    break
                self._optimiser.parent = getcurrent()
                self._optimiser.switch()  # until it needs more results or ends; its error propagates
                continue
            proposal = queue.popleft()
            self._keys[number + len(proposals)] = proposal.key
            proposals.append(proposal)
        return proposals

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        """Keep the results of this optimiser's own points until `evaluate` returns them."""
        for trial in trials:
            if trial.prior:
                self._learn(trial)
            elif (key := self._keys.pop(trial.number, None)) is not None:
                self._results[key] = None if trial.violation > 0 else trial.losses
                if self._answered and trial.status is TrialStatus.Completed:
                    self._asked[tuple(trial.proposal.hyperparameters.items())] = self._results[key]

    def _learn(self, trial: Trial) -> None:
        """Keep a prior trial if it is completed. A reused result would be a repeat."""
        good = trial.losses is not None and trial.status is TrialStatus.Completed and trial.violation == 0
        if good and self._problem.is_whole(trial.proposal):
            self._known.append(trial)

    def close(self) -> None:
        """Give the optimiser the results that are in, then end it."""
        self._closed = True
        if self._optimiser:  # it has started and not ended
            self._optimiser.parent = getcurrent()
            with suppress(Exception):  # errors at this stage do not matter: the study is over
                if self._pending_allowed and self._results:
                    self._optimiser.switch()  # its last call of `evaluate`, with no results left, raises Unwound
                else:
                    self._optimiser.throw(Unwound)

    def _body(self) -> None:
        try:
            self._optimise(self._evaluate)
        except Unwound:
            pass
        finally:
            self._over = True

    def _evaluate(self, points: Points) -> Losses:
        """Run on the optimiser's side: pause until enough results are in, then return them."""
        if getcurrent() is not self._optimiser:
            raise ByohpoError("evaluate was called from another thread: call it in the optimiser's own thread")
        if not self._closed:
            self._ask(points)
            if self._queue:
                self._to_study()
        elif not (self._results and points):
            self._leave()
        finished, results = [], []
        due = len(points) if self._closed else max(0, len(self._points) - self._pending_allowed)
        for key in sorted(self._results)[:due]:
            finished.append(self._points.pop(key))
            results.append(self._results.pop(key))
        if self._pending_allowed:
            points[:] = finished
        losses = self._imputed(results)
        return [loss for (loss,) in losses] if self._objectives == 1 else losses

    def _ask(self, points: Points) -> None:
        """Queue a proposal for each new point."""
        full = len(self._points) >= self._pending_allowed > 0
        for point in points:
            hyperparameters = self._decode(point)
            if self._pending_allowed:
                configuration = tuple(hyperparameters.items())
                if full and configuration in self._asked and self._repeats < _REPEATS:
                    self._repeats += 1
                    if self._answered:
                        self._points[self._next], self._results[self._next] = point, self._asked[configuration]
                        self._next += self._chains
                    continue
                self._repeats = 0
                if not self._answered:
                    self._asked[configuration] = None
            self._points[self._next] = point
            self._queue.append(Proposal(hyperparameters, self._next))
            self._next += self._chains

    def _leave(self) -> None:
        self._calls_after_close += 1
        if self._calls_after_close > _PATIENCE:  # it catches even BaseException: leave it paused for good
            self._to_study()
        raise Unwound

    def _to_study(self) -> None:
        study_side = self._optimiser.parent
        if study_side is not None:
            study_side.switch()

    def _imputed(self, results: list[Any]) -> list[tuple[float, ...]]:
        """Return the losses of a batch, with a substitute for each failed trial (None)."""
        if None not in results:
            self._fresh += results
            return results
        self._fresh += [losses for losses in results if losses is not None]
        for seen, column in zip(self._seen, zip(*self._fresh, strict=True), strict=False):
            seen.add(column)
        self._fresh.clear()
        filler = tuple(seen.beyond for seen in self._seen)
        return [filler if losses is None else losses for losses in results]


class Chains:
    """Several blocking optimisers that share the slots of one study. The one that has waited longest proposes first."""

    def __init__(self, chains: Sequence[Blocking]) -> None:
        self._first = chains[0]
        self._chains = list(chains)
        """Ordered by the time of the last proposal, oldest first."""

    @property
    def known(self) -> list[Trial]:
        """Completed prior trials, best first."""
        return self._first.known

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """Return the next points of each optimiser, starting with the one that has waited longest."""
        proposals: list[Proposal] = []
        for chain in list(self._chains):
            number, missing = len(study.trials) + len(proposals), count - len(proposals)
            if missing and (proposed := chain.propose_from(number, missing)):
                proposals += proposed
                self._chains.remove(chain)
                self._chains.append(chain)
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
    """A base class for plugins that run a library's own loop.

    A subclass adds options and returns from `search` the optimiser to run. Make it an attrs class
    (`@attrs.define(eq=False)`), so that its fields are its options.
    """

    problem: Problem
    _search: "Blocking | Chains" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._search = self.search()

    @abstractmethod
    def search(self) -> "Blocking | Chains":
        """Return the optimiser to run, made from the problem and the options; raise `InvalidInput` for invalid ones."""

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """Return the rest of the current batch. The next batch starts when enough results are in."""
        return self._search.propose(study, count)

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        self._search.observe(study, trials)

    def close(self) -> None:
        self._search.close()


MODES = ("asynchronous", "generational")


def mode_option(*, possible: bool = True) -> Any:
    """Return the option `mode` of an algorithm that need not wait for whole generations. Make it the first field.

    Pass *possible* = False if the asynchronous mode cannot work, for example with an installed version of a library:
    the only mode is then generational.
    """
    modes = MODES if possible else MODES[1:]

    def check(_: object, __: object, value: Any) -> None:
        if value not in modes:
            raise ValueError(f"mode is {value!r}; it must be {' or '.join(modes)}")

    return attrs.field(
        default=attrs.Factory(lambda self: modes[0 if self.problem.max_parallel_jobs > 1 else -1], takes_self=True),
        validator=check,
        metadata={
            "help": "asynchronous: a trial begins whenever a slot is free; generational: as in the library, all "
            "wait for the slowest, which is better if durations are nearly equal or must not matter; "
            "default asynchronous if max_parallel_jobs > 1"
        },
    )


class _Range:
    """The range of losses seen for one objective."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def add(self, losses: Sequence[float]) -> None:
        self.low, self.high = min(self.low, *losses), max(self.high, *losses)

    @property
    def beyond(self) -> float:
        """The loss of a failed trial: the worst loss seen plus the range seen."""
        if not math.isfinite(self.high):
            return NOTHING_KNOWN
        return min(self.high + (self.high - self.low), sys.float_info.max)
