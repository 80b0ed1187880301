"""What a study has found so far, as rows of numbers."""

from collections.abc import Callable
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from byohpo_core import Study, Trial, TrialStatus
from byohpo_plugin_gp.coordinates import Array, Cube, Rows

_RESULTS = frozenset({TrialStatus.Completed, TrialStatus.Failed, TrialStatus.Pruned})
OWN = 0


@attrs.frozen(eq=False)
class Results:
    """One row for each result, sorted by the trials' numbers."""

    points: Array
    losses: Array
    """One column for each objective; NaN in rows of trials that reported nothing."""
    completed: NDArray[np.bool_]
    """False for trials that failed or were pruned."""
    origins: Rows
    """The study that each row comes from; `OWN` is this one."""
    excesses: Array = attrs.field(default=attrs.Factory(lambda self: np.zeros((len(self.points), 0)), takes_self=True))
    """How far beyond each bound of an outcome constraint, one column for each; NaN if unknown."""
    costs: Array = attrs.field(default=attrs.Factory(lambda self: np.full(len(self.points), np.nan), takes_self=True))
    """What each trial cost; NaN if that is unknown, or is no matter."""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def key(self) -> bytes:
        """The results as a key of a cache."""
        parts = (self.points, self.losses, self.completed, self.origins, self.excesses, self.costs)
        return b"".join(part.tobytes() for part in parts)

    @property
    def violations(self) -> Array:
        """How far each result is beyond the outcome constraints in all; infinitely if that is unknown."""
        beyond: Array = np.where(np.isnan(self.excesses), np.inf, np.maximum(self.excesses, 0)).sum(axis=1)
        return beyond

    def at(self, rows: Rows | slice) -> "Results":
        return Results(*(part[rows] for part in attrs.astuple(self, recurse=False)))


@attrs.frozen(eq=False)
class History:
    """The results of a study, and the points that need no other trial."""

    results: Results
    pending: list[Array]
    """The points of trials that were proposed and not yet observed."""
    known: frozenset[bytes]
    """Every point that has a trial."""

    def with_pending(self, point: Array) -> Self:
        """This history after one more proposal."""
        return attrs.evolve(self, pending=[*self.pending, point], known=self.known | {point.tobytes()})

    def new(self, points: Array) -> Array:
        """Those of the points that have no trial."""
        return points[[row for row, point in enumerate(points) if point.tobytes() not in self.known]]


COSTS: dict[str | None, Callable[[Trial], float | None]] = {
    None: lambda _: None,
    "second": lambda trial: trial.seconds,
    "dollar": lambda trial: trial.cost,
}
"""What a trial cost, by the unit."""


def read(study: Study, point_of: Callable[[Trial], Array], cube: Cube, per: str | None = None) -> History:
    """Read a study. Trials that share another trial's result, or that the user stopped, teach nothing new."""
    open_numbers = {trial.number for it in (study.waiting, study.running, study.unobserved) for trial in it}
    observed = [
        trial
        for trial in study.trials
        if trial.number not in open_numbers
        and trial.status in _RESULTS
        and trial.result_of is None
        and study.problem.is_whole(trial.proposal)
    ]
    nothing, bounds = (np.nan,) * len(study.problem.objectives), len(study.problem.excesses({}))
    origins = {study.id: OWN}
    excesses = np.array([study.problem.excesses(trial.metrics) for trial in observed], dtype=float)
    excesses = excesses.reshape(len(observed), bounds)
    results = Results(
        np.array([point_of(trial) for trial in observed]).reshape(-1, cube.dimension),
        np.array([_losses(trial, nothing) for trial in observed], dtype=float).reshape(-1, len(nothing)),
        np.array([trial.status is TrialStatus.Completed for trial in observed], dtype=bool),
        np.array([origins.setdefault(_origin(trial, study), len(origins)) for trial in observed], dtype=int),
        np.where(np.isfinite(excesses), excesses, np.nan),
        np.array([_cost(trial, per) for trial in observed], dtype=float),
    )
    known = frozenset(point_of(trial).tobytes() for trial in study.trials)
    return History(results, [point_of(study.trials[number]) for number in sorted(open_numbers)], known)


def _losses(trial: Trial, nothing: tuple[float, ...]) -> tuple[float, ...]:
    return nothing if trial.losses is None or trial.status is TrialStatus.Failed else trial.losses


def _cost(trial: Trial, per: str | None) -> float:
    """NaN for a trial that did not run to its end: it would have cost more."""
    cost = COSTS[per](trial) if trial.status is TrialStatus.Completed else None
    return cost if cost is not None and 0 < cost < np.inf else np.nan


def _origin(trial: Trial, study: Study) -> str:
    """The id of the study that ran the trial: the name of a job begins with it, and ends with two numbers."""
    if not trial.prior or trial.job_name is None:
        return study.id
    return trial.job_name.rsplit("-", 2)[0]
