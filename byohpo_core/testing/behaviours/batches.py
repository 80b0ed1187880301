"""How many are proposed, when, and for how long."""

import random

from byohpo_core.space import CategoricalParameter, IntegerParameter, Parameter
from byohpo_core.study import Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject, sphere
from byohpo_core.testing.check import applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse


def _whole(subject: Subject, slots: int, *, order: str = "first", together: int = 1, asked: int = 64) -> None:
    """A study with so many slots uses its whole budget."""
    jobs = max(60, 2 * slots)
    with rehearse(subject, subject.problem(CUBE, jobs=jobs, slots=slots)) as rehearsal:
        made = rehearsal.run(order=order, together=together, asked=asked)
    applicable(made == jobs or not subject.traits.finite, "it may end early")
    assert made == jobs, f"with {slots} slots it stopped proposing after {made} of {jobs} jobs"


@check("batches")
def uses_the_budget_with_one_slot(subject: Subject) -> None:
    """One trial at a time, to the end."""
    _whole(subject, 1)


@check("batches")
def uses_the_budget_with_three_slots(subject: Subject) -> None:
    """Three at a time, to the end."""
    _whole(subject, 3)


@check("batches")
def uses_the_budget_with_seven_slots(subject: Subject) -> None:
    """Seven at a time, to the end."""
    _whole(subject, 7)


@check("batches")
def uses_the_budget_with_sixty_four_slots(subject: Subject) -> None:
    """Sixty-four at a time, to the end."""
    _whole(subject, 64)


@check("batches")
def uses_the_budget_when_asked_for_one_at_a_time(subject: Subject) -> None:
    """With free slots, but never asked for more than one."""
    _whole(subject, 5, asked=1)


@check("batches")
def uses_the_budget_when_results_come_last_first(subject: Subject) -> None:
    """The trial that began last ends first."""
    _whole(subject, 5, order="last")


@check("batches")
def uses_the_budget_when_results_come_in_any_order(subject: Subject) -> None:
    """Any of the running trials ends next."""
    _whole(subject, 5, order="random")


@check("batches")
def uses_the_budget_when_results_come_together(subject: Subject) -> None:
    """All running trials end at once."""
    _whole(subject, 6, together=6)


@check("batches")
def uses_a_budget_of_one_job(subject: Subject) -> None:
    """A study of a single trial."""
    with rehearse(subject, subject.problem(CUBE, jobs=1, slots=1)) as rehearsal:
        assert rehearsal.run() == 1, "it proposed nothing in a study of one job"


@check("batches")
def uses_a_budget_smaller_than_a_generation(subject: Subject) -> None:
    """A study of three jobs on two slots."""
    with rehearse(subject, subject.problem(CUBE, jobs=3, slots=2)) as rehearsal:
        assert rehearsal.run() == 3, "it did not propose three trials"


@check("batches")
def uses_a_large_budget(subject: Subject) -> None:
    """Five hundred trials: nothing runs dry."""
    jobs = 500
    with rehearse(subject, subject.problem(MIXED, jobs=jobs, slots=10)) as rehearsal:
        made = rehearsal.run(together=10)
    applicable(made == jobs or not subject.traits.finite, "it may end early")
    assert made == jobs, f"it stopped proposing after {made} of {jobs} jobs"


@check("batches")
def never_proposes_more_than_asked_for(subject: Subject) -> None:
    """Whatever the number, from 1 to 64."""
    generator = random.Random(3)  # noqa: S311 - how many are asked for is no secret
    with rehearse(subject, subject.problem(CUBE, jobs=20 * 64, slots=64)) as rehearsal:
        for _ in range(20):
            trials = rehearsal.ask(generator.randint(1, 64))  # the rehearsal refuses more than that
            rehearsal.tell(trials)


@check("batches")
def fills_the_slots_at_the_start(subject: Subject) -> None:
    """Asked for as many as there are slots, it proposes as many."""
    applicable(not subject.traits.sequential, "it works on one point at a time")
    for slots in (2, 8, 64):
        with rehearse(subject, subject.problem(CUBE, jobs=4 * slots, slots=slots)) as rehearsal:
            made = len(rehearsal.ask(slots))
        applicable(made == slots or not subject.traits.finite, "it may end early")
        assert made == slots, f"it proposed {made} where {slots} slots were free"


@check("batches")
def proposes_something_at_the_start(subject: Subject) -> None:
    """An empty first answer would end the study."""
    for slots in (1, 5):
        with rehearse(subject, subject.problem(CUBE, slots=slots)) as rehearsal:
            assert rehearsal.ask(1), "its first answer is empty"


@check("batches")
def goes_on_after_it_has_waited(subject: Subject) -> None:
    """Asked until it waits, then told all results, it proposes again."""
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        for _ in range(4):
            running = []
            for _ in range(64):
                fresh = rehearsal.ask(1)
                running += fresh
                if not fresh:
                    break
            if not running:
                applicable(not subject.traits.finite, "it may end early")
                raise AssertionError("it proposes nothing more although all results are in")
            rehearsal.tell(running)


@check("batches")
def waits_patiently(subject: Subject) -> None:
    """Asked again and again while it waits, it goes on just as if it had been asked once."""
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
        applicable(not _never_waits(subject), "it never waits")
    assert made[0] == made[1], "how often it is asked while it waits changes what it proposes"


def _never_waits(subject: Subject) -> bool:
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=8)) as rehearsal:
        return all(rehearsal.ask(1) for _ in range(100))


@check("batches")
def minds_the_pending(subject: Subject) -> None:
    """With all but one slot taken by a slow trial it still uses the whole budget."""
    jobs = 40
    with rehearse(subject, subject.problem(CUBE, jobs=jobs, slots=4)) as rehearsal:
        rest = rehearsal.ask(4)
        assert rest, "it proposes nothing"
        made = len(rest)
        slow: Trial | None = rest.pop(0)
        for _ in range(6 * jobs):
            if rest:
                rehearsal.tell([rest.pop(0)])
            fresh = rehearsal.ask(1) if made < jobs else []
            made += len(fresh)
            rest += fresh
            if not rest and slow is not None:  # everything waits for it
                rehearsal.tell([slow])
                slow = None
    applicable(made == jobs or not subject.traits.finite, "it may end early")
    assert made == jobs, f"with one slow trial it stopped proposing after {made} of {jobs} jobs"


@check("batches")
def uses_a_small_space_up(subject: Subject) -> None:
    """In a space of six points it neither fails nor hangs; it may repeat itself or end."""
    space: dict[str, Parameter] = {"n": IntegerParameter(1, 3), "c": CategoricalParameter(["a", "b"])}
    made = proposals(subject, subject.problem(space, jobs=60), sphere)
    assert len({tuple(it.values()) for it in made}) >= 2, "it proposed only one of six points"
