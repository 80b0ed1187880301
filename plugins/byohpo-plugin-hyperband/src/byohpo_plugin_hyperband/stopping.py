"""One job for all rungs, and when to stop it: the stopping variant of ASHA in Syne Tune (Salinas et al. 2022)."""

import math

from byohpo_core import Study, Trial, hookimpl
from byohpo_plugin_hyperband.ladder import Entry, Mark
from byohpo_plugin_hyperband.rungs import Rungs


class Stopping:
    """Stops a job that is not among the best 1/eta of those that have been at its last rung.

    What jobs report is counted: the first value stands for one unit of the resource, and so on.
    """

    def __init__(self, rungs: Rungs) -> None:
        self._rungs = rungs
        self._known: dict[int, list[float]] = {}
        """The losses of a trial at the rungs that it has reached: a cache."""
        self._ended: set[int] = set()
        """The trials of which no more losses will be known."""

    @hookimpl
    def prune(self, study: Study, trial: Trial) -> str | None:
        mark = Mark.of(trial, study, self._rungs)
        rung = self._rungs.reached(_steps(study, trial)) if mark and mark.stops else None
        if mark is None or rung is None or rung < mark.rung:
            return None
        losses = {other.number: self._loss(study, other, mark.bracket, rung) for other in study.trials}
        ranked = sorted(loss for loss in losses.values() if loss is not None)
        mine, kept = losses[trial.number], -(-len(ranked) // self._rungs.eta)
        if mine is None or mine <= ranked[kept - 1]:
            return None
        return f"after {self._rungs.levels[rung]} steps it is not among the best {kept} of {len(ranked)} trials"

    def _loss(self, study: Study, trial: Trial, bracket: int, rung: int) -> float | None:
        """The loss of a trial of this bracket at a rung; None if it was not there."""
        mark = Mark.of(trial, study, self._rungs)
        if mark is None or mark.bracket != bracket or trial.result_of is not None:
            return None
        if not mark.stops:
            loss = Entry(trial, mark, ended=True).loss if mark.rung == rung else math.inf
            return None if loss == math.inf else loss
        losses = self._losses(study, trial)
        return losses[rung] if rung < len(losses) else None

    def _losses(self, study: Study, trial: Trial) -> list[float]:
        known = self._known.setdefault(trial.number, [])
        levels = self._rungs.levels[len(known) :]
        if trial.number not in self._ended and (trial.finished or (levels and _steps(study, trial) >= levels[0])):
            curve, objective = study.curve(trial.number), study.problem.objectives[0]
            losses = [objective.loss(curve[level - 1]) for level in self._rungs.levels if level <= len(curve)]
            known[:] = [math.inf if math.isnan(loss) else loss for loss in losses]
            self._ended |= {trial.number} if trial.finished else set()
        return known


def _steps(study: Study, trial: Trial) -> int:
    """How many values a running trial has reported."""
    report = study.reports(trial).get(study.problem.objectives[0].metric)
    return 0 if report is None else report.count
