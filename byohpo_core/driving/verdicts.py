"""How a job's end becomes its trial's: lost jobs, missing metrics, and objectives that are NaN or infinite."""

import math
from collections.abc import Mapping

from byohpo_core.backendspecs import Ended, Outcome
from byohpo_core.driving.backoff import is_excused, retry_at
from byohpo_core.driving.policy import Policy
from byohpo_core.errors import one_line
from byohpo_core.study import events
from byohpo_core.study.events import Happening
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial, TrialStatus


def verdict(study: Study, trial: Trial, ended: Ended, policy: Policy) -> Happening:
    """The event that follows a job's end: another attempt, or the end of its trial."""
    lost = ended.outcome in (Outcome.Interrupted, Outcome.Lost)
    if lost and not study.stopping(trial):
        return _lost(study, trial, ended, policy)
    if ended.outcome is Outcome.Completed:
        status, reason = _completed(study.problem, ended)
        return _finished(trial, status, ended, ended.metrics, reason)
    if ended.outcome is Outcome.Failed:
        return _finished(trial, TrialStatus.Failed, ended, ended.metrics, ended.reason or "the job failed")
    return _stopped(study, trial, ended)


def missing_metrics(problem: Problem, ended: Ended) -> list[str]:
    """The metrics of objectives and outcome constraints that a completed job did not report."""
    if ended.outcome is not Outcome.Completed:
        return []
    return [metric for metric in problem.metrics if metric not in ended.metrics]


def _lost(study: Study, trial: Trial, ended: Ended, policy: Policy) -> Happening:
    """Retry a lost attempt, unless the infrastructure has failed too many."""
    failed = ended.outcome is Outcome.Interrupted
    counted = failed and not is_excused(study, trial)
    if not counted or trial.interruptions - trial.excused + 1 < policy.max_attempts:
        reason = one_line(ended.reason or "the job was lost")
        not_before = retry_at(study, trial) if failed else None
        return events.retried(trial.number, reason, counted=counted, details=ended.details, not_before=not_before)
    attempts = f"{trial.interruptions + 1} attempts failed, the last: {ended.reason}"
    return _finished(trial, TrialStatus.Failed, ended, ended.metrics, attempts, lost=True)


def _completed(problem: Problem, ended: Ended) -> tuple[TrialStatus, str | None]:
    """A completed job gives a completed trial only if all metrics that it must report are finite numbers."""
    if missing := missing_metrics(problem, ended):
        reason = f"the job did not report {', '.join(map(repr, missing))}"
        return TrialStatus.Failed, f"{reason}; {ended.reason}" if ended.reason else reason
    not_finite = _not_finite(problem, ended.metrics)
    return (TrialStatus.Completed, None) if not_finite is None else (TrialStatus.Failed, not_finite)


def _stopped(study: Study, trial: Trial, ended: Ended) -> Happening:
    """A stopped job keeps the values that it reported last. Its trial is pruned if a plugin stopped it."""
    last = {metric: report.last for metric, report in study.reports(trial).items()}
    metrics = {**last, **ended.metrics}
    if (not_finite := _not_finite(study.problem, metrics)) is not None:
        return _finished(trial, TrialStatus.Failed, ended, metrics, not_finite)
    pruning = study.pruning(trial)
    status = TrialStatus.Stopped if pruning is None else TrialStatus.Pruned
    return _finished(trial, status, ended, metrics, pruning or ended.reason or "stopped")


def _not_finite(problem: Problem, metrics: Mapping[str, float]) -> str | None:
    """The metric that is NaN or infinite, in words; algorithms must never compute with one."""
    for metric in problem.metrics:
        value = metrics.get(metric, 0.0)
        if not math.isfinite(value):
            return f"{metric} is {value}"
    return None


def _finished(
    trial: Trial,
    status: TrialStatus,
    ended: Ended,
    metrics: Mapping[str, float],
    reason: str | None,
    *,
    lost: bool = False,
) -> Happening:
    return events.finished(
        trial.number,
        status.value,
        metrics=metrics,
        started=ended.started,
        ended=ended.ended,
        reason=None if reason is None else one_line(reason),
        details=ended.details,
        lost=lost,
    )
