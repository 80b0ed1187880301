"""Checks of results: failed, pruned, reused and prior trials, losses of any size, every direction."""

import math
import statistics
from typing import Any

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Trial, TrialStatus
from byohpo_core.testing.algorithm import (
    CUBE,
    Judge,
    Outcome,
    Subject,
    changed,
    constant,
    sometimes_failing,
    sphere,
)
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.behaviours.learning import can_learn, expect_learning
from byohpo_core.testing.check import (
    DOES_NOT_LEARN,
    NUMBERS,
    ONE_POINT_AT_A_TIME,
    SORT,
    advise,
    applicable,
    check,
    expect,
)
from byohpo_core.testing.rehearsal import proposals, rehearse

_JOBS = 60
_ANY_RESULT = "count every observed trial as ended, and keep proposing whatever the results are"


def whole_study(subject: Subject, judge: Judge, did: str, problem: Problem | None = None) -> None:
    """Expect that a study with this judge spends its budget."""
    with rehearse(subject, problem or subject.problem(CUBE, jobs=_JOBS)) as rehearsal:
        made = rehearsal.run(judge)
    spends(subject, made, rehearsal.problem.max_jobs, f"ran a study {did}", _ANY_RESULT)


@check("results")
def survives_some_failed_trials(subject: Subject) -> None:
    """If every third trial fails (`losses` is None), the algorithm spends the whole budget."""
    whole_study(subject, sometimes_failing, "in which every third trial failed")


@check("results")
def survives_a_failed_first_trial(subject: Subject) -> None:
    """If the first trial fails, the algorithm spends the whole budget."""
    whole_study(subject, _failing_before(1), "in which the first trial failed")


@check("results")
def survives_a_failed_first_generation(subject: Subject) -> None:
    """If the first twenty trials fail, the algorithm spends the whole budget."""
    whole_study(subject, _failing_before(20), "in which the first 20 trials failed")


def _failing_before(number: int) -> Judge:
    return lambda problem, trial: TrialStatus.Failed if trial.number < number else sphere(problem, trial)


@check("results")
def survives_failures_only(subject: Subject) -> None:
    """If all trials fail, the algorithm spends the whole budget."""
    whole_study(subject, lambda *_: TrialStatus.Failed, "in which all trials failed")


