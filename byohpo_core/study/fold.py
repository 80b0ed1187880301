"""Compute the state of a study from its events. The driver, replay and the conformance kit use it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from byohpo_core.errors import MALFORMED, unreadable
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.naming import job_name
from byohpo_core.study.outage import Outage
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import STATUSES, Proposal, Report, Trial, TrialStatus


class Fold(Study):
    """A study whose state follows from the events applied to it. There is no other copy of this state."""

    def tick(self, now: float) -> None:
        """Set the current time."""
        self.now = now

    def apply(self, event: Event) -> None:
        """Update the state with the next event; raise `JournalError` if its body does not fit the events before it."""
        try:
            self._APPLY[event.kind](self, event)
        except MALFORMED as error:
            raise unreadable(f"study {self.id!r}, event {event.sequence} ({event.kind.value})", error) from error
        if event.kind is not EventKind.Opened and self._last_time is not None:
            self._driven_seconds += max(0.0, event.time - self._last_time)
        self._last_time = self.now = event.time
        self.sequence = event.sequence + 1

    def _opened(self, _: Event) -> None:
        self.left_by_user &= self.stop_reason is not None

    def _asked(self, event: Event) -> None:
        plugin, answer = event.body["plugin"], event.body["answer"]
        if not answer:
            self._silent.add(plugin)
        for body in answer:
            self.problem.space.check(body["hyperparameters"])
            trial = self._new_trial(plugin, body)
            continued = trial.proposal.resume_from
            if continued is not None and continued >= trial.number:
                raise ValueError(f"trial {trial.number} cannot continue trial {continued}")
            self._waiting[trial.number] = None
            self._duplicates.propose(trial)

    def _imported(self, event: Event) -> None:
        for body in event.body["trials"]:
            # A number there is another trial here.
            trial = self._new_trial(body["plugin"], {**body, "resume_from": None})
            self._settle(trial.but(prior=True, job_name=body["job"]), event, body)
            if body["status"] == TrialStatus.Completed and self._has_all_metrics(trial.number):
                self._duplicates.know(trial)
        self.finished_since_best = 0
        self.epoch_start = len(self._trials)

    def _has_all_metrics(self, number: int) -> bool:
        return all(metric in self._trials[number].metrics for metric in self.problem.metrics)

    def _new_trial(self, plugin: str, body: Mapping[str, Any]) -> Trial:
        proposal = Proposal(
            MappingProxyType(body["hyperparameters"]), body.get("key"), body.get("fidelity"), body.get("resume_from")
        )
        trial = Trial(len(self._trials), proposal, plugin, self.problem.hyperparameters(proposal))
        self._trials.append(trial)
        return trial

    def _intended(self, event: Event) -> None:
        body = event.body
        number = body["trial"]
        trial = self._trials[number]
        if body["job"] != job_name(self.id, number, body["attempt"]):
            raise ValueError(f"{body['job']!r} is not the name of a job of this study")
        del self._waiting[number]
        self._not_before.pop(number, None)
        self._running[number] = None
        if body["attempt"] == 0:
            self.jobs += 1
        self._trials[number] = trial.but(
            status=TrialStatus.Running, attempt=body["attempt"], job_name=body["job"], started=event.time
        )

    def _launched(self, _: Event) -> None:
        """Change nothing: after a crash, `adopt` finds out which of the intended jobs exist."""

    def _reported(self, event: Event) -> None:
        self._worked(self._trials[event.body["trial"]])
        reports = self._reports.setdefault(event.body["trial"], {})
        for metric, (start, values) in event.body["points"].items():
            reports[metric] = Report(start + len(values), values[-1])

    def _pruned(self, event: Event) -> None:
        self._pruning[event.body["trial"]] = event.body["reason"]

    def _retried(self, event: Event) -> None:
        number = event.body["trial"]
        trial = self._leave(number)
        self.cost += _cost(event)
        not_before = event.body.get("not_before")
        if not_before is not None:
            self._not_before[number] = not_before
            self.outage.fail(number, trial.started or 0.0, event.time, event.body["reason"])
        counted = event.body["counted"]
        self._waiting = {number: None, **self._waiting}
        self._trials[number] = trial.but(
            status=TrialStatus.Waiting,
            attempt=trial.attempt + 1,
            job_name=None,
            started=None,
            interruptions=trial.interruptions + (counted or not_before is not None),
            excused=trial.excused + (not_before is not None and not counted),
            details=_with_spent(event.body.get("details"), trial.details),
        )

    def _finished(self, event: Event) -> None:
        trial = self._leave(event.body["trial"])
        if event.body.get("shares") is None and event.body["status"] != TrialStatus.Completed:
            self._duplicates.give_up(trial, self._waiting)
        if event.body.get("lost"):
            self.outage.fail(trial.number, trial.started or 0.0, event.time, event.body["reason"])
        elif event.body["status"] in _WORKED:
            self._worked(trial)
        self.cost += _cost(event)
        self._settle(trial, event, event.body)

    def _settle(self, trial: Trial, event: Event, body: Mapping[str, Any]) -> None:
        """Record the result of a trial that ended."""
        status, shares = STATUSES[body["status"]], body.get("shares")
        if status in (TrialStatus.Waiting, TrialStatus.Running):
            raise ValueError(f"a trial has not ended that is {status}")
        if shares is None:
            metrics = MappingProxyType(body.get("metrics") or {})
            values = None if status is TrialStatus.Failed else self.problem.values(metrics)
        else:
            if not self._trials[shares].finished:
                raise ValueError(f"trial {trial.number} cannot share the result of trial {shares}")
            metrics, values = self._trials[shares].metrics, self._trials[shares].values
        trial = self._trials[trial.number] = trial.but(
            status=status,
            metrics=metrics,
            values=values,
            losses=None if values is None else self.problem.losses(values),
            violation=0.0 if values is None else self.problem.violation(metrics),
            reason=body.get("reason"),
            started=body.get("started", trial.started),
            ended=body.get("ended", event.time),
            details=_with_spent(body.get("details"), trial.details),
            result_of=shares,
        )
        self._unobserved[trial.number] = None
        self._rank(trial)

    def _observed(self, event: Event) -> None:
        for number in event.body["trials"]:
            self._unobserved.pop(number, None)
            self.reused_in_a_row = self.reused_in_a_row + 1 if self._trials[number].result_of is not None else 0
        self._silent.clear()

    def _stopped(self, event: Event) -> None:
        self.stop_reason, jobs = event.body["reason"], event.body.get("jobs", False)
        self.left_by_user |= jobs or self.stop_reason is None
        if jobs:
            self._stopping.update(self._running)

    def _epoch(self, event: Event) -> None:
        problem = Problem.from_json(event.body["problem"])
        if (problem.space, problem.resource) != (self.problem.space, self.problem.resource):
            raise ValueError("an epoch has another search space or resource")
        self.problem = problem
        self.stop_reason = None
        self.left_by_user = False
        self.epoch_start = len(self._trials)
        self.reused_in_a_row = self.finished_since_best = 0
        self._silent.clear()
        self._trials[:] = [trial.but(prior=True) for trial in self._trials]
        self._unobserved = {trial.number: None for trial in self._trials if trial.finished}

    def _worked(self, trial: Trial) -> None:
        """End an outage, since this trial's job works."""
        if trial.started is not None and self.outage.ends_with(trial.started):
            self.outage = Outage()

    def _leave(self, number: int) -> Trial:
        self._not_before.pop(number, None)
        self._running.pop(number, None)
        self._waiting.pop(number, None)
        self._duplicates.leave(number)
        self._reports.pop(number, None)
        self._pruning.pop(number, None)
        self._stopping.discard(number)
        return self._trials[number]

    def _rank(self, trial: Trial) -> None:
        best = self.best
        self.finished_since_best += 1
        if trial.status is not TrialStatus.Completed or trial.losses is None:
            return
        if best is None or self.problem.rank(trial) < self.problem.rank(best):
            self._best, self.finished_since_best = trial.number, 0

    _APPLY: ClassVar[Mapping[EventKind, Callable[["Fold", Event], None]]] = {
        EventKind.Opened: _opened,
        EventKind.Imported: _imported,
        EventKind.Asked: _asked,
        EventKind.Intended: _intended,
        EventKind.Launched: _launched,
        EventKind.Reported: _reported,
        EventKind.Pruned: _pruned,
        EventKind.Retried: _retried,
        EventKind.Finished: _finished,
        EventKind.Observed: _observed,
        EventKind.Stopped: _stopped,
        EventKind.Epoch: _epoch,
    }


_WORKED = frozenset({TrialStatus.Completed.value, TrialStatus.Failed.value, TrialStatus.Pruned.value})
"""The ends of trials whose jobs the infrastructure has run."""


def _cost(event: Event) -> float:
    details = event.body.get("details")
    return float(details.get("cost", 0.0)) if details else 0.0


def _with_spent(details: Mapping[str, Any] | None, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a job's details, with billable seconds and cost of the trial's earlier attempts added."""
    details = details or {}
    spent = {name: details.get(name, 0) + before[name] for name in ("billable_seconds", "cost") if name in before}
    return MappingProxyType({**details, **spent})
