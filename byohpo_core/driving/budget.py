"""How many more jobs: what slots, `max_jobs`, `max_cost` and repeats allow."""

from collections.abc import Iterable

from byohpo_core.driving.order import wanted_in_order
from byohpo_core.driving.policy import Policy
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

REPEATS_BESIDE_JOBS = 10
"""How many repeats in a row are proposed while jobs run, before the next result is waited for."""


def allowed_repeats(populations: Iterable[int]) -> int:
    """How many proposals in a row may repeat known trials before the study ends: ten populations, at least 100."""
    return max([100, *(10 * size for size in populations)])


def wanted(study: Study, policy: Policy, slots: float, repeats: int) -> int:
    """How many more proposals there is a free slot and a job in the budget for.

    *slots* are the backend's; *repeats* is how many repeats in a row are allowed.
    """
    if policy.order == "strict":
        return wanted_in_order(study)
    if only_repeats(study, repeats):
        return 0
    free = free_slots(study, policy, slots)
    budget = study.problem.max_jobs - study.jobs
    for trial in study.waiting:
        free -= not waits_for_duplicate(study, policy, trial)
        budget -= trial.attempt == 0
    return min(free, budget)


def free_slots(study: Study, policy: Policy, slots: float) -> int:
    """How many jobs could be launched now: there is a slot, and the money for them at their dearest."""
    most = min(study.problem.max_parallel_jobs, slots)
    if policy.max_cost is not None:
        most = min(most, (policy.max_cost - study.cost) // policy.reservation)
    return int(most) - len(study.running)


def used_up(study: Study, policy: Policy, slots: float, repeats: int) -> str | None:
    """Why the study must end: there is no money for one more job, or plugins have nothing new to propose."""
    if out_of_money(study, policy, slots):
        return (
            f"budget: {study.cost:.2f} of {policy.max_cost:.2f} is spent, and one more job may cost "
            f"{policy.reservation:.2f}"
        )
    if only_repeats(study, repeats) and not news_to_come(study):
        return f"nothing new proposed: the last {study.reused_in_a_row} proposals repeat known trials"
    return None


def out_of_money(study: Study, policy: Policy, slots: float) -> bool:
    """Whether there is work but no money for it, and none will come back from jobs that run."""
    if policy.max_cost is None or study.running:
        return False
    return free_slots(study, policy, slots) < 1 and (study.jobs < study.problem.max_jobs or bool(study.waiting))


def waits_for_duplicate(study: Study, policy: Policy, trial: Trial) -> bool:
    """Whether this waiting trial needs no slot, as it will share the result of another that is on its way."""
    earlier = study.duplicate_of(trial) if policy.duplicates == "reuse" else None
    return earlier is not None and not earlier.finished


def only_repeats(study: Study, repeats: int) -> bool:
    """True after too many proposals in a row that repeat known configurations."""
    return study.reused_in_a_row >= (REPEATS_BESIDE_JOBS if news_to_come(study) else repeats)


def news_to_come(study: Study) -> bool:
    """Whether there are jobs, or will be, whose results may bring something new."""
    return bool(study.running or study.waiting)