@check("results")
def does_not_take_a_failure_for_a_success(subject: Subject) -> None:
    """If trials fail where x0 > 0.6, less than 60% of the later proposals lie there, whatever the size of losses."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    for shift in (0.0, 5e3, -10.0):
        judge = changed(sphere, shift.__add__)
        late = [
            it["x0"] > 0.6
            for seed in range(6)
            for it in _second_half(subject, subject.problem(CUBE, seed=seed, jobs=80), _failing_where_large(judge))
        ]
        expect(
            sum(late) < 0.6 * max(1, len(late)),
            did=f"ran six studies in which half of the space fails, with losses from {shift:g}",
            seen=f"{sum(late)} of {len(late)} later proposals lie there",
            expected="fewer than 60%",
            mend="rank a trial whose losses are None behind all others",
        )


def _failing_where_large(judge: Judge) -> Judge:
    return lambda problem, it: TrialStatus.Failed if it.hyperparameters["x0"] > 0.6 else judge(problem, it)


def _second_half(subject: Subject, problem: Problem, judge: Judge) -> list[dict[str, Any]]:
    made = proposals(subject, problem, judge)
    return made[len(made) // 2 :]


@check("results")
def survives_pruned_trials(subject: Subject) -> None:
    """If every third trial is pruned and has a loss, the algorithm spends the whole budget."""

    def pruning(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = sphere(problem, trial)
        return (TrialStatus.Pruned, losses) if trial.number % 3 == 1 else losses

    whole_study(subject, pruning, "in which every third trial was pruned")


@check("results")
def survives_trials_pruned_before_any_value(subject: Subject) -> None:
    """If every third trial is pruned and has no loss, the algorithm spends the whole budget."""
    whole_study(subject, _ending(TrialStatus.Pruned, 3), "in which every third trial was pruned before its first value")


@check("results")
def survives_stopped_trials(subject: Subject) -> None:
    """If every fourth trial is stopped from outside, the algorithm spends the whole budget."""
    whole_study(subject, _ending(TrialStatus.Stopped, 4), "in which every fourth trial was stopped")


def _ending(status: TrialStatus, every: int) -> Judge:
    return lambda problem, trial: status if trial.number % every == 1 else sphere(problem, trial)


@check("results")
def survives_equal_losses(subject: Subject) -> None:
    """If all losses are equal, the algorithm spends the whole budget."""
    whole_study(subject, constant, "in which all losses are equal")


@check("results")
def survives_huge_losses(subject: Subject) -> None:
    """If losses are as large as 1e300, the algorithm spends the whole budget."""
    whole_study(subject, changed(sphere, lambda loss: (loss - 0.5) * 1e300), "with losses up to 1e300")


@check("results")
def survives_tiny_differences(subject: Subject) -> None:
    """If losses differ in their last digits only, the algorithm spends the whole budget."""
    whole_study(subject, changed(sphere, lambda loss: 1.0 + loss * 1e-14), "with losses that differ by 1e-14")


@check("results")
def survives_negative_losses(subject: Subject) -> None:
    """If all losses are negative, the algorithm spends the whole budget."""
    whole_study(subject, changed(sphere, lambda loss: loss - 1000), "with losses below zero")


@check("results")
def survives_losses_of_zero(subject: Subject) -> None:
    """If losses are zero, or of either sign, the algorithm spends the whole budget."""
    whole_study(subject, changed(sphere, lambda _: 0.0), "in which all losses are zero")
    whole_study(subject, changed(sphere, lambda loss: round(loss - 0.2, 1)), "with losses around zero")


@check("results")
def survives_a_discontinuous_objective(subject: Subject) -> None:
    """If the objective has steps and jumps, the algorithm spends the whole budget."""
    steps = changed(sphere, lambda loss: float(round(4 * loss) * (1 if loss < 0.3 else 1000)))
    whole_study(subject, steps, "with steps and jumps in the losses")


@check("results")
def does_not_mind_the_order_within_a_batch(subject: Subject) -> None:
    """The order of results within one `observe` does not change the proposals."""
    applicable(not subject.traits.ordered, "the order of results matters to the algorithm (traits.ordered is True)")
    made = []
    for turn in (list, lambda trials: trials[::-1]):
        with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
            while len(rehearsal.study.trials) < rehearsal.problem.max_jobs and (running := rehearsal.ask(5)):
                rehearsal.finish(running)
                rehearsal.observe(turn)
            made.append(rehearsal.configurations)
    advise(made[0] == made[1], f"the order of results within one observe changes the proposals; {SORT}")


@check("results")
def leaves_the_study_alone(subject: Subject) -> None:
    """The algorithm does not change the study or its trials."""
    with rehearse(subject, subject.problem(subject.mixed, jobs=30)) as rehearsal:
        study = rehearsal.study
        while (left := rehearsal.problem.max_jobs - len(study.trials)) and (running := rehearsal.ask(min(left, 4))):
            rehearsal.finish(running)
            before = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            state = (study.jobs, study.stop_reason, study.problem, study.running)
            rehearsal.observe()
            after = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            expect(
                (before, state) == (after, (study.jobs, study.stop_reason, study.problem, study.running)),
                did="called observe",
                seen="a change of the study or of a trial",
                expected="none",
                mend="make a copy and change that",
            )


_LATE_STUDIES = 16
_LATE_DRAWN = 12
_LATE_SLOTS = 8
_LATE_AFTER = 40


@check("results")
def credits_a_late_result_to_its_own_trial(subject: Subject) -> None:
    """A result that comes 40 trials late draws the proposals to its trial if it is good, and not if it is bad.

    At least 12 of 16 studies must show it. An algorithm that takes it for the result of another trial shows it in 12
    with a probability of 4 %; those of this project show it in 92 % of studies or more.
    """
    can_learn(subject, _late_problem(subject, 0))
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)
    pairs = [[_distance_from_a_late_one(subject, seed, loss) for loss in (-100, 100)] for seed in range(_LATE_STUDIES)]
    drawn = sum(good <= bad for good, bad in pairs)
    expect_learning(
        subject,
        drawn >= _LATE_DRAWN,
        did=f"ran {_LATE_STUDIES} studies in which the result of one trial came {_LATE_AFTER} trials late",
        seen=f"in {drawn}, later proposals are nearer to that trial if its result is good than if it is bad",
        expected=f"at least {_LATE_DRAWN}",
        mend=f"keep late results apart: give each proposal of a study a key of its own, or remember that {NUMBERS}",
    )


def _late_problem(subject: Subject, seed: int) -> Problem:
    return subject.problem(CUBE, jobs=70, slots=_LATE_SLOTS, seed=seed)


def _distance_from_a_late_one(subject: Subject, seed: int, loss: float) -> float:
    """The mean distance in the unit cube from a trial with a late result to the proposals that come after it."""
    with rehearse(subject, _late_problem(subject, seed)) as rehearsal:
        problem, trials = rehearsal.problem, rehearsal.study.trials
        running = rehearsal.ask(_LATE_SLOTS)
        late = running.pop(len(running) // 2) if running else None
        while late and running and len(trials) < _LATE_AFTER:
            rehearsal.tell([running.pop(0)])
            running += rehearsal.ask(_LATE_SLOTS - 1 - len(running))
        if late is None:
            return 0.0
        told = len(trials)
        rehearsal.tell([late], lambda problem, _: (loss,) * len(problem.objectives))
        while True:
            wanted = min(problem.max_jobs - len(trials), _LATE_SLOTS - len(running))
            running += rehearsal.ask(wanted) if wanted > 0 else []
            if not running:
                break
            rehearsal.tell([running.pop(0)])
        units = [problem.space.encode(it.proposal.hyperparameters) for it in [late, *trials[told:]]]
    return statistics.fmean(math.dist(units[0], unit) for unit in units[1:]) if units[1:] else 0.0
