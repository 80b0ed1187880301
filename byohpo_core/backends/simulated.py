"""Simulate jobs on a virtual clock, with any failure: years of training take seconds."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar, Self

import attrs

from byohpo_core.backendspecs import NOTHING, Backend, Ended, Estimator, JobSettings, Outcome, Reported, Update
from byohpo_core.errors import InvalidInput
from byohpo_core.importable import folder_of, kept_name, not_imported, restore_function, study_name
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import frozen_mapping


@attrs.frozen
class Simulation:
    """What one simulated job does."""

    metrics: Mapping[str, float] | Sequence[Mapping[str, float]] = attrs.field()
    """Final metrics, or a curve: a list of metrics at equal time steps, whose last entry holds the final metrics."""
    seconds: float = attrs.field()
    failure: str | None = None
    """If set, the training code fails with this reason at the end."""
    interruptions: int = 0
    """How many attempts the infrastructure interrupts, each at half of its time, before one runs to its end."""

    @seconds.validator
    def _check_seconds(self, _: object, seconds: float) -> None:
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds of a Simulation must be a finite number from 0, not {seconds}")

    @metrics.validator
    def _check_metrics(self, _: object, metrics: Any) -> None:
        curve = [metrics] if isinstance(metrics, Mapping) else metrics
        if isinstance(curve, str) or not all(isinstance(point, Mapping) for point in curve):
            raise TypeError(f"metrics of a Simulation must be a mapping or a list of mappings, not {metrics!r}")

    @property
    def curve(self) -> Sequence[Mapping[str, float]]:
        return [self.metrics] if isinstance(self.metrics, Mapping) else self.metrics


@attrs.frozen
class Simulated(Estimator):
    """A simulated training job: *function* maps hyperparameters to a `Simulation`."""

    function: Callable[[Mapping[str, Any]], Simulation]
    hyperparameters: Mapping[str, Any] = attrs.field(default=NOTHING, converter=frozen_mapping)
    kind: ClassVar[str] = "simulated"
    keeps_secrets: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInput(f"{self.function!r} is not a function")

    @property
    def name(self) -> str:
        return study_name(self.function)

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        return (self.function,)

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "function": kept_name(self.function), "folder": folder_of(self.function)}

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        return given or cls(restore_function(description["function"], description.get("folder")))

    @classmethod
    def to_stop(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        return given or cls(not_imported)

    def connect(self, study: Study, settings: JobSettings) -> "SimulatedBackend":
        return SimulatedBackend(self.function, study.now)


class SimulatedBackend(Backend):
    """A virtual clock and a heap of future updates."""

    def __init__(self, function: Callable[[Mapping[str, Any]], Simulation], now: float) -> None:
        self.poll_seconds = 60.0
        self._function = function
        self._now = now
        self._happenings: list[tuple[float, int, Update]] = []
        self._order = count()
        self._jobs: set[str] = set()
        """All that were started."""
        self._stopped: set[str] = set()
        self._ended: set[str] = set()
        self._untold: list[Update] = []
        """News of jobs that no poll has asked about yet."""

    def now(self) -> float:
        return self._now

    def launch(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if trial.job_name not in self._jobs:
                self._schedule(trial)

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Schedule the jobs again, from the start times in the journal: they kept running without a driver."""
        self.launch(trials)
        return ()

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        """Move the clock to the next update, by at most *wait_seconds*."""
        deadline = self._now + wait_seconds
        asked = {trial.job_name for trial in trials}
        updates = [update for update in self._untold if update.job_name in asked]
        self._untold = [update for update in self._untold if update.job_name not in asked]
        happenings = self._happenings
        while happenings and happenings[0][0] <= (self._now if updates else deadline):
            time, _, update = heapq.heappop(happenings)
            outcome = update.outcome if isinstance(update, Ended) else None
            if update.job_name in self._stopped and outcome is not Outcome.Stopped:
                continue
            self._now = max(self._now, time)
            if outcome is not None:
                self._ended.add(update.job_name)
            (updates if update.job_name in asked else self._untold).append(update)
        if not updates:
            self._now = deadline
        return updates

    def stop(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if trial.job_name is not None and trial.job_name not in self._stopped | self._ended:
                self._stopped.add(trial.job_name)
                self._push(self._now, Ended(trial.job_name, Outcome.Stopped, started=trial.started, ended=self._now))

    def _schedule(self, trial: Trial) -> None:
        job_name = trial.job_name or ""
        self._jobs.add(job_name)
        started = self._now if trial.started is None else trial.started
        try:
            simulation = self._function(self.reveal(dict(trial.hyperparameters)))
        except Exception as error:  # noqa: BLE001 - an exception fails the trial, as in a training script
            told = f"{type(error).__name__}: {error}"
            self._push(started, Ended(job_name, Outcome.Failed, reason=told, started=started, ended=started))
            return
        if not isinstance(simulation, Simulation):
            raise InvalidInput(f"the simulated function must return a Simulation, but it returned {simulation!r}")
        ended = started + simulation.seconds
        curve = simulation.curve
        outcome, metrics = Outcome.Completed, NOTHING
        reason = simulation.failure
        if trial.attempt < simulation.interruptions:
            ended = started + simulation.seconds / 2
            outcome, reason = Outcome.Interrupted, "simulated interruption"
            curve = curve[: len(curve) // 2]
        elif simulation.failure is not None:
            outcome = Outcome.Failed
        elif curve:
            metrics = curve[-1]
        if not isinstance(simulation.metrics, Mapping):
            for index, point in enumerate(curve):
                time = started + simulation.seconds * (index + 1) / len(simulation.curve)
                points = {metric: (index, (value,)) for metric, value in point.items()}
                self._push(time, Reported(job_name, points))
        self._push(ended, Ended(job_name, outcome, metrics, reason, started, ended))

    def _push(self, time: float, update: Update) -> None:
        heapq.heappush(self._happenings, (time, next(self._order), update))
