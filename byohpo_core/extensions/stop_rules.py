"""Stop rules: plugins that end a study. Name them in `extensions=`."""

import attrs

from byohpo_core.hookspecs import hookimpl
from byohpo_core.plugins.options import option
from byohpo_core.study.problem import Direction, Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial, TrialStatus


@attrs.define(eq=False)
class TargetValue:
    """End when a trial's first objective reaches the target value."""

    problem: Problem
    value: float = option(help="the objective value that is good enough")

    @hookimpl
    def stop(self, study: Study) -> str | None:
        best = study.best
        if best is None or best.value is None or best.violation > 0:
            return None
        objective = self.problem.objectives[0]
        if objective.loss(best.value) > objective.loss(self.value):
            return None
        sign = ">=" if objective.direction is Direction.Maximize else "<="
        return f"target reached: trial {best.number} has {objective.metric} {best.value:g} {sign} {self.value:g}"


@attrs.define(eq=False)
class NoImprovement:
    """End when this many trials have finished without a new incumbent."""

    problem: Problem
    trials: int = option(help="finished trials without an improvement", minimum=1)

    @hookimpl
    def stop(self, study: Study) -> str | None:
        if study.finished_since_best < self.trials:
            return None
        return f"no improvement in {self.trials} finished trials"


@attrs.define(eq=False)
class WallTime:
    """End when drivers have worked for this long, and stop the jobs that still run."""

    problem: Problem
    seconds: float = option(help="how long drivers may work on the study", minimum=0)

    @hookimpl
    def stop(self, study: Study) -> str | None:
        if study.elapsed_seconds < self.seconds:
            return None
        return f"time limit of {self.seconds:g} s reached"

    @hookimpl
    def prune(self, study: Study, trial: Trial) -> str | None:
        return self.stop(study)


@attrs.define(eq=False)
class FailureLimit:
    """End when the first trials have all failed, so that a broken script does not use up the budget."""

    problem: Problem
    trials: int | None = option(None, help="first trials that must all fail; default max(3, slots)", minimum=1)

    @hookimpl
    def stop(self, study: Study) -> str | None:
        if study.best is not None and study.best.number >= study.epoch_start:
            return None
        limit = self.trials or max(3, self.problem.max_parallel_jobs)
        first = study.trials[study.epoch_start : study.epoch_start + limit]
        if len(first) < limit or any(trial.status is not TrialStatus.Failed for trial in first):
            return None
        last = max(first, key=lambda trial: trial.ended or 0.0)
        log = f" (log: {last.details['log']})" if "log" in last.details else ""
        return f"the first {limit} trials all failed, the last with: {last.reason}{log}"
