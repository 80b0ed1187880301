"""Checks of the hook `stop`: when the algorithm ends a study."""

from byohpo_core.testing.algorithm import CUBE, Subject, sometimes_failing
from byohpo_core.testing.check import check
from byohpo_core.testing.rehearsal import rehearse


@check("stopping")
def does_not_stop_before_it_begins(subject: Subject) -> None:
    """`stop` answers None before the first trial."""
    with rehearse(subject) as rehearsal:
        assert rehearsal.stop() is None, "the algorithm stops a study that has no trials; answer None"


@check("stopping")
def stops_with_a_reason_or_not_at_all(subject: Subject) -> None:
    """`stop` answers None or a text throughout a study."""
    with rehearse(subject, subject.problem(CUBE, jobs=40 * 4)) as rehearsal:
        for _ in range(40):
            rehearsal.stop()  # raises AssertionError for anything else
            rehearsal.tell(rehearsal.ask(4))


@check("stopping")
def does_not_stop_while_the_first_trials_run(subject: Subject) -> None:
    """`stop` answers None while the first trials run."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        rehearsal.ask(4)
        assert rehearsal.stop() is None, "the algorithm stops a study whose first trials are running; answer None"


@check("stopping")
def does_not_give_up_early(subject: Subject) -> None:
    """`stop` answers None until a quarter of the budget is spent."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        for _ in range(10):
            reason = rehearsal.stop()
            assert reason is None or len(rehearsal.study.trials) >= 10, (
                f"the algorithm stops the study before a quarter of the budget is spent: {reason}; answer None"
            )
            rehearsal.tell(rehearsal.ask(1))


@check("stopping")
def being_asked_to_stop_changes_nothing(subject: Subject) -> None:
    """Calling `stop` does not change the proposals."""
    made = []
    for calls in (0, 3):
        with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
            while len(rehearsal.study.trials) < 28 and (running := rehearsal.ask(4)):
                for _ in range(calls):
                    rehearsal.stop()
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "calling stop changes the proposals; do not draw or count in stop"


@check("stopping")
def stops_without_failing_after_failures(subject: Subject) -> None:
    """`stop` works while trials fail."""
    with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
        while len(rehearsal.study.trials) < 28 and (running := rehearsal.ask(4)):
            rehearsal.tell(running, sometimes_failing)
            rehearsal.stop()
