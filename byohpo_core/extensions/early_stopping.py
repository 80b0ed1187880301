"""Stop running trials early: plugins with a `prune` hook."""

from statistics import fmean, median

import attrs

from byohpo_core.hookspecs import hookimpl
from byohpo_core.plugins.options import option
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial, TrialStatus


@attrs.define(eq=False)
class Median:
    """Stop a trial whose value is worse than the median of completed trials' running averages at the same step.

    This is the rule of SageMaker's early stopping type "Auto" ("How early stopping works", Amazon SageMaker AI guide)
    and of Golovin et al. 2017, "Google Vizier", section 3.2.1. If a trial continues another, its steps count on from
    there.
    """

    problem: Problem
    min_trials: int = option(3, help="completed trials needed before a trial is stopped", minimum=1)
    min_steps: int = option(1, help="steps before a trial may be stopped", minimum=1)
    _curves: dict[int, list[float]] = attrs.field(init=False, factory=dict)

    @hookimpl
    def prune(self, study: Study, trial: Trial) -> str | None:
        objective = self.problem.objectives[0]
        report = study.reports(trial).get(objective.metric)
        if report is None or report.count < self.min_steps:
            return None
        known, before = self._completed(study), study.continued(trial)
        step = report.count
        if before is not None:  # what is completed was read once
            step += len(self._curves.get(before.number) or study.history(before.number))
        averages = [fmean(losses[:step]) for losses in known if len(losses) >= step]
        if len(averages) < self.min_trials or objective.loss(report.last) <= median(averages):
            return None
        return f"{objective.metric} {report.last:g} at step {step} is worse than the median of {len(averages)} trials"

    def _completed(self, study: Study) -> list[list[float]]:
        """The losses of each completed trial, but of those that a completed one continues: they are in its history."""
        objective = self.problem.objectives[0]
        for trial in study.trials:
            if trial.status is TrialStatus.Completed and trial.number not in self._curves:
                self._curves[trial.number] = [objective.loss(value) for value in study.history(trial.number)]
        continued = {before.number for number in self._curves if (before := study.continued(study.trials[number]))}
        return [losses for number, losses in self._curves.items() if number not in continued]
