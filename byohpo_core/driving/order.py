"""When results are observed and proposals are asked for: on arrival, or in the strict order of the trials."""

from collections.abc import Sequence
from operator import attrgetter

from byohpo_core.driving.policy import Policy
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

LOOK_AHEAD = 2
"""Strict order: at most this many times the number of slots may be unobserved."""
_number = attrgetter("number")


def observable(study: Study, policy: Policy) -> Sequence[Trial]:
    """The finished trials to observe now. Strict order gives one, once all trials before it are observed."""
    trials = study.unobserved
    if policy.order == "arrival" or not trials:
        return trials
    if prior := [trial for trial in trials if trial.prior]:
        return prior
    first = min(trials, key=_number)
    unfinished = (*study.running, *study.waiting)
    return [first] if all(trial.number > first.number for trial in unfinished) else []


def may_ask(study: Study, policy: Policy) -> bool:
    """True if plugins may be asked now: in strict order after each result, else once they know all results."""
    return policy.order == "strict" or not study.unobserved


def wanted_in_order(study: Study) -> int:
    """The number of proposals to ask for in strict order: it depends only on what was observed, not on what finished.

    Some proposals are made ahead, so that slots stay busy while the next result in order is awaited. Each takes a job
    of the budget until it is observed to share another trial's result.
    """
    unobserved = (*study.running, *study.waiting, *study.unobserved)
    jobs = study.jobs - sum(trial.attempt > 0 or trial.job_name is not None for trial in unobserved)
    ahead = LOOK_AHEAD * study.problem.max_parallel_jobs
    return min(ahead, study.problem.max_jobs - jobs) - len(unobserved)
