"""Run the jobs of a training script on this machine: each has a folder and a supervisor that outlives the driver."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from byohpo_core.backends.local.files import local_path
from byohpo_core.backends.local.job import Job
from byohpo_core.backends.local.processes import SUPERVISOR
from byohpo_core.backends.local.program import Program
from byohpo_core.backends.local.supervisor import NO_ROOM_CODE
from byohpo_core.backends.local.watch import Watch
from byohpo_core.backends.quota import Quota
from byohpo_core.backendspecs import Backend, Ended, JobSettings, Outcome, Reported, Update
from byohpo_core.clock import SteadyClock
from byohpo_core.errors import ByohpoError
from byohpo_core.files import NO_ROOM
from byohpo_core.metrics import compile_metrics, end_helper
from byohpo_core.secrets import marked_in
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

_LOOK_SECONDS = 0.05
_READ_SECONDS = 0.25
"""How long one look may search logs, so that the driver soon hears of requests to stop."""
_LAST_READ_SECONDS = 0.5
"""How long after the end of a job that was to stop its log may still be searched."""


class LocalBackend(Backend):
    """Run one study's jobs; orders, claims, logs and exit statuses are files in the study's folder."""

    def __init__(self, program: Program, study: Study, settings: JobSettings) -> None:
        self.clock = SteadyClock(study.now)
        self._program = program
        self._study = study
        self._slots_wanted = study.problem.max_parallel_jobs
        self._folder = settings.folder.absolute() / study.id
        self._shared = settings.shared
        self._metrics = compile_metrics(settings.metric_definitions)
        self._channels = {channel: str(local_path(place)) for channel, place in settings.inputs.items()}
        self._cpus = max(1, (os.cpu_count() or 1) // self._slots_wanted)
        self._watches: dict[str, Watch] = {}
        """The jobs that run."""
        self._told_metrics: set[str] = set()
        self._is_behind = False
        """Whether the last look left lines of logs unread."""
        self._not_started: dict[str, str] = {}
        self._stopping: set[str] = set()
        self._room = Quota(self.now, "this machine's room for processes and open files")

    @property
    def slots(self) -> float:  # type: ignore[override]
        """How many jobs this machine has room for, as learnt from refusals."""
        return self._room.slots

    def launch(self, trials: Sequence[Trial]) -> None:
        """Start a supervisor for each job. Jobs for which the machine has no room wait until another has ended."""
        for trial in trials:
            self._write_order(trial)
        tried: Sequence[Trial] = ()
        while len(tried) != len(trials):  # some may have been in the way of others only as they started
            tried, trials = trials, self._start(trials)
        if trials:
            self._room.wait(trials)
            self._room.shrink(len(self._watches))

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Launch the jobs that no supervisor has claimed, but those that have lost their folder since."""
        missing = []
        for trial in trials:
            job = self._job(trial)
            if job.is_claimed or job.is_gone:
                self._check_order(trial)
                self._watch(trial)
            else:
                missing.append(trial)
        self.launch(missing)
        return ()

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        deadline = time.monotonic() + wait_seconds
        while True:
            updates = self._look(trials)
            if updates or self._is_behind or time.monotonic() >= deadline:
                return updates
            time.sleep(_LOOK_SECONDS)

    def stop(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            self._stopping.add(str(trial.job_name))
            try:
                self._job(trial).ask_to_stop()
            except OSError as error:
                raise ByohpoError(f"cannot ask the job {trial.job_name} to stop: {error}") from error

    def withdraw(self) -> None:
        """Give up the jobs that wait for room."""
        self._room.withdraw()

    def close(self) -> None:
        """End the process that searches logs. Jobs keep running."""
        end_helper()

    def copy_source(self) -> None:
        """Copy the source to disk, unless an earlier driver of the study has."""
        if not self.code.exists():
            self._program.copy_source(self.code, self._study.id, shared=self._shared)

    @property
    def code(self) -> Path:
        """Where the study's copy of the source is."""
        return self._folder / "code"

    def _job(self, trial: Trial) -> Job:
        return Job(self._folder, str(trial.job_name), shared=self._shared)

    def _watch(self, trial: Trial) -> Watch:
        return self._watches.setdefault(
            str(trial.job_name), Watch(self._job(trial).folder, self._metrics, self._told_metrics)
        )

    def _check_order(self, trial: Trial) -> None:
        """Raise `ByohpoError` if the job was ordered for another configuration, of which the journal knows nothing."""
        job = self._job(trial)
        if job.ordered() not in (None, json.loads(json.dumps(dict(trial.hyperparameters)))):
            raise ByohpoError(
                f"job {job.name} was started before, with other hyperparameters ({job.order}), and the journal has "
                f"lost that: restore the journal from a backup, or remove {job.order} and {job.folder} and resume, "
                "which runs the job anew"
            )

    def _write_order(self, trial: Trial) -> None:
        program = self._program
        self._check_order(trial)
        job = self._job(trial)
        order = {
            "job_name": job.name,
            "folder": str(job.folder),
            "code": str(self.code),
            "script": program.script_in_source,
            "python": program.python,
            "hyperparameters": dict(trial.hyperparameters),
            "channels": self._channels,
            "checkpoints": str(self._job(parent).checkpoints) if (parent := self._study.continued(trial)) else None,
            "environment": dict(program.environment),
            "shared": self._shared,
            "cpus": self._cpus,
            "stop_grace_seconds": program.stop_grace_seconds,
            "ordered": self.now(),
        }
        try:
            job.write_order(order)
        except OSError as error:
            raise ByohpoError(f"cannot write the job's order {job.order}: {error}") from error

    def _start(self, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Start supervisors, and return the trials that must wait because the machine has no room for theirs.

        Without another job to wait for, they have not started for good.
        """
        starting: list[tuple[Trial, subprocess.Popen[bytes]]] = []
        refused: list[tuple[Trial, str]] = []
        for trial in trials:
            try:
                starting.append((trial, self._start_supervisor(trial)))
            except OSError as error:
                if error.errno in NO_ROOM:
                    refused.append((trial, str(error)))
                else:
                    self._not_start(trial, str(error))
        for trial, supervisor in starting:
            _, told = supervisor.communicate()
            lines = told.decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"exit code {supervisor.returncode}"
            if supervisor.returncode == NO_ROOM_CODE:
                refused.append((trial, reason))
            elif supervisor.returncode > 0:  # one that was killed may have had a supervisor already
                self._not_start(trial, reason)
            else:
                self._watch(trial)
        if self._watches:
            return [trial for trial, _ in refused]
        for trial, reason in refused:
            self._not_start(trial, reason)
        return ()

    def _not_start(self, trial: Trial, reason: str) -> None:
        self._not_started[str(trial.job_name)] = f"its supervisor did not start: {reason}"

    def _start_supervisor(self, trial: Trial) -> subprocess.Popen[bytes]:
        """Start a supervisor, and tell it through a pipe the values of the secrets whose marks are in its order."""
        secrets = {} if trial.job_name in self._stopping else self._secrets_of(trial)
        supervisor = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-P", "-m", SUPERVISOR, str(self._job(trial).order)],
            cwd=self._folder,
            stdin=subprocess.PIPE if secrets else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if supervisor.stdin is not None:
            with suppress(BrokenPipeError), supervisor.stdin as pipe:
                pipe.write(json.dumps(secrets).encode())
            supervisor.stdin = None  # `communicate` would use it
        return supervisor

    def _secrets_of(self, trial: Trial) -> dict[str, Any]:
        """The parts of the trial's order in which secrets are, with their values."""
        parts = {"hyperparameters": dict(trial.hyperparameters), "environment": dict(self._program.environment)}
        return {name: self.reveal(part) for name, part in parts.items() if any(marked_in(part))}

    def _look(self, trials: Sequence[Trial]) -> list[Update]:
        """Check the folder of every running job once, as far as the time for reading logs suffices."""
        started = [trial for trial in trials if str(trial.job_name) not in self._room]
        given_up = list(self._room.given_up(self._stopping))
        self._room.use(lambda trial: not self._start([trial]), self._watches.__len__, self._slots_wanted)
        deadline = time.monotonic() + _READ_SECONDS
        self._is_behind = False
        # A log for which the last look had no time comes first.
        started.sort(key=lambda trial: self._watch(trial).read_at)
        updates = [update for trial in started for update in self._look_at(trial, deadline)]
        reported = [update for update in updates if isinstance(update, Reported)]
        ended = [update for update in updates if isinstance(update, Ended)]
        for update in ended:
            del self._watches[update.job_name]
            self._not_started.pop(update.job_name, None)
            self._stopping.discard(update.job_name)
            self._room.try_now()
        return [*given_up, *reported, *sorted(ended, key=lambda update: update.ended or 0.0)]

    def _why_it_died(self, job: Job) -> str:
        """Without a folder that is the reason, whatever its supervisor met when it started."""
        return (self._not_started.get(job.name) if job.folder.is_dir() else None) or job.missing()

    def _look_at(self, trial: Trial, deadline: float) -> Iterator[Update]:
        """Read what is new of a job. It is over when it has no supervisor and nothing of it is alive."""
        job, watch = self._job(trial), self._watch(trial)
        over, stopping = job.is_over(), job.name in self._stopping
        try:
            if (replaced := job.replaced()) is not None:
                if over:
                    yield Ended(job.name, Outcome.Failed, reason=replaced)
                return
            if not (stopping and watch.has_waited(_LAST_READ_SECONDS, over=over)):
                if (stopping and not over) or (self._is_behind and time.monotonic() >= deadline):
                    return
                if points := watch.read(deadline, ended=over):
                    yield Reported(job.name, points)
                self._is_behind |= watch.is_behind
                if watch.is_behind:
                    return
            if over and (status := job.status()) is not None:
                yield watch.ended(trial, status)
            elif over:
                yield attrs.evolve(watch.died(trial), reason=self._why_it_died(job))
        except OSError as error:
            if over and error.errno not in NO_ROOM:
                yield Ended(job.name, Outcome.Interrupted, reason=f"its files cannot be read: {error}")
