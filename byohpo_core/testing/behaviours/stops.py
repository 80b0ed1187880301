"""Checks of the hooks `stop` and `prune`: when the algorithm ends a study or a trial."""

from collections.abc import Callable
from functools import partial
from typing import Any

from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, Subject, constant, sometimes_failing, sphere
from byohpo_core.testing.check import applicable, check, expect
from byohpo_core.testing.rehearsal import Rehearsal, rehearse

_CURVES: tuple[list[float], ...] = (
    [],
    [0.5],
    [0.9, 0.5, 0.2],
    [0.2, 0.5, 0.9],
    [0.4, 0.4, 0.4],
    [0.0],
    [-1e3, -2e3],
    [1e300, 1e-300],
    [7.0] * 60,
)
"""The losses that running trials have reported when `prune` is called."""
_NEVER_PRUNES = "the algorithm has no hook prune"


@check("stopping")
def does_not_stop_before_it_begins(subject: Subject) -> None:
    """`stop` answers None before the first trial."""
    with rehearse(subject) as rehearsal:
        _goes_on(rehearsal, "before the first trial")


@check("stopping")
def stops_with_a_reason_or_not_at_all(subject: Subject) -> None:
    """`stop` answers None or a text throughout a study, whatever the losses are."""
    for judge in (sphere, constant):
        with rehearse(subject, subject.problem(CUBE, jobs=80)) as rehearsal:
            _with_stops(rehearsal, judge, rehearsal.stop)  # anything else is a finding


@check("stopping")
def does_not_stop_while_the_first_trials_run(subject: Subject) -> None:
    """`stop` answers None while the first trials run."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        rehearsal.ask(rehearsal.problem.max_parallel_jobs)
        _goes_on(rehearsal, "while the first trials ran")


@check("stopping")
def does_not_give_up_early(subject: Subject) -> None:
    """`stop` answers None until a quarter of the budget is spent."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        for _ in range(rehearsal.problem.max_jobs // 4):
            _goes_on(rehearsal, f"after {len(rehearsal.study.trials)} of {rehearsal.problem.max_jobs} trials")
            rehearsal.tell(rehearsal.ask(1))


def _goes_on(rehearsal: Rehearsal, when: str) -> None:
    reason = rehearsal.stop()
    expect(reason is None, did=f"called stop {when}", seen=f"{reason!r}", expected="None")


@check("stopping")
def being_asked_to_stop_changes_nothing(subject: Subject) -> None:
    """Calling `stop` does not change the proposals."""
    made = []
    for calls in (0, 3):
        with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
            _with_stops(rehearsal, sphere, partial(_stop_often, rehearsal, calls))
            made.append(rehearsal.configurations)
    _unchanged(made, "stop")


def _stop_often(rehearsal: Rehearsal, calls: int) -> None:
    for _ in range(calls):
        rehearsal.stop()


@check("stopping")
def stops_without_failing_after_failures(subject: Subject) -> None:
    """`stop` works while trials fail."""
    with rehearse(subject, subject.problem(CUBE, jobs=30)) as rehearsal:
        _with_stops(rehearsal, sometimes_failing, rehearsal.stop)


def _with_stops(rehearsal: Rehearsal, judge: Any, between: Callable[[], object]) -> None:
    """Run a study; call *between* while trials run and after their results."""
    while (left := rehearsal.problem.max_jobs - len(rehearsal.study.trials)) and (
        running := rehearsal.ask(min(left, 4))
    ):
        between()
        rehearsal.tell(running, judge)
        between()


def _unchanged(made: list[Any], hook: str) -> None:
    expect(
        made[0] == made[1],
        did=f"called {hook} in one of two studies",
        seen="other proposals there",
        expected="the same, because a resume does not repeat these calls",
        mend=f"do not draw or count in {hook}",
    )


@check("stopping")
def prunes_with_a_reason_or_not_at_all(subject: Subject) -> None:
    """`prune` answers None or a text, whatever a running trial has reported and whatever the others gave."""
    applicable(_prunes(subject), _NEVER_PRUNES)
    for judge in (sphere, sometimes_failing, constant):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            _with_prunes(rehearsal, judge)  # anything else is a finding


@check("stopping")
def being_asked_to_prune_changes_nothing(subject: Subject) -> None:
    """Calling `prune` does not change the proposals."""
    applicable(_prunes(subject), _NEVER_PRUNES)
    made = []
    for calls in (0, 2):
        with rehearse(subject, subject.problem(CUBE, jobs=60)) as rehearsal:
            _with_prunes(rehearsal, sphere, calls)
            made.append(rehearsal.configurations)
    _unchanged(made, "prune")


@check("stopping")
def prunes_no_trial_that_leads(subject: Subject) -> None:
    """`prune` answers None for a trial whose reports are all better than any result so far."""
    applicable(_prunes(subject), _NEVER_PRUNES)
    for maximised in ((), range(9)):
        with rehearse(subject, subject.problem(CUBE, jobs=40, maximised=maximised)) as rehearsal:
            while len(rehearsal.study.trials) + 4 <= rehearsal.problem.max_jobs and (running := rehearsal.ask(4)):
                for steps in range(1, 6):
                    _spares_the_first(rehearsal, running, steps)
                rehearsal.tell(running)


def _spares_the_first(rehearsal: Rehearsal, running: list[Trial], steps: int) -> None:
    """Call `prune` for trials of which the first is better than any other, and expect that it goes on."""
    for rank, trial in enumerate(running[1:]):
        rehearsal.prune(trial, [2.0 + rank] * steps)
    reason = rehearsal.prune(running[0], [-1.0 - step for step in range(steps)])
    expect(
        reason is None,
        did="called prune for a running trial that is better than all others",
        seen=f"{reason!r}",
        expected="None",
        mend="prefer small losses: problem.objectives[0].loss(value) of each value of the curve",
    )


def _prunes(subject: Subject) -> bool:
    with rehearse(subject) as rehearsal:
        return rehearsal.plugins.prunes


def _with_prunes(rehearsal: Rehearsal, judge: Any, calls: int = 1) -> None:
    """Run a study; call `prune` for each running trial with each of the curves."""
    while (left := rehearsal.problem.max_jobs - len(rehearsal.study.trials)) and (
        running := rehearsal.ask(min(left, 4))
    ):
        for trial in running:
            for curve in _CURVES * calls:
                rehearsal.prune(trial, curve)
        rehearsal.tell(running, judge)
