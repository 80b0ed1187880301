"""Checks of the number of proposals: never too many, and enough to spend the budget."""

import random
from typing import Any

from byohpo_core.space.parameters import CategoricalParameter, IntegerParameter, Parameter
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, Subject, constant
from byohpo_core.testing.check import (
    GO_ON,
    MAY_END_EARLY,
    NOT_SEEDED,
    ONE_POINT_AT_A_TIME,
    advise,
    applicable,
    check,
    expect,
)
from byohpo_core.testing.habits import advise_a_design, advise_unseeded
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse


def spends(subject: Subject, made: int, jobs: int, did: str, mend: str = GO_ON) -> None:
    """Expect that the algorithm has proposed a trial for each of these jobs, unless it may end early."""
    applicable(made >= jobs or not subject.traits.finite, MAY_END_EARLY)
    if made < jobs:
        advise_a_design(subject)
    expect(made >= jobs, did=did, seen=f"it stopped proposing after {made}", expected=f"{jobs} trials", mend=mend)


def _whole(subject: Subject, slots: int, *, order: str = "first", together: int = 1, asked: int = 64) -> None:
    """Expect that a study with so many slots spends its budget."""
    with rehearse(subject, subject.problem(CUBE, jobs=max(60, 2 * slots), slots=slots)) as rehearsal:
        made = rehearsal.run(order=order, together=together, asked=asked)
    spends(subject, made, rehearsal.problem.max_jobs, f"ran a study with max_parallel_jobs={slots}")


@check("batches")
def uses_the_budget_with_one_slot(subject: Subject) -> None:
    """With one slot, the algorithm proposes until the budget is spent."""
    _whole(subject, 1)


@check("batches")
def uses_the_budget_with_three_slots(subject: Subject) -> None:
    """With three slots, the algorithm proposes until the budget is spent."""
    _whole(subject, 3)


@check("batches")
def uses_the_budget_with_seven_slots(subject: Subject) -> None:
    """With seven slots, the algorithm proposes until the budget is spent."""
    _whole(subject, 7)


@check("batches")
def uses_the_budget_with_sixty_four_slots(subject: Subject) -> None:
    """With 64 slots, the algorithm proposes until the budget is spent."""
    _whole(subject, 64)


@check("batches")
def uses_the_budget_when_asked_for_one_at_a_time(subject: Subject) -> None:
    """With five slots, but asked for one proposal at a time, the algorithm spends the whole budget."""
    _whole(subject, 5, asked=1)


@check("batches")
def uses_the_budget_when_results_come_last_first(subject: Subject) -> None:
    """If the newest running trial always ends first, the algorithm spends the whole budget."""
    _whole(subject, 5, order="last")


@check("batches")
def uses_the_budget_when_results_come_in_any_order(subject: Subject) -> None:
    """If running trials end in random order, the algorithm spends the whole budget."""
    _whole(subject, 5, order="random")


@check("batches")
def uses_the_budget_when_results_come_together(subject: Subject) -> None:
    """If all running trials end at the same time, the algorithm spends the whole budget."""
    _whole(subject, 6, together=6)


@check("batches")
def uses_a_budget_of_one_job(subject: Subject) -> None:
    """In a study of one job, the algorithm proposes one trial."""
    with rehearse(subject, subject.problem(CUBE, jobs=1, slots=1)) as rehearsal:
        made = rehearsal.run()
    expect(made == 1, did="ran a study of one job", seen="no proposal", expected="one", mend=GO_ON)


@check("batches")
def uses_a_budget_smaller_than_a_generation(subject: Subject) -> None:
    """In a study of three jobs on two slots, the algorithm proposes three trials."""
    with rehearse(subject, subject.problem(CUBE, jobs=3, slots=2)) as rehearsal:
        made = rehearsal.run()
    expect(made == 3, did="ran a study of three jobs", seen=f"{made} proposals", expected="three", mend=GO_ON)


@check("batches")
def uses_a_large_budget(subject: Subject) -> None:
    """In a study of 1,200 jobs, the algorithm proposes 1,200 trials."""
    with rehearse(subject, subject.problem(subject.mixed, jobs=1200, slots=10)) as rehearsal:
        made = rehearsal.run(together=10)
    jobs = rehearsal.problem.max_jobs
    spends(subject, made, jobs, f"ran a study of {jobs} jobs on 10 slots")


@check("batches")
def never_proposes_more_than_asked_for(subject: Subject) -> None:
    """Asked for 1 to 64 proposals, the algorithm never returns more."""
    generator = random.Random(3)  # noqa: S311 - not for cryptography
    with rehearse(subject, subject.problem(CUBE, jobs=20 * 64, slots=64)) as rehearsal:
        for _ in range(subject.few(20)):
            left = rehearsal.problem.max_jobs - len(rehearsal.study.trials)
            if left:
                rehearsal.tell(rehearsal.ask(min(left, generator.randint(1, 64))))  # too many are a finding


