"""The backend API of byohpo: to run jobs in a new place, implement an `Estimator` and a `Backend`.

The user gives an `Estimator` to `Tuner`. It is a frozen description of what is tuned, and the study's manifest stores
it as JSON. Its `connect` makes a `Backend` for one study, which starts, watches and stops jobs and lives as long as the
driver. byohpo finds an estimator's class by its entry point in the group `byohpo.backends`; its `kind` is the name of
that entry point. A complete backend:

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

- `trial.job_name` identifies a job and is never used again. Each name is launched at most once, even if the driver
  crashes at any moment: `launch` and `adopt` must recognise a job that already exists.
- The driver journals the jobs that it intends to start before it calls `launch`. After a crash, `adopt` therefore
  receives every job that may exist. It finds those that run, starts those that were never started, and reports losses.
- Each job that is passed to `launch` or `adopt` ends with exactly one `Ended`.
- Only the backend waits, and only the backend has a clock. All times are seconds on that clock.

`byohpo_core.testing.BackendConformance` checks all of this. docs/bring-your-own/4-a-backend.md shows how to write a
backend step by step.
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from byohpo_core.clock import SteadyClock
from byohpo_core.container import channels
from byohpo_core.errors import InvalidInput
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.secrets import Secrets
from byohpo_core.study.events import Event
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import checked_arguments as checked_arguments  # noqa: PLC0414 - for authors of backends
from byohpo_core.validate import text

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Outcome(StrEnum):
    """How a job ended, as reported by its backend."""

    Completed = "Completed"
    Failed = "Failed"
    """The training code failed, so the trial has failed."""
    Stopped = "Stopped"
    """The job was stopped on request."""
    Interrupted = "Interrupted"
    """The infrastructure failed (capacity, spot, a reboot). The trial is tried again, up to `max_attempts`."""
    Lost = "Lost"
    """The job died with its driver. The trial is tried again, and this counts towards no limit."""


@attrs.frozen
class Reported:
    """Values that a running job has reported so far.

    `points` maps a metric's name to (index of the first value, values). A backend may repeat points, for example after
    a restart: the core keeps one value per index.
    """

    job_name: str
    points: Mapping[str, tuple[int, Sequence[float]]]


def _outcome(value: Any) -> Outcome:
    return value if type(value) is Outcome else Outcome(value)


@attrs.frozen
class Ended:
    """The end of a job. `metrics` are its final values; times are seconds on the backend's clock."""

    job_name: str
    outcome: Outcome = attrs.field(converter=_outcome)
    metrics: Mapping[str, float] = NOTHING
    reason: str | None = None
    """Why the job failed or stopped, and where its log is."""
    started: float | None = None
    ended: float | None = None
    details: Mapping[str, Any] = NOTHING
    """JSON-able extras: `log`, `billable_seconds`, `cost`, `model_artifacts`."""


Update = Reported | Ended


@attrs.frozen
class JobSettings:
    """Settings that apply to every job of a study, on any backend."""

    folder: Path
    """Where a backend may keep files. Each study has its own folder, `folder / study.id`."""
    metric_definitions: tuple[tuple[str, str], ...] = ()
    """Pairs (metric name, regular expression with one group)."""
    inputs: Mapping[str, str] = NOTHING
    """Channel name -> local path or S3 URI."""
    tags: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    """Whether new files and folders are for the user's group too: 0660 and 0770 instead of 0600 and 0700."""
    curves: bool = False
    """Whether anything in the study needs the values that running jobs report, such as early stopping."""

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "metric_definitions": [list(pair) for pair in self.metric_definitions],
            "inputs": dict(self.inputs),
            "tags": [list(pair) for pair in self.tags],
            "shared": self.shared,
            "curves": self.curves,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "JobSettings":
        return cls(
            Path(body["folder"]),
            tuple((text("metric", name), text("regex", regex)) for name, regex in body["metric_definitions"]),
            channels(body["inputs"]),
            tuple((text("tag", key), text("tag", value)) for key, value in body["tags"]),
            body.get("shared", False),
            body.get("curves", False),
        )


