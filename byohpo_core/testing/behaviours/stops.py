"""When it ends a study, and why."""

from byohpo_core.testing.algorithm import CUBE, Subject, sometimes_failing
from byohpo_core.testing.check import check
from byohpo_core.testing.rehearsal import rehearse


@check("stopping")
def does_not_stop_before_it_begins(subject: Subject) -> None:
    """With no trials at all there is no reason to stop."""
    with rehearse(subject) as rehearsal:
        assert rehearsal.stop() is None, "it stops a study that has not begun"


@check("stopping")
def stops_with_a_reason_or_not_at_all(subject: Subject) -> None:
    """`stop` answers None or a text throughout a study, and nothing else."""
    with rehearse(subject, subject.problem(CUBE, jobs=40 * 4)) as rehearsal:
        for _ in range(40):
            rehearsal.stop()  # the rehearsal refuses anything else
            rehearsal.tell(rehearsal.ask(4))


@check("stopping")
def does_not_stop_while_the_first_trials_run(subject: Subject) -> None:
    """Nothing is known yet."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        rehearsal.ask(4)
        assert rehearsal.stop() is None, "it stops a study whose first trials still run"


@check("stopping")
def does_not_give_up_early(subject: Subject) -> None:
    """A quarter of the budget is used before it gives a reason to stop."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        for _ in range(10):
            reason = rehearsal.stop()
            assert reason is None or len(rehearsal.study.trials) >= 10, f"it gives up early: {reason}"
            rehearsal.tell(rehearsal.ask(1))


@check("stopping")
def being_asked_to_stop_changes_nothing(subject: Subject) -> None:
    """However often `stop` is called, the proposals are the same."""
    made = []
    for calls in (0, 3):
        with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
            while len(rehearsal.study.trials) < 28 and (running := rehearsal.ask(4)):
                for _ in range(calls):
                    rehearsal.stop()
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "calling stop changes what it proposes"


@check("stopping")
def stops_without_failing_after_failures(subject: Subject) -> None:
    """`stop` is asked while trials fail."""
    with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
        while len(rehearsal.study.trials) < 28 and (running := rehearsal.ask(4)):
            rehearsal.tell(running, sometimes_failing)
            rehearsal.stop()
