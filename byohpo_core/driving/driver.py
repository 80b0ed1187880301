"""The loop that drives a study: propose, launch, poll, finish, observe, stop.

It never sleeps and never reads a clock: `backend.poll` waits and `backend.now` tells the time. Nothing acts on a
proposal, a launch or a result before it is on disk.
"""

import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from byohpo_core.backendspecs import Backend, Ended, Outcome, Reported, Update
from byohpo_core.driving.policy import Policy
from byohpo_core.errors import PluginError, one_line
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.study import events
from byohpo_core.study.events import Event, Happening
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import job_name
from byohpo_core.study.trial import Trial, TrialStatus

_logger = logging.getLogger("byohpo")
REPEATS_BESIDE_JOBS = 10
"""How many repeats in a row are proposed while jobs run, before the next result is waited for."""
LOOK_AHEAD = 2
"""In strict order: how many times as many trials as slots may be unobserved."""
_number = attrgetter("number")
_MISSING_METRIC = "the job did not report {names}"


class Driver:
    """One driver's work on one study, from its first event or after a replay."""

    def __init__(
        self,
        study: Fold,
        log: EventLog,
        plugins: StudyPlugins,
        backend: Backend,
        policy: Policy,
        stop_requested: Callable[[], str | None],
        way_on: str,
        unwritten: Sequence[Event] = (),
    ) -> None:
        self.study = study
        self._log = log
        self._way_on = way_on
        self._plugins = plugins
        self._backend = backend
        self._policy = policy
        self._pending = [*unwritten]
        """What the study knows and the disk does not."""
        self._interrupts = 0
        self._stop_requested = stop_requested
        """Why the user wants the study to end and its jobs to stop, if so."""
        self._told_missing = False
        self._repeats = max([100, *(10 * size for size in plugins.populations)])

    def run(self) -> None:
        """Drive the study until it ends. Raises `KeyboardInterrupt` if the user stopped it first."""
        study, backend = self.study, self._backend
        self._tick()
        self._record(events.opened(socket.gethostname(), os.getpid()))
        with self._interruptible():
            try:
                if study.running:
                    self._commit()  # whoever was overtaken learns it before it starts a job
                    self._adopt()
                while True:
                    self._advance()
                    self._launch()
                    if not study.running:
                        break
                    self._prune()
                    self._receive(backend.poll(study.running, backend.poll_seconds))
            except PluginError:
                if not backend.jobs_survive:
                    self._drain()
                raise
            self._heed_the_user()
            if study.stop_reason is None and not self._interrupts:
                enough = study.jobs >= study.problem.max_jobs
                self._stop(f"max_jobs ({study.problem.max_jobs}) reached" if enough else "no more proposals")
            self._commit()
        if self._interrupts and study.stop_reason is None:
            raise KeyboardInterrupt(f"study {study.name!r} is interrupted: {self._way_on} goes on")

    def _adopt(self) -> None:
        """Repeat the stops that an earlier driver may not have come to, and take over its jobs.

        In this order: what is to stop is not started first.
        """
        self._heed_the_user()
        stopping = [trial for trial in self.study.running if self.study.stopping(trial)]
        if stopping:
            self._backend.stop(stopping)
        self._receive(self._backend.adopt(self.study.running))

    def _advance(self) -> None:
        """Observe, consider stopping and ask for proposals, until the slots are full or the plugins wait."""
        while True:
            self._reuse()
            self._observe()
            self._tick()
            if self._should_stop():
                return
            while (wanted := self._wanted()) > 0 and self._may_ask() and self._ask(wanted):
                self._reuse()
            if not self._observable():
                return

    def _reuse(self) -> None:
        """Finish the waiting trials whose result another trial has brought."""
        if self._policy.duplicates == "reuse":
            for trial in self.study.waiting:
                earlier = self.study.duplicate_of(trial)
                if earlier is not None and earlier.status is TrialStatus.Completed:
                    reason = f"same configuration as trial {earlier.number}"
                    reused = TrialStatus.Reused.value
                    self._record(events.finished(trial.number, reused, shares=earlier.number, reason=reason))

    def _observable(self) -> Sequence[Trial]:
        """The finished trials that it is time to observe; in strict order one, and only after all before it."""
        trials = self.study.unobserved
        if self._policy.order == "arrival" or not trials:
            return trials
        if foreign := [trial for trial in trials if trial.prior]:
            return foreign
        first = min(trials, key=_number)
        unfinished = (*self.study.running, *self.study.waiting)
        return [first] if all(trial.number > first.number for trial in unfinished) else []

    def _may_ask(self) -> bool:
        """Whether a plugin is to propose now: in strict order after each result, else when it knows all results."""
        return self._policy.order == "strict" or not self.study.unobserved

    def _observe(self) -> bool:
        """Whether there was anything to observe."""
        trials = self._observable()
        if trials:
            self._commit()
            self._record(events.observed([trial.number for trial in trials]))
            self._plugins.observe(self.study, trials)
        return bool(trials)

    def _should_stop(self) -> bool:
        study = self.study
        self._heed_the_user()
        if study.stop_reason is None:
            if self._broke():
                self._stop(
                    f"budget: {study.cost:.2f} of {self._policy.max_cost:.2f} is spent, and one more job may cost "
                    f"{self._policy.reservation:.2f}"
                )
            elif self._only_repeats() and not self._news_to_come():
                self._stop(f"nothing new proposed: the last {study.reused_in_a_row} proposals repeat known trials")
            elif (reason := self._plugins.stop(study)) is not None:
                self._stop(reason)
        if study.stop_reason is not None:
            for trial in study.waiting:
                if not self._held(trial):
                    reason = f"the study ended before it had a job: {study.stop_reason}"
                    self._record(events.finished(trial.number, TrialStatus.Stopped.value, reason=reason))
            while self._observe():
                """In strict order it is one at a time."""
        return study.stop_reason is not None or self._interrupts > 0

    def _heed_the_user(self) -> None:
        """End the study as `stop_tuning_job` asks, or leave it after a Ctrl-C; after the next one the jobs stop too."""
        study, request = self.study, self._stop_requested()
        if request is None and not self._interrupts:
            return
        jobs = [trial for trial in study.running if not study.stopping(trial)]
        stop_jobs = bool(jobs) and (request is not None or self._interrupts > 1)
        if stop_jobs or (study.stop_reason is None and (request is not None or not study.left_by_user)):
            self._stop(study.stop_reason or request, jobs=request is not None or stop_jobs)
            self._commit()
        if stop_jobs:
            self._backend.stop(jobs)

    def _only_repeats(self) -> bool:
        """Whether plugins have long proposed nothing but what is known: a reason to wait for news, or to end."""
        enough = REPEATS_BESIDE_JOBS if self._news_to_come() else self._repeats
        return self.study.reused_in_a_row >= enough

    def _news_to_come(self) -> bool:
        """Whether there are jobs, or will be, whose results may bring something new."""
        return bool(self.study.running or self.study.waiting)

    def _wanted(self) -> int:
        """How many more proposals there is a free slot and a job in the budget for."""
        if self._policy.order == "strict":
            return self._wanted_in_order()
        if self._only_repeats():
            return 0
        study = self.study
        waiting = study.waiting
        free = self._free_slots()
        budget = study.problem.max_jobs - study.jobs
        for trial in waiting:
            free -= not self._held(trial)
            budget -= trial.attempt == 0
        return min(free, budget)

    def _wanted_in_order(self) -> int:
        """The same where the answer may not depend on what has finished, only on what was observed.

        Some proposals are made ahead, so that slots are not idle while the next result in order is awaited. Each takes
        a job of the budget until it is observed to have shared another's.
        """
        study = self.study
        unobserved = (*study.running, *study.waiting, *study.unobserved)
        jobs = study.jobs - sum(trial.attempt > 0 or trial.job_name is not None for trial in unobserved)
        ahead = LOOK_AHEAD * study.problem.max_parallel_jobs
        return min(ahead, study.problem.max_jobs - jobs) - len(unobserved)

    def _free_slots(self) -> int:
        """How many jobs could be launched now: there is a slot, and the money for them at their dearest."""
        slots = min(self.study.problem.max_parallel_jobs, self._backend.slots)
        policy = self._policy
        if policy.max_cost is not None:
            slots = min(slots, (policy.max_cost - self.study.cost) // policy.reservation)
        return int(slots) - len(self.study.running)

    def _broke(self) -> bool:
        """Whether there is work but no money for it, and none will come back from jobs that run."""
        study = self.study
        if self._policy.max_cost is None or study.running:
            return False
        return self._free_slots() < 1 and (study.jobs < study.problem.max_jobs or bool(study.waiting))

    def _ask(self, count: int) -> bool:
        """Whether any plugin proposed something; each is asked for what is still missing."""
        missing = count
        for name in self._plugins.proposers:
            if missing and not self.study.silent(name):
                answer = self._plugins.propose(name, self.study, missing)
                self._record(events.asked(name, missing, [proposal.to_json() for proposal in answer]))
                missing -= len(answer)
        return missing < count

    def _launch(self) -> None:
        study = self.study
        self._tick()
        free = self._free_slots()
        launched: list[int] = []
        if not self._interrupts and study.stop_reason is None:
            for trial in study.waiting:
                if len(launched) < free and not self._held(trial):
                    name = job_name(study.id, trial.number, trial.attempt)
                    self._record(events.intended(trial.number, trial.attempt, name))
                    launched.append(trial.number)
        else:
            self._backend.withdraw()
        if launched:
            self._commit()
            self._backend.launch([study.trials[number] for number in launched])
            self._record(events.launched(launched))

    def _held(self, trial: Trial) -> bool:
        """Whether this waiting trial needs no slot, as it will share the result of another that is on its way."""
        earlier = self.study.duplicate_of(trial) if self._policy.duplicates == "reuse" else None
        return earlier is not None and not earlier.finished

    def _prune(self) -> None:
        if not self._plugins.prunes:
            return
        pruned = []
        for trial in self.study.running:
            if not self.study.stopping(trial):
                decision = self._plugins.prune(self.study, trial)
                if decision is not None:
                    plugin, reason = decision
                    self._record(events.pruned(trial.number, plugin, one_line(reason)))
                    pruned.append(trial)
        if pruned:
            self._commit()
            self._backend.stop(pruned)

    def _receive(self, updates: Iterable[Update]) -> None:
        """Journal what the backend tells; it is on disk when this returns, where plugins may read curves."""
        self._tick()
        running = {trial.job_name: trial.number for trial in self.study.running}
        for update in updates:
            number = running.get(update.job_name)
            if number is None:
                continue
            if isinstance(update, Reported):
                self._report(self.study.trials[number], update)
            else:
                del running[update.job_name]
                self._end(self.study.trials[number], update)
        self._commit()

    def _report(self, trial: Trial, update: Reported) -> None:
        known = self.study.reports(trial)
        points: dict[str, list[Any]] = {}
        for metric, (start, values) in update.points.items():
            count = known[metric].count if metric in known else 0
            fresh = [float(value) for value in values[max(0, count - start) :]]
            if fresh:
                points[metric] = [max(start, count), fresh]
        if points:
            self._record(events.reported(trial.number, points))

    def _end(self, trial: Trial, ended: Ended) -> None:
        study = self.study
        pruning = study.pruning(trial)
        if ended.outcome in (Outcome.Interrupted, Outcome.Lost) and not study.stopping(trial):
            counted = ended.outcome is Outcome.Interrupted
            if trial.interruptions + counted < self._policy.max_attempts or not counted:
                why = one_line(ended.reason or "the job was lost")
                self._record(events.retried(trial.number, why, counted=counted, details=ended.details))
                return
            attempts = f"{trial.interruptions + 1} attempts failed, the last: {ended.reason}"
            self._finish(trial, TrialStatus.Failed, ended, ended.metrics, attempts)
        elif ended.outcome is Outcome.Completed:
            status, reason = self._verdict(ended)
            self._finish(trial, status, ended, ended.metrics, reason)
        elif ended.outcome is Outcome.Failed:
            self._finish(trial, TrialStatus.Failed, ended, ended.metrics, ended.reason or "the job failed")
        else:
            last = {metric: report.last for metric, report in study.reports(trial).items()}
            metrics = {**last, **ended.metrics}
            if (not_finite := self._not_finite(metrics)) is not None:
                self._finish(trial, TrialStatus.Failed, ended, metrics, not_finite)
                return
            status = TrialStatus.Stopped if pruning is None else TrialStatus.Pruned
            self._finish(trial, status, ended, metrics, pruning or ended.reason or "stopped")

    def _finish(
        self, trial: Trial, status: TrialStatus, ended: Ended, metrics: Mapping[str, float], reason: str | None
    ) -> None:
        self._record(
            events.finished(
                trial.number,
                status.value,
                metrics=metrics,
                started=ended.started,
                ended=ended.ended,
                reason=None if reason is None else one_line(reason),
                details=ended.details,
            )
        )

    def _verdict(self, ended: Ended) -> tuple[TrialStatus, str | None]:
        """A job that ended well is a completed trial only if its objectives are finite numbers."""
        objectives = [objective.metric for objective in self.study.problem.objectives]
        missing = [metric for metric in objectives if metric not in ended.metrics]
        if missing:
            reason = _MISSING_METRIC.format(names=", ".join(map(repr, missing)))
            reason = f"{reason}; {ended.reason}" if ended.reason else reason
            if not self._told_missing:
                self._told_missing = True
                _logger.warning("%s: %s%s", ended.job_name, reason, _log_hint(ended))
            return TrialStatus.Failed, reason
        not_finite = self._not_finite(ended.metrics)
        return (TrialStatus.Completed, None) if not_finite is None else (TrialStatus.Failed, not_finite)

    def _not_finite(self, metrics: Mapping[str, float]) -> str | None:
        """An objective that is no finite number: no algorithm is to compute with it, however the job ended."""
        for objective in self.study.problem.objectives:
            value = metrics.get(objective.metric, 0.0)
            if not math.isfinite(value):
                return f"{objective.metric} is {value}"
        return None

    def _drain(self) -> None:
        """Wait for the jobs that would be lost with this driver, and journal their results."""
        while self.study.running:
            self._heed_the_user()
            self._receive(self._backend.poll(self.study.running, self._backend.poll_seconds))

    def _stop(self, reason: str | None, *, jobs: bool = False) -> None:
        """Propose nothing more, only this driver where there is no *reason*; with *jobs* those that run are to stop."""
        self._record(events.stopped(None if reason is None else one_line(reason), jobs=jobs))

    def _tick(self) -> None:
        """Look at the clock. Time stands still for the study in between, so that a replay can repeat what it was."""
        self.study.tick(self._backend.now())

    def _record(self, happening: Happening) -> None:
        """Something happened: the study knows at once, the disk at the next commit."""
        event = Event(self.study.sequence, happening.kind, self.study.now, happening.body)
        self.study.apply(event)
        self._pending.append(event)

    def _commit(self) -> None:
        """All that happened is on disk when this returns; then those who listen are told."""
        pending, self._pending = self._pending, []
        if pending:
            self._log.append(pending)
            self._plugins.happened(self.study, pending)

    def _interrupt(self, *_: object) -> None:
        self._interrupts += 1
        running = len(self.study.running)
        if self._interrupts == 1:
            _logger.warning(
                "no more jobs are started; %d still run and are waited for. Ctrl-C again stops them. "
                "%s goes on with the study.",
                running,
                self._way_on,
            )
        elif self._interrupts == 2:  # noqa: PLR2004 - the second Ctrl-C
            _logger.warning("stopping %d jobs", running)
        else:
            raise KeyboardInterrupt(f"study {self.study.name!r} is left at once: {self._way_on} goes on")

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C once: nothing new is launched. Twice: running jobs are stopped. Three times: leave at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def _log_hint(ended: Ended) -> str:
    return f" (log: {ended.details['log']})" if "log" in ended.details else ""
