"""The loop that drives a study: propose, launch, poll, finish, observe, stop.

The driver never sleeps and never reads a clock: `backend.poll` waits and `backend.now` tells the time. Every proposal,
launch and result is on disk before anything acts on it.
"""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from byohpo_core.backendspecs import Backend, Ended, Reported, Update
from byohpo_core.driving.backoff import OutageWarning, due, paused_until, startable
from byohpo_core.driving.budget import allowed_repeats, free_slots, need_slots, used_up, waits_for_duplicate, wanted
from byohpo_core.driving.fence import Fence
from byohpo_core.driving.interrupts import Interrupts
from byohpo_core.driving.order import may_ask, observable
from byohpo_core.driving.policy import Policy
from byohpo_core.driving.recorder import Recorder
from byohpo_core.driving.verdicts import missing_metrics, verdict
from byohpo_core.errors import PluginError, StudyBusy, one_line
from byohpo_core.journal.log import EventLog
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.study import events
from byohpo_core.study.events import Event
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import job_name
from byohpo_core.study.trial import Report, TrialStatus


class Driver:
    """Drives one study, new or replayed, to its end."""

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
        self._recorder = Recorder(study, log, plugins, backend.now, unwritten)
        self._plugins = plugins
        self._backend = backend
        self._policy = policy
        self._stop_requested = stop_requested
        """Gives the reason why the user wants the study to end and its jobs to stop, or None."""
        self._way_on = way_on
        self._interrupts = Interrupts(study, way_on)
        self._fence = Fence(log)
        backend.check_driven = self._fence.check
        self._repeats = allowed_repeats(plugins.populations)
        self._warned_of_missing = False
        self._outages = OutageWarning(study)

    def run(self) -> None:
        """Drive the study until it ends. Raises `KeyboardInterrupt` if the user stopped it first."""
        study, backend = self.study, self._backend
        self._recorder.tick()
        self._recorder.record(events.opened(socket.gethostname(), os.getpid()))
        with self._interrupts:
            try:
                if study.jobs:
                    self._recorder.commit()  # a driver that was overtaken must fail here, before it touches a job
                    self._take_over()
                while True:
                    self._advance()
                    self._launch()
                    paused = self._paused_until()
                    if not study.running and paused is None:
                        break
                    self._prune()
                    wait = backend.poll_seconds if paused is None else min(backend.poll_seconds, paused - study.now)
                    self._receive(backend.poll(study.running, wait))
            except PluginError:
                if not backend.jobs_survive:
                    self._drain()
                raise
            except StudyBusy:
                if over := self._fence.over(study.running):
                    backend.stop(over)
                raise
            self._follow_stop_requests()
            if study.stop_reason is None and not self._interrupts.count:
                enough = study.jobs >= study.problem.max_jobs
                self._stop(f"max_jobs ({study.problem.max_jobs}) reached" if enough else "no more proposals")
            self._recorder.commit()
            if study.stop_reason is not None:
                backend.stop_strays(study.running)
        if self._interrupts.count and study.stop_reason is None:
            raise KeyboardInterrupt(f"study {study.name!r} is interrupted: {self._way_on} goes on")

    def _take_over(self) -> None:
        """Stop what an earlier driver has started too late, repeat the stops that it missed, and adopt its jobs.

        In this order, so that a job that is to stop is not started first.
        """
        self._backend.stop_strays(self.study.running)
        if not self.study.running:
            return
        self._follow_stop_requests()
        stopping = [trial for trial in self.study.running if self.study.stopping(trial)]
        if stopping:
            self._backend.stop(stopping)
        self._fence.check()
        updates = self._backend.adopt(self.study.running)
        self._fence.check()
        self._receive(updates)

    def _advance(self) -> None:
        """Observe results, check whether to stop, and ask for proposals, until slots are full or plugins wait."""
        study, policy = self.study, self._policy
        while True:
            self._reuse()
            self._observe()
            self._recorder.tick()
            if self._should_stop():
                return
            while (count := wanted(study, policy, self._backend.slots, self._repeats)) > 0:
                if not (may_ask(study, policy) and self._ask(count)):
                    break
                self._reuse()
            if not observable(study, policy):
                return

    def _reuse(self) -> None:
        """Finish the waiting trials that repeat a completed one: they share its result."""
        if self._policy.duplicates == "reuse":
            for trial in self.study.waiting:
                earlier = self.study.duplicate_of(trial)
                if earlier is not None and earlier.status is TrialStatus.Completed:
                    reason = f"same configuration as trial {earlier.number}"
                    reused = TrialStatus.Reused.value
                    self._recorder.record(events.finished(trial.number, reused, shares=earlier.number, reason=reason))

    def _observe(self) -> bool:
        """Hand finished trials to the plugins; False if there was none."""
        trials = observable(self.study, self._policy)
        if trials:
            self._recorder.commit()
            self._recorder.record(events.observed([trial.number for trial in trials]))
            self._plugins.observe(self.study, trials)
        return bool(trials)

    def _should_stop(self) -> bool:
        """True if nothing more is to be proposed: the study has a reason to end, or the user leaves it."""
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
                    self._recorder.record(events.finished(trial.number, TrialStatus.Stopped.value, reason=reason))
            more = True
            while more:  # strict order observes one trial at a time
                more = self._observe()
        return study.stop_reason is not None or self._interrupts.count > 0

    def _follow_stop_requests(self) -> None:
        """End the study if `stop_tuning_job` asked for it; leave it after one Ctrl-C, and stop its jobs after two."""
        study, request, interrupts = self.study, self._stop_requested(), self._interrupts.count
        if request is None and not interrupts:
            return
        jobs = [trial for trial in study.running if not study.stopping(trial)]
        stop_jobs = bool(jobs) and (request is not None or interrupts > 1)
        if stop_jobs or (study.stop_reason is None and (request is not None or not study.left_by_user)):
            self._stop(study.stop_reason or request, jobs=request is not None or stop_jobs)
            self._recorder.commit()
        if stop_jobs:
            self._backend.stop(jobs)

    def _ask(self, count: int) -> bool:
        """Ask each plugin for the proposals that are still missing; False if none came."""
        missing = count
        for name in self._plugins.proposers:
            if missing and not self.study.silent(name):
                answer = self._plugins.propose(name, self.study, missing)
                self._recorder.record(events.asked(name, missing, [proposal.to_json() for proposal in answer]))
                missing -= len(answer)
        return missing < count

    def _launch(self) -> None:
        study = self.study
        self._recorder.tick()
        launched: list[int] = []
        if not self._interrupts.count and study.stop_reason is None:
            free = startable(study, free_slots(study, self._policy, self._backend.slots))
            for trial in due(study, need_slots(study, self._policy))[: max(0, free)]:
                name = job_name(study.id, trial.number, trial.attempt)
                self._recorder.record(events.intended(trial.number, trial.attempt, name))
                launched.append(trial.number)
        else:
            self._backend.withdraw()
        if launched:
            self._recorder.commit()
            self._fence.check()
            self._backend.launch([study.trials[number] for number in launched])
            self._fence.check()
            self._recorder.record(events.launched(launched))

    def _paused_until(self) -> float | None:
        """When jobs may start again that wait because the infrastructure has failed; None if none waits for that."""
        if self._interrupts.count or self.study.stop_reason is not None:
            return None
        return paused_until(self.study, need_slots(self.study, self._policy))

    def _prune(self) -> None:
        if not self._plugins.prunes:
            return
        pruned = []
        for trial in self.study.running:
            if not self.study.stopping(trial):
                decision = self._plugins.prune(self.study, trial)
                if decision is not None:
                    plugin, reason = decision
                    self._recorder.record(events.pruned(trial.number, plugin, one_line(reason)))
                    pruned.append(trial)
        if pruned:
            self._recorder.commit()
            self._backend.stop(pruned)

    def _receive(self, updates: Iterable[Update]) -> None:
        """Journal the backend's updates. They are on disk when this returns, so that plugins can read curves."""
        self._recorder.tick()
        running = {trial.job_name: trial.number for trial in self.study.running}
        for update in updates:
            number = running.get(update.job_name)
            if number is None:
                continue
            trial = self.study.trials[number]
            if isinstance(update, Reported):
                if points := _new_points(self.study.reports(trial), update):
                    self._recorder.record(events.reported(number, points))
            else:
                del running[update.job_name]
                if not self._warned_of_missing and (missing := missing_metrics(self.study.problem, update)):
                    self._warned_of_missing = True  # one warning is enough: the other jobs may lack it too
                    _warn_of_missing(missing, update)
                self._recorder.record(verdict(self.study, trial, update, self._policy))
        self._outages.tell()
        self._recorder.commit()

    def _drain(self) -> None:
        """Wait for the jobs that die with this driver, and journal their results."""
        while self.study.running:
            self._follow_stop_requests()
            self._receive(self._backend.poll(self.study.running, self._backend.poll_seconds))

    def _stop(self, reason: str | None, *, jobs: bool = False) -> None:
        """Record that nothing more is proposed: for good, or until the next driver if *reason* is None."""
        self._recorder.record(events.stopped(None if reason is None else one_line(reason), jobs=jobs))


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
