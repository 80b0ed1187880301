"""The loop that drives a study: propose, launch, poll, finish, observe, stop.

It never sleeps and never reads a clock: `backend.poll` waits and `backend.now` tells the time. Nothing acts on a
proposal, a launch or a result before it is on disk.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from byohpo_core.backendspecs import Backend, Ended, Reported, Update
from byohpo_core.driving.budget import allowed_repeats, free_slots, used_up, waits_for_duplicate, wanted
from byohpo_core.driving.interrupts import Interrupts
from byohpo_core.driving.order import may_ask, observable
from byohpo_core.driving.policy import Policy
from byohpo_core.driving.verdicts import missing_objectives, verdict
from byohpo_core.errors import PluginError, one_line
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.study import events
from byohpo_core.study.events import Event, Happening
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import job_name
from byohpo_core.study.trial import Report, TrialStatus

_logger = logging.getLogger("byohpo")


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
        self._plugins = plugins
        self._backend = backend
        self._policy = policy
        self._stop_requested = stop_requested
        """Why the user wants the study to end and its jobs to stop, if so."""
        self._way_on = way_on
        self._pending = [*unwritten]
        """What the study knows and the disk does not."""
        self._interrupts = Interrupts(study, way_on)
        self._repeats = allowed_repeats(plugins.populations)
        self._warned_of_missing = False

    def run(self) -> None:
        """Drive the study until it ends. Raises `KeyboardInterrupt` if the user stopped it first."""
        study, backend = self.study, self._backend
        self._tick()
        self._record(events.opened(socket.gethostname(), os.getpid()))
        with self._interrupts:
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
            self._follow_stop_requests()
            if study.stop_reason is None and not self._interrupts.count:
                enough = study.jobs >= study.problem.max_jobs
                self._stop(f"max_jobs ({study.problem.max_jobs}) reached" if enough else "no more proposals")
            self._commit()
        if self._interrupts.count and study.stop_reason is None:
            raise KeyboardInterrupt(f"study {study.name!r} is interrupted: {self._way_on} goes on")

    def _adopt(self) -> None:
        """Repeat the stops that an earlier driver may not have come to, and take over its jobs.

        In this order: what is to stop is not started first.
        """
        self._follow_stop_requests()
        stopping = [trial for trial in self.study.running if self.study.stopping(trial)]
        if stopping:
            self._backend.stop(stopping)
        self._receive(self._backend.adopt(self.study.running))

    def _advance(self) -> None:
        """Observe, consider stopping and ask for proposals, until the slots are full or the plugins wait."""
        study, policy = self.study, self._policy
        while True:
            self._reuse()
            self._observe()
            self._tick()
            if self._should_stop():
                return
            while (count := wanted(study, policy, self._backend.slots, self._repeats)) > 0:
                if not (may_ask(study, policy) and self._ask(count)):
                    break
                self._reuse()
            if not observable(study, policy):
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

    def _observe(self) -> bool:
        """Whether there was anything to observe."""
        trials = observable(self.study, self._policy)
        if trials:
            self._commit()
            self._record(events.observed([trial.number for trial in trials]))
            self._plugins.observe(self.study, trials)
        return bool(trials)

    def _should_stop(self) -> bool:
        """Whether nothing more is proposed: the study has a reason to end, or the user leaves it."""
        study = self.study
        self._follow_stop_requests()
        if study.stop_reason is None:
            reason = used_up(study, self._policy, self._backend.slots, self._repeats) or self._plugins.stop(study)
            if reason is not None:
                self._stop(reason)
        if study.stop_reason is not None:
            for trial in study.waiting:
                if not waits_for_duplicate(study, self._policy, trial):
                    reason = f"the study ended before it had a job: {study.stop_reason}"
                    self._record(events.finished(trial.number, TrialStatus.Stopped.value, reason=reason))
            more = True
            while more:  # in strict order it is one at a time
                more = self._observe()
        return study.stop_reason is not None or self._interrupts.count > 0

    def _follow_stop_requests(self) -> None:
        """End the study as `stop_tuning_job` asks, or leave it after a Ctrl-C; after the next one the jobs stop too."""
        study, request, interrupts = self.study, self._stop_requested(), self._interrupts.count
        if request is None and not interrupts:
            return
        jobs = [trial for trial in study.running if not study.stopping(trial)]
        stop_jobs = bool(jobs) and (request is not None or interrupts > 1)
        if stop_jobs or (study.stop_reason is None and (request is not None or not study.left_by_user)):
            self._stop(study.stop_reason or request, jobs=request is not None or stop_jobs)
            self._commit()
        if stop_jobs:
            self._backend.stop(jobs)

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
        free = free_slots(study, self._policy, self._backend.slots)
        launched: list[int] = []
        if not self._interrupts.count and study.stop_reason is None:
            for trial in study.waiting:
                if len(launched) < free and not waits_for_duplicate(study, self._policy, trial):
                    name = job_name(study.id, trial.number, trial.attempt)
                    self._record(events.intended(trial.number, trial.attempt, name))
                    launched.append(trial.number)
        else:
            self._backend.withdraw()
        if launched:
            self._commit()
            self._backend.launch([study.trials[number] for number in launched])
            self._record(events.launched(launched))

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
            trial = self.study.trials[number]
            if isinstance(update, Reported):
                if points := _new_points(self.study.reports(trial), update):
                    self._record(events.reported(number, points))
            else:
                del running[update.job_name]
                if not self._warned_of_missing and (missing := missing_objectives(self.study.problem, update)):
                    self._warned_of_missing = True  # the others may lack them too
                    _warn_of_missing(missing, update)
                self._record(verdict(self.study, trial, update, self._policy))
        self._commit()

    def _drain(self) -> None:
        """Wait for the jobs that would be lost with this driver, and journal their results."""
        while self.study.running:
            self._follow_stop_requests()
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


def _new_points(known: Mapping[str, Report], update: Reported) -> dict[str, list[Any]]:
    """The points that are not journaled yet: by metric, the index of the first and the values."""
    points: dict[str, list[Any]] = {}
    for metric, (start, values) in update.points.items():
        count = known[metric].count if metric in known else 0
        fresh = [float(value) for value in values[max(0, count - start) :]]
        if fresh:
            points[metric] = [max(start, count), fresh]
    return points


def _warn_of_missing(missing: Sequence[str], ended: Ended) -> None:
    reason = f"; {ended.reason}" if ended.reason else ""
    log = f" (log: {ended.details['log']})" if "log" in ended.details else ""
    _logger.warning("%s: the job did not report %s%s%s", ended.job_name, ", ".join(map(repr, missing)), reason, log)
