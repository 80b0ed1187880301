"""One search: its problem, its trials and their results, as a pure fold of the journal's events.

`Problem`, `Proposal`, `Trial` and `Event` are frozen values. `Study` is the live, read-only view that plugins and users
hold; only the core applies events to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, overload

from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.problem import Problem
from byohpo_core.study.ranking import by_domination
from byohpo_core.study.trial import STATUSES, Proposal, Report, Trial, TrialStatus


class Trials(Sequence[Trial]):
    """A read-only view of a study's trials."""

    __slots__ = ("_trials",)

    def __init__(self, trials: list[Trial]) -> None:
        self._trials = trials

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return tuple(self._trials[index]) if isinstance(index, slice) else self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __repr__(self) -> str:
        return f"<{len(self)} trials>"


class Study:
    """A search as its journal tells it: read-only for plugins and users, and always up to date while a driver runs.

    Reading it costs no copy; `trials` and `best` may be asked for at every step.
    """

    def __init__(
        self,
        study_id: str,
        name: str,
        problem: Problem,
        read_curve: Callable[[int, str, int], Sequence[float]],
    ) -> None:
        self.id = study_id
        """The name plus four characters drawn at creation: the beginning of every job's name."""
        self.name = name
        self.problem = problem
        self.stop_reason: str | None = None
        """Why nothing more is proposed; None while the study can go on."""
        self.interrupted = False
        """Whether the user cut it short, by Ctrl-C or `stop_tuning_job`, and it has not gone on since."""
        self.jobs = 0
        """Trials that had a job of their own: what `max_jobs` limits."""
        self.epoch_start = 0
        """The number of the first trial of the present epoch."""
        self.reused_in_a_row = 0
        """Trials observed since the last that had a job of its own: they repeated what was known."""
        self.finished_since_best = 0
        """Finished trials since the incumbent."""
        self.sequence = 0
        """How many events the journal holds."""
        self.cost = 0.0
        """What all attempts of all trials have cost, as far as their backend tells."""
        self.now = 0.0
        """The present, in seconds on the backend's clock."""
        self.trials = Trials([])
        self._trials = self.trials._trials  # noqa: SLF001 - the view's list is ours
        self._read_curve = read_curve
        self._best: int | None = None
        self._waiting: dict[int, None] = {}
        self._running: dict[int, None] = {}
        self._unobserved: dict[int, None] = {}
        self._silent: set[str] = set()
        self._configurations: dict[tuple[Any, ...], int] = {}
        self._twins: dict[int, int] = {}
        self._reports: dict[int, dict[str, Report]] = {}
        self._pruning: dict[int, str] = {}
        self._stopping: set[int] = set()
        self._driven_seconds = 0.0
        self._last_time: float | None = None

    def __repr__(self) -> str:
        return f"<Study {self.id!r}: {len(self._trials)} trials, {self.stop_reason or 'not ended'}>"

    @property
    def best(self) -> Trial | None:
        """The incumbent: the completed trial with the lowest loss in the first objective, the earliest among equals."""
        return None if self._best is None else self._trials[self._best]

    @property
    def pareto_front(self) -> tuple[Trial, ...]:
        """Completed trials that no other beats in one objective and equals in the rest, by number."""
        completed = (trial for trial in self._trials if trial.status is TrialStatus.Completed)
        front, _ = by_domination(trial for trial in completed if trial.losses is not None)
        return tuple(sorted(front, key=lambda trial: trial.number))

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials whose jobs are meant to run now."""
        return tuple(map(self._trials.__getitem__, self._running))

    @property
    def waiting(self) -> tuple[Trial, ...]:
        """Trials that have no job yet: for a slot, or for the running trial that they repeat."""
        return tuple(map(self._trials.__getitem__, self._waiting))

    @property
    def unobserved(self) -> tuple[Trial, ...]:
        """Finished trials that the plugins have not been told of, in journal order."""
        return tuple(map(self._trials.__getitem__, self._unobserved))

    @property
    def finished(self) -> int:
        """How many trials are over, however they ended."""
        return len(self._trials) - len(self._waiting) - len(self._running)

    @property
    def elapsed_seconds(self) -> float:
        """How long drivers have been at work on this study; the time between a crash and its resume is not counted."""
        return self._driven_seconds + max(0.0, self.now - (self.now if self._last_time is None else self._last_time))

    def silent(self, plugin: str) -> bool:
        """Whether this plugin has nothing more to propose until something new is observed."""
        return plugin in self._silent

    def twin(self, trial: Trial) -> Trial | None:
        """The earlier trial, not failed, that has or waits for the job of this unfinished one's configuration."""
        number = self._twins.get(trial.number)
        return None if number is None else self._trials[number]

    def pruning(self, trial: Trial) -> str | None:
        """Why this running trial was asked to stop early, if it was."""
        return self._pruning.get(trial.number)

    def stopping(self, trial: Trial) -> bool:
        """Whether this running trial's job was asked to stop, by a plugin or by the user."""
        return trial.number in self._pruning or trial.number in self._stopping

    def reports(self, trial: Trial) -> Mapping[str, Report]:
        """What this running trial has published so far, by metric."""
        return self._reports.get(trial.number, {})

    def curve(self, number: int, metric: str | None = None) -> Sequence[float]:
        """Every value that a trial reported of a metric (the first objective's if none is named), oldest first."""
        return self._read_curve(number, metric or self.problem.objectives[0].metric, self.sequence)

    def tick(self, now: float) -> None:
        """Tell the study the time; for the driver."""
        self.now = now

    def apply(self, event: Event) -> None:
        """Take one event into account; for the driver and for replay."""
        _FOLD[event.kind](self, event)
        if event.kind is not EventKind.Opened and self._last_time is not None:
            self._driven_seconds += max(0.0, event.time - self._last_time)
        self._last_time = self.now = event.time
        self.sequence = event.sequence + 1

    def _opened(self, event: Event) -> None:  # noqa: ARG002
        self.interrupted &= self.stop_reason is not None

    def _asked(self, event: Event) -> None:
        plugin, answer = event.body["plugin"], event.body["answer"]
        if not answer:
            self._silent.add(plugin)
        for body in answer:
            trial = self._new_trial(plugin, body)
            self._waiting[trial.number] = None
            holder = self._configurations.setdefault(_configuration(trial), trial.number)
            if holder != trial.number:
                self._twins[trial.number] = holder

    def _imported(self, event: Event) -> None:
        for body in event.body["trials"]:
            trial = self._new_trial(body["plugin"], body)
            self._settle(trial.but(foreign=True, job_name=body["job"]), event, body)
            if body["status"] == TrialStatus.Completed:
                self._configurations.setdefault(_configuration(trial), trial.number)
        self.finished_since_best = 0
        self.epoch_start = len(self._trials)

    def _new_trial(self, plugin: str, body: Mapping[str, Any]) -> Trial:
        proposal = Proposal(
            MappingProxyType(body["hyperparameters"]), body.get("key"), body.get("fidelity"), body.get("resume_from")
        )
        space = self.problem.space
        hyperparameters = (
            MappingProxyType(space.complete(proposal.hyperparameters)) if space.static else proposal.hyperparameters
        )
        trial = Trial(len(self._trials), proposal, plugin, hyperparameters)
        self._trials.append(trial)
        return trial

    def _intended(self, event: Event) -> None:
        body = event.body
        number = body["trial"]
        trial = self._trials[number]
        del self._waiting[number]
        self._running[number] = None
        if body["attempt"] == 0:
            self.jobs += 1
        self._trials[number] = trial.but(
            status=TrialStatus.Running, attempt=body["attempt"], job_name=body["job"], started=event.time
        )

    def _launched(self, event: Event) -> None:
        """Nothing changes: after a crash `adopt` finds out which intended jobs there are, launched or not."""

    def _reported(self, event: Event) -> None:
        reports = self._reports.setdefault(event.body["trial"], {})
        for metric, (start, values) in event.body["points"].items():
            reports[metric] = Report(start + len(values), values[-1])

    def _pruned(self, event: Event) -> None:
        self._pruning[event.body["trial"]] = event.body["reason"]

    def _retried(self, event: Event) -> None:
        number = event.body["trial"]
        trial = self._leave(number)
        self.cost += _cost(event)
        self._waiting = {number: None, **self._waiting}
        self._trials[number] = trial.but(
            status=TrialStatus.Waiting,
            attempt=trial.attempt + 1,
            job_name=None,
            started=None,
            failures=trial.failures + event.body["counted"],
            details=_with_spent(event.body.get("details"), trial.details),
        )

    def _finished(self, event: Event) -> None:
        trial = self._leave(event.body["trial"])
        if event.body.get("shares") is None and event.body["status"] != TrialStatus.Completed:
            self._forget(trial)
        self.cost += _cost(event)
        self._settle(trial, event, event.body)

    def _settle(self, trial: Trial, event: Event, body: Mapping[str, Any]) -> None:
        """A trial has come to its end."""
        status, shares = STATUSES[body["status"]], body.get("shares")
        if shares is None:
            metrics = MappingProxyType(body.get("metrics") or {})
            values = None if status is TrialStatus.Failed else self.problem.values(metrics)
        else:
            metrics, values = self._trials[shares].metrics, self._trials[shares].values
        trial = self._trials[trial.number] = trial.but(
            status=status,
            metrics=metrics,
            values=values,
            losses=None if values is None else self.problem.losses(values),
            reason=body.get("reason"),
            started=body.get("started", trial.started),
            ended=body.get("ended", event.time),
            details=_with_spent(body.get("details"), trial.details),
            shares=shares,
        )
        self._unobserved[trial.number] = None
        self._rank(trial)

    def _observed(self, event: Event) -> None:
        for number in event.body["trials"]:
            self._unobserved.pop(number, None)
            self.reused_in_a_row = self.reused_in_a_row + 1 if self._trials[number].shares is not None else 0
        self._silent.clear()

    def _stopped(self, event: Event) -> None:
        self.stop_reason, jobs = event.body["reason"], event.body.get("jobs", False)
        self.interrupted |= jobs or self.stop_reason is None
        if jobs:
            self._stopping.update(self._running)

    def _epoch(self, event: Event) -> None:
        self.problem = Problem.from_json(event.body["problem"])
        self.stop_reason = None
        self.interrupted = False
        self.epoch_start = len(self._trials)
        self.reused_in_a_row = self.finished_since_best = 0
        self._silent.clear()
        self._trials[:] = [trial.but(foreign=True) for trial in self._trials]
        self._unobserved = {trial.number: None for trial in self._trials if trial.finished}

    def _leave(self, number: int) -> Trial:
        self._running.pop(number, None)
        self._waiting.pop(number, None)
        self._twins.pop(number, None)
        self._reports.pop(number, None)
        self._pruning.pop(number, None)
        self._stopping.discard(number)
        return self._trials[number]

    def _forget(self, trial: Trial) -> None:
        """A configuration whose job brought no result may have a job again: the first that waits for it gets one."""
        configuration = _configuration(trial)
        if self._configurations.get(configuration) != trial.number:
            return
        del self._configurations[configuration]
        for number in self._waiting:
            if self._twins.get(number) == trial.number:
                holder = self._configurations.setdefault(configuration, number)
                if holder == number:
                    del self._twins[number]
                else:
                    self._twins[number] = holder

    def _rank(self, trial: Trial) -> None:
        best = self.best
        self.finished_since_best += 1
        if trial.status is not TrialStatus.Completed or trial.losses is None:
            return
        if best is None or best.losses is None or trial.losses[0] < best.losses[0]:
            self._best, self.finished_since_best = trial.number, 0


def _cost(event: Event) -> float:
    details = event.body.get("details")
    return float(details.get("cost", 0.0)) if details else 0.0


def _with_spent(details: Mapping[str, Any] | None, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """A job's details, to which is added what earlier attempts of its trial were billed."""
    details = details or {}
    spent = {name: details.get(name, 0) + before[name] for name in ("billable_seconds", "cost") if name in before}
    return MappingProxyType({**details, **spent})


def _configuration(trial: Trial) -> tuple[Any, ...]:
    return (*trial.proposal.hyperparameters.values(), trial.proposal.fidelity, trial.proposal.resume_from)


_FOLD: Mapping[EventKind, Callable[[Study, Event], None]] = {kind: getattr(Study, f"_{kind}") for kind in EventKind}
