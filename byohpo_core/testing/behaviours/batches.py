"""Checks of the number of proposals: never too many, and enough to spend the budget."""

import random

from byohpo_core.space.parameters import CategoricalParameter, IntegerParameter, Parameter
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject, sphere
from byohpo_core.testing.check import MAY_END_EARLY, ONE_POINT_AT_A_TIME, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_GO_ON = "propose until the budget is spent, or declare Traits(finite=True)"


def _whole(subject: Subject, slots: int, *, order: str = "first", together: int = 1, asked: int = 64) -> None:
    """Assert that a study with so many slots spends its budget."""
    jobs = max(60, 2 * slots)
    with rehearse(subject, subject.problem(CUBE, jobs=jobs, slots=slots)) as rehearsal:
        made = rehearsal.run(order=order, together=together, asked=asked)
    applicable(made == jobs or not subject.traits.finite, MAY_END_EARLY)
    assert made == jobs, (
        f"with max_parallel_jobs={slots} the algorithm stopped proposing after {made} of {jobs} jobs; {_GO_ON}"
    )


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
        assert rehearsal.run() == 1, f"the algorithm proposed nothing in a study of one job; {_GO_ON}"


@check("batches")
def uses_a_budget_smaller_than_a_generation(subject: Subject) -> None:
    """In a study of three jobs on two slots, the algorithm proposes three trials."""
    with rehearse(subject, subject.problem(CUBE, jobs=3, slots=2)) as rehearsal:
        assert rehearsal.run() == 3, f"the algorithm did not propose three trials; {_GO_ON}"


@check("batches")
def uses_a_large_budget(subject: Subject) -> None:
    """In a study of 500 jobs, the algorithm proposes 500 trials."""
    jobs = 500
    with rehearse(subject, subject.problem(MIXED, jobs=jobs, slots=10)) as rehearsal:
        made = rehearsal.run(together=10)
    applicable(made == jobs or not subject.traits.finite, MAY_END_EARLY)
    assert made == jobs, f"the algorithm stopped proposing after {made} of {jobs} jobs; {_GO_ON}"


@check("batches")
def never_proposes_more_than_asked_for(subject: Subject) -> None:
    """Asked for 1 to 64 proposals, the algorithm never returns more."""
    generator = random.Random(3)  # noqa: S311 - not for cryptography
    with rehearse(subject, subject.problem(CUBE, jobs=20 * 64, slots=64)) as rehearsal:
        for _ in range(20):
            trials = rehearsal.ask(generator.randint(1, 64))  # raises AssertionError if there are more
            rehearsal.tell(trials)


@check("batches")
def fills_the_slots_at_the_start(subject: Subject) -> None:
    """At the start, the algorithm proposes as many trials as there are slots."""
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)
    for slots in (2, 8, 64):
        with rehearse(subject, subject.problem(CUBE, jobs=4 * slots, slots=slots)) as rehearsal:
            made = len(rehearsal.ask(slots))
        applicable(made == slots or not subject.traits.finite, MAY_END_EARLY)
        assert made == slots, (
            f"the algorithm filled {made} of {slots} free slots; propose as many trials as it is asked for"
        )


@check("batches")
def proposes_something_at_the_start(subject: Subject) -> None:
    """The first answer contains a proposal: an empty one would end the study."""
    for slots in (1, 5):
        with rehearse(subject, subject.problem(CUBE, slots=slots)) as rehearsal:
            assert rehearsal.ask(1), "the first answer is empty; propose at least one trial before there are results"


@check("batches")
def goes_on_after_it_has_waited(subject: Subject) -> None:
    """After an empty answer, the algorithm proposes again once it has all results."""
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        for _ in range(4):
            running = []
            for _ in range(64):
                fresh = rehearsal.ask(1)
                running += fresh
                if not fresh:
                    break
            if not running:
                applicable(not subject.traits.finite, MAY_END_EARLY)
                raise AssertionError(
                    "the algorithm proposes nothing although it has all results; propose again after observe"
                )
            rehearsal.tell(running)


@check("batches")
def waits_patiently(subject: Subject) -> None:
    """While the algorithm waits for results, repeated questions do not change its later proposals."""
    made = []
    for asks in (1, 4):
        with rehearse(subject, subject.problem(CUBE, jobs=30, slots=5)) as rehearsal:
            running = []
            while len(rehearsal.study.trials) < 30:
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
            made.append(rehearsal.configurations[:30])
    if all(len(it) == 30 for it in made):
        applicable(not _never_waits(subject), "the algorithm never waits")
    assert made[0] == made[1], (
        "repeated questions while the algorithm waits change its proposals; "
        "do not draw or count when the answer is empty"
    )


def _never_waits(subject: Subject) -> bool:
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        return all(rehearsal.ask(1) for _ in range(100))


@check("batches")
def minds_the_pending(subject: Subject) -> None:
    """While one slow trial keeps a slot, the algorithm uses the other slots and spends the whole budget."""
    jobs = 40
    with rehearse(subject, subject.problem(CUBE, jobs=jobs, slots=4)) as rehearsal:
        rest = rehearsal.ask(4)
        assert rest, "the algorithm proposes nothing; propose at least one trial before there are results"
        made = len(rest)
        slow: Trial | None = rest.pop(0)
        for _ in range(6 * jobs):
            if rest:
                rehearsal.tell([rest.pop(0)])
            fresh = rehearsal.ask(1) if made < jobs else []
            made += len(fresh)
            rest += fresh
            if not rest and slow is not None:  # the algorithm waits for the slow trial
                rehearsal.tell([slow])
                slow = None
    applicable(made == jobs or not subject.traits.finite, MAY_END_EARLY)
    assert made == jobs, f"with one slow trial the algorithm stopped proposing after {made} of {jobs} jobs; {_GO_ON}"


@check("batches")
def uses_a_small_space_up(subject: Subject) -> None:
    """In a space of six points, the algorithm proposes at least two; then it may repeat points or end."""
    space: dict[str, Parameter] = {"n": IntegerParameter(1, 3), "c": CategoricalParameter(["a", "b"])}
    made = proposals(subject, subject.problem(space, jobs=60), sphere)
    assert len({tuple(it.values()) for it in made}) >= 2, (
        "the algorithm proposed only one of six points; use the whole space"
    )
