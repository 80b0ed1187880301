"""What may be observed and asked now: as results arrive, or in the strict order of their trials."""

from collections.abc import Sequence
from operator import attrgetter

from byohpo_core.driving.policy import Policy
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

LOOK_AHEAD = 2
"""In strict order: how many times as many trials as slots may be unobserved."""
_number = attrgetter("number")


def observable(study: Study, policy: Policy) -> Sequence[Trial]:
    """The finished trials that it is time to observe; in strict order one, and only after all before it."""
    trials = study.unobserved
    if policy.order == "arrival" or not trials:
        return trials
    if prior := [trial for trial in trials if trial.prior]:
        return prior
    first = min(trials, key=_number)
    unfinished = (*study.running, *study.waiting)
    return [first] if all(trial.number > first.number for trial in unfinished) else []


def may_ask(study: Study, policy: Policy) -> bool:
    """Whether a plugin is to propose now: in strict order after each result, else when it knows all results."""
    return policy.order == "strict" or not study.unobserved


def wanted_in_order(study: Study) -> int:
    """How many more proposals are wanted where that may depend only on what was observed, not on what has finished.

    Some proposals are made ahead, so that slots are not idle while the next result in order is awaited. Each takes a
    job of the budget until it is observed to have shared another's.
    """
    unobserved = (*study.running, *study.waiting, *study.unobserved)
    jobs = study.jobs - sum(trial.attempt > 0 or trial.job_name is not None for trial in unobserved)
    ahead = LOOK_AHEAD * study.problem.max_parallel_jobs
    return min(ahead, study.problem.max_jobs - jobs) - len(unobserved)
