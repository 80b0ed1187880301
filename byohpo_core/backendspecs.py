"""The backend API of byohpo: what runs the jobs of a study implements an `Estimator` and a `Backend`.

An `Estimator` is what a user gives to `Tuner`: a frozen description of what is tuned, kept as JSON in the study's
manifest. Connected to a study it becomes a `Backend`, which starts, watches and stops jobs and lives as long as the
driver. An estimator's class is found by its entry point in the group `byohpo.backends`, under the name that is its
`kind`. A backend, whole:

    @attrs.frozen
    class Cluster(Estimator):
        kind = "cluster"
        script: str

        def describe(self):
            return {"kind": self.kind, "script": self.script}

        def connect(self, study, settings):
            return ClusterBackend(self, study, settings)


    class ClusterBackend(Backend):
        def launch(self, trials): ...
        def adopt(self, trials): ...
        def poll(self, trials, wait_seconds): ...
        def stop(self, trials): ...

What the core relies on:

- A job is known by `trial.job_name`, which is unique for ever. A name is launched at most once, whatever crashes when:
  `launch` and `adopt` must recognise a job that exists.
- The driver journals what it intends before it calls `launch`, so after a crash `adopt` is given every job that may
  exist: it finds those that run, starts those that were never started, and reports those that are lost.
- Each job that was given to `launch` or `adopt` ends with exactly one `Ended`.
- Only the backend waits and only the backend has a clock. All times are seconds on that clock.

`byohpo_core.testing.BackendConformance` checks all this; docs/bring-your-own/4-a-backend.md writes a backend step by
step.
"""

import inspect
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from byohpo_core.container import channels
from byohpo_core.errors import InvalidInput
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import nearest

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Outcome(StrEnum):
    """How a job ended, as its backend saw it."""

    Completed = "Completed"
    Failed = "Failed"
    """The training code failed: the trial is a failed trial."""
    Stopped = "Stopped"
    """Somebody asked for the stop."""
    Interrupted = "Interrupted"
    """The infrastructure failed (capacity, spot, a reboot): tried again, up to `max_attempts`."""
    Lost = "Lost"
    """The job died with its driver: tried again, counted towards no limit."""


@attrs.frozen
class Reported:
    """Values that a running job has published so far.

    `points` maps a metric's name to (index of the first value, values). A backend may repeat points, for example after
    a restart; the core keeps each index once.
    """

    job_name: str
    points: Mapping[str, tuple[int, Sequence[float]]]


@attrs.frozen
class Ended:
    """A job is over. `metrics` are its final values; times are seconds on the backend's clock."""

    job_name: str
    outcome: Outcome = attrs.field(converter=Outcome)
    metrics: Mapping[str, float] = NOTHING
    reason: str | None = None
    """Why it failed or stopped, and where its log is."""
    started: float | None = None
    ended: float | None = None
    details: Mapping[str, Any] = NOTHING
    """JSON-able extras: `log`, `billable_seconds`, `cost`, `model_artifacts`."""


Update = Reported | Ended


@attrs.frozen
class JobSettings:
    """What holds for every job of a study, whatever the backend."""

    folder: Path
    """Where a backend may keep files: one folder per study, `folder / study.id`."""
    metric_definitions: tuple[tuple[str, str], ...] = ()
    """Pairs (metric name, regular expression with one group)."""
    inputs: Mapping[str, str] = NOTHING
    """Channel name -> local path or S3 URI."""
    tags: tuple[tuple[str, str], ...] = ()
    curves: bool = False
    """Whether somebody asks for what running jobs report, such as a rule of early stopping."""

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "metric_definitions": [list(pair) for pair in self.metric_definitions],
            "inputs": dict(self.inputs),
            "tags": [list(pair) for pair in self.tags],
            "curves": self.curves,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "JobSettings":
        return cls(
            Path(body["folder"]),
            tuple((name, regex) for name, regex in body["metric_definitions"]),
            body["inputs"],
            tuple((key, value) for key, value in body["tags"]),
            body.get("curves", False),
        )


