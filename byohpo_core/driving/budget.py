"""How many more jobs a study may start: the slots, `max_jobs`, `max_cost` and the limit of repeats."""

from collections.abc import Iterable

from byohpo_core.driving.backoff import due, startable
from byohpo_core.driving.order import wanted_in_order
from byohpo_core.driving.policy import Policy
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

REPEATS_BESIDE_JOBS = 10
"""While jobs run, ask for no more proposals after this many repeats in a row; wait for a result instead."""


def allowed_repeats(populations: Iterable[int]) -> int:
    """The number of repeats in a row after which the study ends: ten times the largest population, at least 100."""
    return max([100, *(10 * size for size in populations)])


def wanted(study: Study, policy: Policy, slots: float, repeats: int) -> int:
    """The number of proposals to ask for now: one for each free slot, within the budget of jobs.

    *slots* is the backend's number of slots, *repeats* the number of repeats in a row that are allowed.
    """
    if policy.order == "strict":
        return wanted_in_order(study)
    if only_repeats(study, repeats):
        return 0
    waiting = need_slots(study, policy)
    # A trial that backs off gives its slot to another one, but not in an outage.
    taken = due(study, waiting) if study.outage.since is None else waiting
    budget = study.problem.max_jobs - study.jobs - sum(trial.attempt == 0 for trial in study.waiting)
    return min(startable(study, free_slots(study, policy, slots)) - len(taken), budget)


def free_slots(study: Study, policy: Policy, slots: float) -> int:
    """The number of jobs that can start now: each needs a slot, and money for the most that it can cost."""
    most = min(study.problem.max_parallel_jobs, slots)
    if policy.max_cost is not None:
        most = min(most, (policy.max_cost - study.cost) // policy.reservation)
    return int(most) - len(study.running)


def need_slots(study: Study, policy: Policy) -> list[Trial]:
    """The waiting trials that need a job of their own."""
    return [trial for trial in study.waiting if not waits_for_duplicate(study, policy, trial)]


def used_up(study: Study, policy: Policy, slots: float, repeats: int) -> str | None:
    """The reason to end the study if the money is spent or the plugins only repeat themselves, else None."""
    if out_of_money(study, policy, slots):
        return (
            f"budget: {study.cost:.2f} of {policy.max_cost:.2f} is spent, and one more job may cost "
            f"{policy.reservation:.2f}"
        )
    if only_repeats(study, repeats) and not news_to_come(study):
        return f"nothing new proposed: the last {study.reused_in_a_row} proposals repeat known trials"
    return None


def out_of_money(study: Study, policy: Policy, slots: float) -> bool:
    """True if jobs remain to be started, none runs, and the money left does not cover one more."""
    if policy.max_cost is None or study.running:
        return False
    return free_slots(study, policy, slots) < 1 and (study.jobs < study.problem.max_jobs or bool(study.waiting))


def waits_for_duplicate(study: Study, policy: Policy, trial: Trial) -> bool:
    """True if this waiting trial will share the result of an unfinished one, and so needs no slot."""
    earlier = study.duplicate_of(trial) if policy.duplicates == "reuse" else None
    return earlier is not None and not earlier.finished


def only_repeats(study: Study, repeats: int) -> bool:
    """True after too many proposals in a row that repeat known configurations."""
    return study.reused_in_a_row >= (REPEATS_BESIDE_JOBS if news_to_come(study) else repeats)


def news_to_come(study: Study) -> bool:
    """True while jobs run or wait, since their results may change what plugins propose."""
    return bool(study.running or study.waiting)
