"""Tune a SageMaker script-mode training script on this machine.

Each job has its own folder, and its process outlives the driver.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from byohpo_core.backends.local.files import NO_ROOM, create_folder, make_private
from byohpo_core.backends.local.job import Job
from byohpo_core.backends.local.processes import SUPERVISOR
from byohpo_core.backends.local.supervisor import NO_ROOM_CODE
from byohpo_core.backends.local.watch import Watch
from byohpo_core.backends.quota import Quota
from byohpo_core.backendspecs import (
    Backend,
    Ended,
    Estimator,
    JobSettings,
    Outcome,
    Reported,
    Update,
    checked_arguments,
)
from byohpo_core.clock import SteadyClock
from byohpo_core.container import channels
from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.journal.place import journal_files
from byohpo_core.metrics import compile_metrics, default_regex, end_helper
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import frozen_mapping, number, text

_LOOK_SECONDS = 0.05
_READ_SECONDS = 0.25
"""How long one look may search logs, so that the driver soon hears of requests to stop."""
_LAST_READ_SECONDS = 0.5
"""How long after the end of a job that was to stop its log may still be searched."""
_NOT_SOURCE = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".venv", "byohpo-jobs")


def _path(given: Any) -> str:
    return text("a training script's path", str(given) if isinstance(given, os.PathLike) else given)


def _seconds(given: Any) -> float:
    return float(number("stop_grace_seconds", given, at_least=0))


@attrs.frozen
class TrainingScript(Estimator):
    """A training script, run as in SageMaker's script mode; the options have the names of the SDK's Estimator.

    *entry_point* is relative to *source_dir* or, without one, to the working folder. The source is copied once per
    study, so that later edits do not change a study that is resumed. *environment* is added to this process's own
    variables. *python* is the interpreter, by default the one that runs this process. A job that is stopped gets
    SIGTERM and, *stop_grace_seconds* later, SIGKILL.
    """

    entry_point: str = attrs.field(converter=_path)
    source_dir: str | None = attrs.field(default=None, converter=attrs.converters.optional(_path), kw_only=True)
    hyperparameters: Mapping[str, Any] = attrs.field(default=None, converter=frozen_mapping, kw_only=True)
    environment: Mapping[str, str] = attrs.field(default=None, converter=frozen_mapping, kw_only=True)
    python: str = attrs.field(default=sys.executable, converter=_path, kw_only=True)
    stop_grace_seconds: float = attrs.field(default=30.0, kw_only=True, converter=_seconds)
    kind: ClassVar[str] = "local"

    @property
    def script(self) -> Path:
        """The absolute path of the script."""
        return _normal(Path(self.source_dir or "", self.entry_point))

    @property
    def name(self) -> str:
        return "-".join(re.findall(r"[a-zA-Z0-9]+", Path(self.entry_point).stem))[:40].strip("-") or "script"

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Find `metric=0.5` and `metric: 0.5` in the log."""
        return [(metric, default_regex(metric)) for metric in objectives]

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["TrainingScript", JobSettings]:
        if not self.script.is_file():
            raise InvalidInput(f"the training script {self.script} does not exist")
        if self.source_dir is not None and _normal(self.source_dir) not in self.script.parents:
            raise InvalidInput(f"the training script {self.script} is not in source_dir {self.source_dir}")
        if not all(isinstance(value, str) for value in self.environment.values()):
            raise InvalidInput(
                f"environment of the training script must have only strings as values: {dict(self.environment)}"
            )
        for name in {*problem.space.parameters, *self.hyperparameters}:
            if re.search(r"[=\s\0]", name):
                raise InvalidInput(
                    f"the hyperparameter {name!r} cannot be passed to a script as `--name value`: rename it without = "
                    "and spaces"
                )
        compile_metrics(settings.metric_definitions)
        places = channels(inputs)
        for channel, place in places.items():
            if place.startswith("s3://"):
                raise InvalidInput(f"channel {channel!r}: {place} is on S3; a local run needs a local folder")
            if not _local(place).exists():
                raise InvalidInput(f"channel {channel!r}: {_local(place)} does not exist")
        python = shutil.which(self.python, path=self.environment.get("PATH"))
        if python is None:
            raise InvalidInput(f"python of the training script is {self.python!r}, which cannot be run")
        # A job runs in its own folder, where a relative path would point elsewhere.
        return attrs.evolve(self, python=str(Path(python).absolute())), attrs.evolve(settings, inputs=places)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "entry_point": self.entry_point if self.source_dir else str(self.script),
            "source_dir": str(Path(self.source_dir).absolute()) if self.source_dir else None,
            "environment": dict(self.environment),
            "python": self.python,
            "stop_grace_seconds": self.stop_grace_seconds,
        }

    @classmethod
    def runs(cls, description: Mapping[str, Any], settings: JobSettings, given: Any = None) -> Mapping[str, str]:
        """With the user's own script, the copy of its source that an earlier driver made is run all the same."""
        return {"the copy of the script in": str(settings.folder), **super().runs(description, settings, given)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Path) -> "TrainingScript":
        """Keys: the constructor's arguments; *source_dir* or, without it, *entry_point* is relative to the file."""
        arguments = checked_arguments(cls, table)
        place = "source_dir" if "source_dir" in arguments else "entry_point"
        arguments[place] = str(beside / text(place, arguments[place]))
        return cls(**arguments)

    def connect(self, study: Study, settings: JobSettings) -> "LocalBackend":
        return LocalBackend(self, study, settings)