Follow = Callable[[EventLog], Sequence[Event]]
"""Reads what a copy of the study has after the events of a log."""


class Estimator(ABC):
    """A frozen, JSON-able description of what is tuned. You must implement only `describe` and `connect`."""

    kind: ClassVar[str]
    """The name of the class's entry point in the group `byohpo.backends`."""
    reports: ClassVar[bool] = True
    """Whether jobs report values while they run, which early stopping needs."""
    keeps_secrets: ClassVar[bool] = False
    """Whether the backend calls `reveal` for each job and keeps the values nowhere. If not, no secret is accepted."""

    @property
    def name(self) -> str:
        """A short name of letters, digits and hyphens, used for a study if the user gives no name."""
        return self.kind

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        """Fixed hyperparameters, passed to every job."""
        return NOTHING

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        """The Python functions that a driver in another process must be able to import."""
        return ()

    def fixed(self, tuned: Collection[str]) -> Mapping[str, Any]:
        """The fixed hyperparameters to use beside the *tuned* ones. A name that is in both is an error."""
        return self.hyperparameters

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Pairs (metric, regex) for objectives that the user has not defined; empty if none are needed."""
        return ()

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["Estimator", JobSettings]:
        """Return this estimator and the settings as jobs will use them; *inputs* is what the user gave to `fit`.

        Make all checks here: raise `InvalidInput` if jobs could not be started with these values.
        """
        return self, attrs.evolve(settings, inputs=channels(inputs))

    def hide(self, secrets: Secrets) -> "Estimator":
        """Return this estimator with marks, `{"secret": NAME}`, in the place of secret values.

        The core calls it after `prepare` and `restore`. Override it if jobs have environment variables: put
        `secrets.hide_environment(variables)` in their place.
        """
        return self

    def reservation(self) -> float | None:
        """The most that one job can cost, for `max_cost`; None if that is unknown."""
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The JSON form of a prepared estimator, stored in the manifest: its `kind` and what `restore` needs.

        If a Python function is tuned, `function` is its `module:qualname` and `folder` is where its module is.
        """

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> "Estimator":
        """Rebuild an estimator from the result of `describe`.

        *given* is the user's estimator, or None: take from it what only this process can have, such as a function.
        Raises `InvalidInput` if this process cannot rebuild the estimator.
        """
        if given is not None:
            rebuilt: Estimator = given
            return rebuilt
        return cls(**{name: value for name, value in description.items() if name != "kind"})

    @classmethod
    def to_stop(cls, description: Mapping[str, Any], given: Any = None) -> "Estimator":
        """Rebuild an estimator whose jobs will only be stopped: import and run nothing that *description* names."""
        return cls.restore(description, given)

    @classmethod
    def runs(cls, description: Mapping[str, Any], settings: JobSettings, given: Any = None) -> Mapping[str, str]:
        """What would be imported or run because the description says so: what it is, and its name.

        The user of a study from elsewhere is shown this and has to agree. By default it is the whole description, and
        nothing if the user's *given* estimator takes its place.
        """
        if given is not None:
            return {}
        return {name: str(value) for name, value in description.items() if name != "kind" and value is not None}

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Path) -> "Estimator":
        """Build an estimator from a table of a TOML file; paths in it are relative to the folder *beside*.

        By default the keys are the constructor's arguments. Raises `InvalidInput` for an unknown or a missing key.
        """
        return cls(**checked_arguments(cls, table))

    @classmethod
    def table_keys(cls) -> Mapping[str, inspect.Parameter]:
        """The keys that `from_table` accepts, for `byohpo info`; by default the constructor's arguments."""
        return inspect.signature(cls).parameters

    @classmethod
    def in_code(cls, function: str) -> str:
        """The Python code that makes this estimator from a function of that name, shown in resume hints."""
        return f"{cls.__name__}({function})"

    @classmethod
    def fetch(cls, journal: Journal, name: str, *, given: Any = None, mirror: str | None = None) -> EventLog | None:
        """Copy a study that this journal lacks into it, from where this kind keeps copies; None if there is no copy.

        *given* is the user's estimator, if there is one. *mirror* is the place to look at, if the user names one.
        """
        return None

    @classmethod
    def follow(cls, description: Mapping[str, Any], *, given: Any = None, mirror: str | None = None) -> "Follow | None":
        """Return a function that reads what a study's copy elsewhere has after a log's events, to show it.

        Return None if this kind keeps no copies. The function looks only where *given* or *mirror*, which are as in
        `fetch`, say that the copy is. It writes nothing, and raises a `ByohpoError` at once if it cannot read.
        """
        return None

    def mirrored(self, log: EventLog) -> EventLog:
        """The log that the driver writes to: the study's own, or a wrapper that also keeps a copy elsewhere."""
        return log

    def attached_to(self, trial: Trial) -> Any:
        """The user's object, attached to the finished job of this *trial*; raises `InvalidInput` if there is none."""
        raise InvalidInput(
            f"a {type(self).__name__} cannot be attached to a job: the model of trial {trial.number} is "
            f"{trial.model_artifacts or 'not kept'}"
        )

    @abstractmethod
    def connect(self, study: Study, settings: JobSettings) -> "Backend":
        """Make a backend for this study, which is new or resumed; `study.now` is its last journaled time."""


