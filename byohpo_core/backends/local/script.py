"""Tune a SageMaker script-mode training script on this machine.

Each job has its own folder, and its process outlives the driver.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from byohpo_core.backends.local.supervisor import EXIT, STOP, is_abandoned, write_durably
from byohpo_core.backends.local.watch import Watch
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
from byohpo_core.container import channels
from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.journal.place import journal_files
from byohpo_core.metrics import compile_metrics, default_regex
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import frozen_mapping, number, text

_LOOK_SECONDS = 0.05
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
        self._estimator = estimator
        self._study_id = study.id
        self._folder = settings.folder.absolute() / study.id
        self._metrics = compile_metrics(settings.metric_definitions)
        self._channels = {channel: str(_local(place)) for channel, place in settings.inputs.items()}
        self._cpus = max(1, (os.cpu_count() or 1) // study.problem.max_parallel_jobs)
        self._watches: dict[str, Watch] = {}
        self._not_started: dict[str, str] = {}
        self._snapshot()

    def launch(self, trials: Sequence[Trial]) -> None:
        """Start a supervisor for each job; it exits if another supervisor has the job already."""
        orders = {str(trial.job_name): self._order(trial) for trial in trials}
        starting: dict[str, subprocess.Popen[bytes]] = {}
        for job_name, order in orders.items():
            try:
                starting[job_name] = self._start_supervisor(order)
            except OSError as error:
                self._not_started[job_name] = str(error)
        for job_name, supervisor in starting.items():
            _, told = supervisor.communicate()
            if supervisor.returncode != 0:
                lines = told.decode(errors="replace").strip().splitlines()
                self._not_started[job_name] = lines[-1] if lines else f"exit code {supervisor.returncode}"

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Launch every job again; a job that an earlier driver has started is not started twice."""
        self.launch(trials)
        return ()

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        deadline = time.monotonic() + wait_seconds
        while True:
            updates = self._look(trials)
            if updates or time.monotonic() >= deadline:
                return updates
            time.sleep(_LOOK_SECONDS)

    def stop(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            folder = self._job_folder(trial)
            folder.mkdir(exist_ok=True)  # no supervisor may have created it yet
            (folder / STOP).touch()

    def _snapshot(self) -> None:
        """Copy the source once per study, atomically."""
        if self._code.exists():
            return
        temporary = self._folder / f"code.{os.getpid()}"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            if self._estimator.source_dir is not None:
                shutil.copytree(self._estimator.source_dir, temporary, symlinks=True, ignore=self._not_source)
            else:
                temporary.mkdir(parents=True)
                shutil.copy(self._estimator.script, temporary)
            temporary.rename(self._code)
        except (OSError, shutil.Error) as error:
            raise ByohpoError(f"cannot copy the training script's source to {self._code}: {error}") from error

    def _not_source(self, folder: str, names: list[str]) -> set[str]:
        return _NOT_SOURCE(folder, names) | journal_files(self._study_id, names)

    @property
    def _code(self) -> Path:
        return self._folder / "code"

    def _job_folder(self, trial: Trial) -> Path:
        return self._folder / str(trial.job_name)

    def _order(self, trial: Trial) -> Path:
        """Write the order that tells a supervisor what to run, and return its path."""
        estimator = self._estimator
        script = estimator.script
        order = {
            "job_name": trial.job_name,
            "folder": str(self._job_folder(trial)),
            "code": str(self._code),
            "script": str(script.relative_to(_normal(estimator.source_dir))) if estimator.source_dir else script.name,
            "python": estimator.python,
            "hyperparameters": dict(trial.hyperparameters),
            "channels": self._channels,
            "environment": dict(estimator.environment),
            "cpus": self._cpus,
            "stop_grace_seconds": estimator.stop_grace_seconds,
        }
        file = self._folder / f"{trial.job_name}.json"
        try:
            write_durably(file, json.dumps(order))
        except OSError as error:
            raise ByohpoError(f"cannot write the job's order {file}: {error}") from error
        return file

    def _start_supervisor(self, order: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-P", "-m", "byohpo_core.backends.local.supervisor", str(order)],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _look(self, trials: Sequence[Trial]) -> list[Update]:
        """Check the folder of every running job once."""
        reported: list[Update] = []
        ended: list[Ended] = []
        for trial in trials:
            job_name = str(trial.job_name)
            if job_name in self._not_started:
                reason = f"its supervisor did not start: {self._not_started.pop(job_name)}"
                ended.append(Ended(job_name, Outcome.Interrupted, reason=reason))
                continue
            watch = self._watches.setdefault(job_name, Watch(self._job_folder(trial), self._metrics))
            over = (watch.folder / EXIT).exists()
            abandoned = not over and is_abandoned(watch.folder)
            if points := watch.read(ended=over or abandoned):
                reported.append(Reported(job_name, points))
            if over:
                ended.append(watch.ended(trial))
            elif abandoned:
                ended.append(watch.died(trial))
            if over or abandoned:
                del self._watches[job_name]
        return [*reported, *sorted(ended, key=lambda update: update.ended or 0.0)]
