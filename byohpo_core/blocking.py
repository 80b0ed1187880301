"""Let an optimiser that calls `f(x)` and waits take part in a study, unchanged.

`Blocking` turns one such optimiser into `propose` and `observe`; `Chains` runs several side by side;
`BlockingAlgorithm` is a base for plugin classes that hold either, and `mode` is the option of those that can do without
waiting for whole generations.

The optimiser runs on a greenlet, a second stack in the study's thread, and parks in its objective function. One side
runs at a time, so what it does depends on nothing but its seed and the results in the order in which they are observed.
After a crash it is rebuilt by running it again on the journaled results.
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
"""How many points in a row are not proposed since they were before, until one is proposed all the same."""


class Unwound(BaseException):
    """Raised in the optimiser, at each call, once its study is over."""


class Blocking:
    """An algorithm from *optimise*, a function that is given `evaluate` and returns when its search is over.

    `evaluate(points)` takes a list of points, by default in the unit cube (each of `problem.space.dimension` floats),
    blocks until all their results are in, and returns one loss each, smaller is better: a float, or a tuple where the
    problem has several objectives. *decode* turns a point into hyperparameters. Failed trials get the worst finite
    loss so far plus the range seen, 1e30 while none is known, when their results are returned: the order of arrival
    within a batch cannot matter. A pruned trial gives its last value.

    With *pending_allowed* above 0 `evaluate` does not wait for the last so many results. It puts the points whose
    results it returns into the list that it was given, in the order in which they were made; the others come with later
    calls. So a call with k points returns k results (the first call *pending_allowed* fewer), and with
    *pending_allowed* = slots - 1 no slot waits.
    But a point whose configuration was asked for before is dropped, since its result is in or on its way, and copies
    would crowd out the others: a call returns as many results as its other points, or none. An optimiser that needs a
    result for each point says so by *answered*: then it gets the known result again, as soon as there is one.
    An *optimise* that goes by the list, as inspyred's loop does, needs no change. No result is lost: those that are in
    when the study closes are returned by last calls, whose points are not evaluated any more.

    Register it as it is, or say in a `BlockingAlgorithm` which one to run. Where several take part together, each has
    its place in a `Chains`: it is number *chain* of *chains*, which its proposals' keys tell. *late* is the old name
    of *pending_allowed*.
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
        self._optimise = optimise
        self._decode = decode or problem.space.decode
        self._objectives = len(problem.objectives)
        self._pending_allowed = pending_allowed if late is None else late
        self._answered = answered
        self._chains = chains
        self._next = chain
        """The key of the next proposal; keys count on in steps of *chains*."""
        self._queue: deque[Proposal] = deque()
        """What has been asked for and not proposed yet."""
        self._keys: dict[int, int] = {}
        """The keys of its own running trials by their numbers: another plugin's may have any key."""
        self._points: dict[int, Any] = {}
        """What has been asked for and not returned yet, by key."""
        self._results: dict[int, tuple[float, ...] | None] = {}
        """The losses of those whose trials are finished."""
        self._asked: dict[tuple[Any, ...], tuple[float, ...] | None] = {}
        """With late results, the configurations of all; where points are answered, of those with losses, and these."""
        self._repeats = 0
        """How many points in a row were dropped or answered."""
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
        return best_first(self._known)

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """The next points; the optimiser runs on when enough results are in."""
        return self.propose_from(len(study.trials), count)

    def propose_from(self, number: int, count: int) -> list[Proposal]:
        """The next points, which will be the trials from this number on."""
        proposals: list[Proposal] = []
        queue = self._queue
        while len(proposals) < count:
            if not queue:
                if self._over or len(self._results) < len(self._points) - self._pending_allowed:
                    break
                self._optimiser.parent = getcurrent()
                self._optimiser.switch()  # until it asks for more results or ends; its error is ours
                continue
            proposal = queue.popleft()
            self._keys[number + len(proposals)] = proposal.key
            proposals.append(proposal)
        return proposals

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        """Keep the results of this optimiser's own points until it takes them."""
        for trial in trials:
            if trial.prior:
                self._learn(trial)
            elif (key := self._keys.pop(trial.number, None)) is not None:
                self._results[key] = trial.losses
                if self._answered and trial.status is TrialStatus.Completed:
                    self._asked[tuple(trial.proposal.hyperparameters.values())] = trial.losses

    def _learn(self, trial: Trial) -> None:
        """Keep a result from before this search, but no repeat of one."""
        if trial.losses is not None and trial.status is TrialStatus.Completed:
            self._known.append(trial)

    def close(self) -> None:
        """Return what results there are, and unwind the optimiser."""
        self._closed = True
        if self._optimiser:  # it has begun and not ended
            self._optimiser.parent = getcurrent()
            with suppress(Exception):  # what it raises on its way out is of no use to anybody
                if self._pending_allowed and self._results:
                    self._optimiser.switch()  # the call after the last result unwinds it
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
        """The optimiser's side: park until enough results are in."""
        if getcurrent() is not self._optimiser:
            raise ByohpoError("evaluate was called from another thread than the one that the optimiser was started in")
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
        """Queue proposals for points."""
        full = len(self._points) >= self._pending_allowed > 0
        for point in points:
            hyperparameters = self._decode(point)
            if self._pending_allowed:
                configuration = tuple(hyperparameters.values())
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
        if self._calls_after_close > _PATIENCE:  # it swallows even BaseException: parked for good, it burns no time
            self._to_study()
        raise Unwound

    def _to_study(self) -> None:
        study_side = self._optimiser.parent
        if study_side is not None:
            study_side.switch()

    def _imputed(self, results: list[Any]) -> list[tuple[float, ...]]:
        """The losses of a batch, with what a failed trial is worth in the place of each None."""
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
    """Several blocking optimisers in one study, whose points fill the slots together: the longest waiting is first."""

    def __init__(self, chains: Sequence[Blocking]) -> None:
        self._first = chains[0]
        self._chains = list(chains)
        """In the order of their last proposals."""

    @property
    def known(self) -> list[Trial]:
        """Completed foreign trials, the best first."""
        return self._first.known

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """What each has to propose, in the order in which they have waited for their turn."""
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


MODES = ("asynchronous", "generational")


def mode_option(*, possible: bool = True) -> Any:
    """The option `mode` of an algorithm that can do without waiting for whole generations; its first field.

    Where asynchronous is not *possible*, as something that was installed does not allow it, there are generations only.
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