class Backend(ABC):
    """Runs the jobs of one study."""

    poll_seconds: float = 1.0
    """How long one poll waits for updates, in seconds on the backend's clock."""
    jobs_survive: bool = True
    """Whether jobs keep running after their driver has ended."""
    slots: float = math.inf
    """How many jobs can run at once now; infinite if only the study sets a limit."""
    check_driven: Callable[[], None] = staticmethod(lambda: None)
    """Raises `StudyBusy` if another driver has taken over the study. The driver sets it, and calls it before and after
    `launch` and `adopt`. Call it right before a job that starts after a wait: the driver may have slept meanwhile."""
    reveal: Callable[[Any], Any] = staticmethod(lambda settings: settings)
    """Returns a copy of settings, such as hyperparameters, with values in the place of the marks of secrets. The core
    sets it after `connect`. Call it right where a job is handed over, and write or show nothing of its answer."""

    @abstractmethod
    def launch(self, trials: Sequence[Trial]) -> None:
        """Start a job named `trial.job_name` for each trial. Never start a job that was started before."""

    @abstractmethod
    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Take over an earlier driver's jobs: find those that run, start those that are missing, report the lost."""

    @abstractmethod
    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        """Return updates on these running trials, in order of arrival; wait at most `wait_seconds` for the first."""

    @abstractmethod
    def stop(self, trials: Sequence[Trial]) -> None:
        """Ask these jobs to stop; each still ends with an `Ended`.

        The driver may call this before `adopt`, which must then not start these jobs.
        """

    def stop_strays(self, trials: Sequence[Trial]) -> None:  # noqa: B027 - most backends have none
        """Stop the jobs of this study that are not those of these running *trials*, as far as they can be found.

        The driver calls this when it has taken over a study and when the study has ended: an earlier driver, paused
        between its commit and the start of a job, may have started that job too late.
        """

    def withdraw(self) -> None:  # noqa: B027 - most backends start what is launched at once
        """Start no more jobs: report launched jobs that could not be started yet as lost."""

    @cached_property
    def clock(self) -> SteadyClock:
        """The clock behind `now`. It starts when it is first used; set `SteadyClock(study.now)` to start it earlier."""
        return SteadyClock()

    def now(self) -> float:
        """Seconds on the backend's clock: Unix time that never goes back, or a virtual clock."""
        return self.clock.now()

    def close(self) -> None:  # noqa: B027 - most backends hold nothing
        """Release what the backend holds: the driver is leaving. Jobs that can run without it keep running."""