@check("batches")
def fills_the_slots_at_the_start(subject: Subject) -> None:
    """Asked until it answers nothing, the algorithm fills all slots at the start, or one population of them."""
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)
    for slots in (2, 8, 64):
        with rehearse(subject, subject.problem(CUBE, jobs=4 * slots, slots=slots)) as rehearsal:
            made, wanted = _fill(rehearsal), rehearsal.problem.max_parallel_jobs
            size = max([1, *rehearsal.plugins.populations])
        applicable(made == wanted or not subject.traits.finite, MAY_END_EARLY)
        advise(
            made >= min(wanted, size if rehearsal.plugins.populations else wanted),
            f"at the start the algorithm fills {made} of {wanted} free slots; propose as many as it is asked for, "
            "give the size of its generations in an attribute `population`, or declare Traits(sequential=True)",
        )


def _fill(rehearsal: Rehearsal) -> int:
    """Ask, as a driver does, until all slots are full or the answer is empty; return the number of proposals."""
    while (wanted := rehearsal.problem.max_parallel_jobs - len(rehearsal.study.trials)) and rehearsal.ask(wanted):
        pass
    return len(rehearsal.study.trials)


@check("batches")
def proposes_something_at_the_start(subject: Subject) -> None:
    """The first answer contains a proposal: an empty one would end the study."""
    for slots in (1, 5):
        with rehearse(subject, subject.problem(CUBE, slots=slots)) as rehearsal:
            made = rehearsal.ask(slots)
        expect(
            made,
            did=f"asked for {slots} proposals at the start",
            seen="an empty answer",
            expected="at least one proposal",
            mend="propose before there are results",
        )


@check("batches")
def goes_on_after_it_has_waited(subject: Subject) -> None:
    """After an empty answer, the algorithm proposes again once it has all results."""
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        for _ in range(4):
            running: list[Trial] = []
            while len(running) < subject.few(64) and (fresh := rehearsal.ask(1)):
                running += fresh
            if not running:
                applicable(not subject.traits.finite, MAY_END_EARLY)
                advise_a_design(subject)
            expect(
                running,
                did="asked again after all results were observed",
                seen="an empty answer",
                expected="a proposal",
                mend="propose again after observe, also after failed, pruned and reused trials",
            )
            rehearsal.tell(running)


@check("batches")
def waits_patiently(subject: Subject) -> None:
    """While the algorithm waits for results, repeated questions do not change its later proposals."""
    made = []
    jobs = subject.few(30)
    for asks in (1, 4):
        with rehearse(subject, subject.problem(CUBE, jobs=30, slots=5)) as rehearsal:
            running = []
            while len(rehearsal.study.trials) < jobs:
                fresh = rehearsal.ask(5)
                if fresh:
                    running += fresh
                    continue
                if not running:
                    break
                for _ in range(asks - 1):
                    rehearsal.ask(5)
                rehearsal.tell(running)
                running = []
            made.append(rehearsal.configurations[:jobs])
    if all(len(it) == jobs for it in made):
        applicable(not _never_waits(subject), "the algorithm never waits")
    expect(
        made[0] == made[1],
        did="asked four times instead of once while it waited",
        seen="other proposals later",
        expected="the same proposals",
        mend="do not draw or count when the answer is empty",
    )


def _never_waits(subject: Subject) -> bool:
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        return all(rehearsal.ask(1) for _ in range(subject.few(100)))


@check("batches")
def minds_the_pending(subject: Subject) -> None:
    """While one slow trial keeps a slot, the algorithm uses the other slots and spends the whole budget."""
    with rehearse(subject, subject.problem(CUBE, jobs=40, slots=4)) as rehearsal:
        jobs = rehearsal.problem.max_jobs
        running = rehearsal.ask(rehearsal.problem.max_parallel_jobs)
        slow, rest = running[:1], running[1:]
        while rest or slow:
            if rest:
                rehearsal.tell([rest.pop(0)])
            if left := jobs - len(rehearsal.study.trials):
                rest += rehearsal.ask(min(left, rehearsal.problem.max_parallel_jobs - len(rest) - len(slow)))
            if not rest and slow:  # the algorithm waits for the slow trial, or has spent the budget
                rehearsal.tell(slow)
                slow = []
                rest = rehearsal.ask(min(left, 3)) if (left := jobs - len(rehearsal.study.trials)) else []
    spends(subject, len(rehearsal.study.trials), jobs, "kept one slot busy with a slow trial")


@check("batches")
def uses_a_small_space_up(subject: Subject) -> None:
    """Where all of six points are equally good, studies with different seeds reach all of them."""
    space: dict[str, Parameter] = {"n": IntegerParameter(1, 3), "c": CategoricalParameter(["a", "b"])}
    seen: set[tuple[Any, ...]] = set()
    for seed in range(12):
        made = proposals(subject, subject.problem(space, jobs=24, seed=seed), constant)
        seen |= {tuple(it.values()) for it in made}
    did = "ran 12 studies in a space of six points"
    mend = "make every value possible, and go on after a repeated proposal"
    expect(len(seen) >= 2, did=did, seen="one point", expected="all six", mend=mend)
    applicable(subject.traits.seeded or len(seen) == 6, NOT_SEEDED)
    if len(seen) < 6:
        advise_unseeded(subject)
    expect(len(seen) == 6, did=did, seen=f"{len(seen)} points", expected="all six", mend=mend)