class Estimator(ABC):
    """What is tuned: a frozen, JSON-able description. Only `describe` and `connect` have no default."""

    kind: ClassVar[str]
    """The name of its entry point in the group `byohpo.backends`."""
    reports: ClassVar[bool] = True
    """Whether jobs report values while they run, as early stopping needs it."""

    @property
    def name(self) -> str:
        """A short name of letters, digits and hyphens, for studies that the user gives none."""
        return self.kind

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Fixed hyperparameters, handed to every job."""
        return NOTHING

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """The Python functions that a driver in another process must import."""
        return ()

    def fixed(self, tuned: Collection[str]) -> Mapping[str, Any]:
        """The fixed hyperparameters beside the *tuned* ones; one that is in both is refused."""
        return self.hyperparameters

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Pairs (metric, regex) for the objectives that the user gave none for; empty where none are needed."""
        return ()

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["Estimator", JobSettings]:
        """This estimator and the settings as jobs will have them; *inputs* is what the user gave to `fit`.

        The place for all checks: raise `InvalidInput` if jobs could not be started like this.
        """
        return self, attrs.evolve(settings, inputs=channels(inputs))

    def reservation(self) -> float | None:
        """The most that one job can cost, for `max_cost`; None where that is not known."""
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The JSON form of a prepared estimator, kept in the manifest: its `kind` and what `restore` needs.

        Where a Python function is tuned, `function` is its `module:qualname` and `folder` where its module is.
        """

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> "Estimator":
        """The inverse of `describe`, with what only this process may have taken from the estimator *given*.

        Raises `InvalidInput` if this process cannot rebuild it.
        """
        if given is not None:
            rebuilt: Estimator = given
            return rebuilt
        return cls(**{name: value for name, value in description.items() if name != "kind"})

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Path) -> "Estimator":
        """The estimator that a table of a TOML file describes; relative paths lie in the folder *beside*.

        By default the keys are the constructor's arguments. Raises `InvalidInput` for an unknown or a missing one.
        """
        return cls(**checked_arguments(cls, table))

    @classmethod
    def in_code(cls, function: str) -> str:
        """How a user writes this estimator around a function of that name, to go on with a study in their program."""
        return f"{cls.__name__}({function})"

    @classmethod
    def fetch(cls, journal: Journal, name: str, *, given: Any = None, mirror: str | None = None) -> EventLog | None:
        """Bring a study that this journal lacks from where this kind keeps copies; None if it is not there either.

        *given* is the user's estimator, if there is one; *mirror* is the place to look at, if the user names one.
        """
        return None

    def mirrored(self, log: EventLog) -> EventLog:
        """Where a driver of this study writes: its log, or one around it that keeps a copy elsewhere."""
        return log

    def attached_to(self, trial: Trial) -> Any:
        """The user's object as it is after training this *trial*; raises `InvalidInput` where there is none."""
        raise InvalidInput(
            f"a {type(self).__name__} cannot be attached to a job: the model of trial {trial.number} is "
            f"{trial.model_artifacts or 'not kept'}"
        )

    @abstractmethod
    def connect(self, study: Study, settings: JobSettings) -> "Backend":
        """A backend for this study, new or resumed (`study.now` is its last journaled time)."""


class Backend(ABC):
    """Runs the jobs of one study."""

    poll_seconds: float = 1.0
    """How long one poll waits for news, on the backend's clock."""
    jobs_survive: bool = True
    """Whether jobs go on when their driver is gone."""
    slots: float = math.inf
    """How many jobs can run at once now; infinite where only the study limits it."""

    @abstractmethod
    def launch(self, trials: Sequence[Trial]) -> None:
        """Start a job named `trial.job_name` for each trial; must not start one that was started before."""

    @abstractmethod
    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Take over jobs that an earlier driver meant to start: start the missing, find the running, tell the lost."""

    @abstractmethod
    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        """What is new about these running trials, in order of arrival; waits at most `wait_seconds` for something."""

    @abstractmethod
    def stop(self, trials: Sequence[Trial]) -> None:
        """Ask these jobs to stop; each still ends with an `Ended`. It may be asked before `adopt`, which heeds it."""

    def withdraw(self) -> None:  # noqa: B027 - most backends start what is launched at once
        """No more jobs are wanted: tell those that were launched and could not be started yet as lost."""

    def now(self) -> float:
        """Seconds on the backend's clock: Unix time, or a virtual clock."""
        return time.time()

    def close(self) -> None:  # noqa: B027 - most backends hold nothing
        """The driver is leaving; jobs that can live without it go on."""


def checked_arguments(made: Callable[..., Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """A table whose keys are arguments of a callable; raises `InvalidInput` for an unknown or a missing one."""
    known = inspect.signature(made).parameters
    for key in table:
        if key not in known:
            raise InvalidInput(f"unknown key {key}{nearest(key, known, 'known')}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in table:
            raise InvalidInput(f"{name} is missing")
    return dict(table)
