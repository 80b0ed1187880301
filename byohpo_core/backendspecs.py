"""Where jobs run: the protocol between the tuner and a backend.

What a user tunes (a Python function, a training script, ...) is an `Estimator`: a frozen description that is kept in
the study's manifest. Connected to a study it becomes a `Backend`, which lives as long as the driver. Installed
estimators are found by their entry point in the group `byohpo.backends`.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.journal.log import EventLog
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

NOTHING: Mapping[str, Any] = MappingProxyType({})
_logger = logging.getLogger("byohpo")


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
    outcome: Outcome
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


class Estimator(Protocol):
    """What is tuned: a frozen, JSON-able description. Inherit from it for the defaults of some methods."""

    kind: ClassVar[str]
    """The name of its entry point in the group `byohpo.backends`."""

    @property
    def name(self) -> str:
        """A short name, from which a study's name is made if the user gives none."""

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Fixed hyperparameters, handed to every job."""

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """The Python functions that a driver in another process must import."""
        return ()

    reports: ClassVar[bool] = True
    """Whether jobs that run tell how they do, as early stopping needs it."""

    def fixed(self, tuned: Collection[str]) -> Mapping[str, Any]:
        """The fixed hyperparameters beside the *tuned* ones; one that is in both is refused."""
        return self.hyperparameters

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Pairs (metric, regex) for the objectives that the user gave none for; empty where none are needed."""

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple[Self, JobSettings]:
        """This estimator and the settings as jobs will have them; *inputs* is what the user gave to `fit`.

        Raises `InvalidInput` if jobs could not be started like this.
        """

    def reservation(self) -> float | None:
        """The most that one job can cost, for `max_cost`; None where that is not known."""
        return None

    def describe(self) -> dict[str, Any]:
        """The JSON form of a prepared estimator, kept in the manifest."""

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        """The inverse of `describe`, with what only this process may have taken from the estimator *given*.

        Raises `InvalidInput` if this process cannot rebuild it.
        """

    def mirrored(self, log: EventLog) -> EventLog:
        """Where a driver of this study writes: its log, or one around it that keeps a copy elsewhere."""
        return log

    def attached_to(self, trial: Trial) -> Any:
        """The user's object as it is after training this *trial*; raises `InvalidInput` where there is none."""
        raise InvalidInput(
            f"a {type(self).__name__} cannot be attached to a job: the model of trial {trial.number} is "
            f"{trial.model_artifacts or 'not kept'}"
        )

    def connect(self, study: Study, settings: JobSettings) -> "Backend":
        """A backend for this study, new or resumed (`study.now` is its last journaled time)."""


class Backend(Protocol):
    """Runs the jobs of one study. Only this side waits, and only this side has a clock."""

    poll_seconds: float
    """How long one poll waits for news, on the backend's clock."""
    jobs_survive: bool
    """Whether jobs go on when their driver is gone."""
    slots: float
    """How many jobs can run at once now; infinite where only the study limits it."""

    def launch(self, trials: Sequence[Trial]) -> None:
        """Start a job named `trial.job_name` for each trial; must not start one that was started before."""

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Take over jobs that an earlier driver meant to start: start the missing, find the running, tell the lost."""

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        """What is new about these running trials, in order of arrival; waits at most `wait_seconds` for something."""

    def stop(self, trials: Sequence[Trial]) -> None:
        """Ask these jobs to stop; each still ends with an `Ended`. It may be asked before `adopt`, which heeds it."""

    def withdraw(self) -> None:
        """No more jobs are wanted: those that were to be launched and could not be yet are told as lost."""

    def now(self) -> float:
        """Seconds on the backend's clock: Unix time, or a virtual clock."""

    def close(self) -> None:
        """The driver is leaving; jobs that can live without it go on."""