def _normal(path: str | Path) -> Path:
    """An absolute path without `..`; symbolic links are kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve would follow links


def _local(place: str) -> Path:
    return Path(place.removeprefix("file://")).absolute()


class LocalBackend(Backend):
    """Run one study's jobs; orders, claims, logs and exit statuses are files in the study's folder."""

    def __init__(self, estimator: TrainingScript, study: Study, settings: JobSettings) -> None:
        self.clock = SteadyClock(study.now)
        self._estimator = estimator
        self._study_id = study.id
        self._slots_wanted = study.problem.max_parallel_jobs
        self._folder = settings.folder.absolute() / study.id
        self._metrics = compile_metrics(settings.metric_definitions)
        self._channels = {channel: str(_local(place)) for channel, place in settings.inputs.items()}
        self._cpus = max(1, (os.cpu_count() or 1) // self._slots_wanted)
        self._watches: dict[str, Watch] = {}
        """The jobs that run."""
        self._told_metrics: set[str] = set()
        self._is_behind = False
        """Whether the last look left lines of logs unread."""
        self._not_started: dict[str, str] = {}
        self._stopping: set[str] = set()
        self._room = Quota(self.now, "this machine's room for processes and open files")
        self._snapshot()

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

    def _snapshot(self) -> None:
        """Copy the source once per study, atomically."""
        if self._code.exists():
            return
        temporary = self._folder / f"code.{os.getpid()}"
        try:
            create_folder(self._folder)
            shutil.rmtree(temporary, ignore_errors=True)
            if self._estimator.source_dir is not None:
                shutil.copytree(self._estimator.source_dir, temporary, symlinks=True, ignore=self._not_source)
            else:
                create_folder(temporary)
                shutil.copy(self._estimator.script, temporary)
            make_private(temporary)
            temporary.rename(self._code)
        except (OSError, shutil.Error) as error:
            raise ByohpoError(f"cannot copy the training script's source to {self._code}: {error}") from error

    def _not_source(self, folder: str, names: list[str]) -> set[str]:
        return _NOT_SOURCE(folder, names) | journal_files(self._study_id, names)

    @property
    def _code(self) -> Path:
        return self._folder / "code"

    def _job(self, trial: Trial) -> Job:
        return Job(self._folder, str(trial.job_name))

    def _watch(self, trial: Trial) -> Watch:
        return self._watches.setdefault(
            str(trial.job_name), Watch(self._job(trial).folder, self._metrics, self._told_metrics)
        )

    def _write_order(self, trial: Trial) -> None:
        estimator = self._estimator
        script = estimator.script
        job = self._job(trial)
        order = {
            "job_name": job.name,
            "folder": str(job.folder),
            "code": str(self._code),
            "script": str(script.relative_to(_normal(estimator.source_dir))) if estimator.source_dir else script.name,
            "python": estimator.python,
            "hyperparameters": dict(trial.hyperparameters),
            "channels": self._channels,
            "environment": dict(estimator.environment),
            "cpus": self._cpus,
            "stop_grace_seconds": estimator.stop_grace_seconds,
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
        return subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-P", "-m", SUPERVISOR, str(self._job(trial).order)],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

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
        return (None if job.is_gone else self._not_started.get(job.name)) or job.missing()

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
            if over and job.status() is not None:
                yield watch.ended(trial)
            elif over:
                yield attrs.evolve(watch.died(trial), reason=self._why_it_died(job))
        except OSError as error:
            if over and error.errno not in NO_ROOM:
                yield Ended(job.name, Outcome.Interrupted, reason=f"its files cannot be read: {error}")
