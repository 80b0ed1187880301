"""Checks of results: failed, pruned, reused and prior trials, losses of any size, every direction."""

import random
import statistics
from collections.abc import Sequence
from typing import Any

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Proposal, Trial, TrialStatus
from byohpo_core.testing.algorithm import (
    CUBE,
    MIXED,
    Judge,
    Outcome,
    Subject,
    changed,
    constant,
    sometimes_failing,
    sphere,
)
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.check import DOES_NOT_LEARN, NUMBERS, SORT, advise, applicable, check, expect
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse

_JOBS = 60
_OTHERS = {"x0": 0.1, "x1": 0.2, "x2": 0.3}
_PRIOR = "do not look up the key of a trial whose trial.prior is True"
_ANY_RESULT = "count every observed trial as ended, and keep proposing whatever the results are"


def _whole(subject: Subject, judge: Judge, did: str, problem: Problem | None = None) -> None:
    """Expect that a study with this judge spends its budget."""
    with rehearse(subject, problem or subject.problem(CUBE, jobs=_JOBS)) as rehearsal:
        made = rehearsal.run(judge)
    spends(subject, made, rehearsal.problem.max_jobs, f"ran a study {did}", _ANY_RESULT)


@check("results")
def survives_some_failed_trials(subject: Subject) -> None:
    """If every third trial fails (`losses` is None), the algorithm spends the whole budget."""
    _whole(subject, sometimes_failing, "in which every third trial failed")


@check("results")
def survives_a_failed_first_trial(subject: Subject) -> None:
    """If the first trial fails, the algorithm spends the whole budget."""
    _whole(subject, _failing_before(1), "in which the first trial failed")


@check("results")
def survives_a_failed_first_generation(subject: Subject) -> None:
    """If the first twenty trials fail, the algorithm spends the whole budget."""
    _whole(subject, _failing_before(20), "in which the first 20 trials failed")


def _failing_before(number: int) -> Judge:
    return lambda problem, trial: TrialStatus.Failed if trial.number < number else sphere(problem, trial)


@check("results")
def survives_failures_only(subject: Subject) -> None:
    """If all trials fail, the algorithm spends the whole budget."""
    _whole(subject, lambda *_: TrialStatus.Failed, "in which all trials failed")


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

    _whole(subject, pruning, "in which every third trial was pruned")


@check("results")
def survives_trials_pruned_before_any_value(subject: Subject) -> None:
    """If every third trial is pruned and has no loss, the algorithm spends the whole budget."""
    _whole(subject, _ending(TrialStatus.Pruned, 3), "in which every third trial was pruned before its first value")


@check("results")
def survives_stopped_trials(subject: Subject) -> None:
    """If every fourth trial is stopped from outside, the algorithm spends the whole budget."""
    _whole(subject, _ending(TrialStatus.Stopped, 4), "in which every fourth trial was stopped")


def _ending(status: TrialStatus, every: int) -> Judge:
    return lambda problem, trial: status if trial.number % every == 1 else sphere(problem, trial)


@check("results")
def survives_equal_losses(subject: Subject) -> None:
    """If all losses are equal, the algorithm spends the whole budget."""
    _whole(subject, constant, "in which all losses are equal")


@check("results")
def survives_huge_losses(subject: Subject) -> None:
    """If losses are as large as 1e300, the algorithm spends the whole budget."""
    _whole(subject, changed(sphere, lambda loss: (loss - 0.5) * 1e300), "with losses up to 1e300")


@check("results")
def survives_tiny_differences(subject: Subject) -> None:
    """If losses differ in their last digits only, the algorithm spends the whole budget."""
    _whole(subject, changed(sphere, lambda loss: 1.0 + loss * 1e-14), "with losses that differ by 1e-14")


@check("results")
def survives_negative_losses(subject: Subject) -> None:
    """If all losses are negative, the algorithm spends the whole budget."""
    _whole(subject, changed(sphere, lambda loss: loss - 1000), "with losses below zero")


@check("results")
def survives_losses_of_zero(subject: Subject) -> None:
    """If losses are zero, or of either sign, the algorithm spends the whole budget."""
    _whole(subject, changed(sphere, lambda _: 0.0), "in which all losses are zero")
    _whole(subject, changed(sphere, lambda loss: round(loss - 0.2, 1)), "with losses around zero")


@check("results")
def survives_a_discontinuous_objective(subject: Subject) -> None:
    """If the objective has steps and jumps, the algorithm spends the whole budget."""
    steps = changed(sphere, lambda loss: float(round(4 * loss) * (1 if loss < 0.3 else 1000)))
    _whole(subject, steps, "with steps and jumps in the losses")


@check("results")
def minimises_and_maximises_alike(subject: Subject) -> None:
    """Maximising the negative of any one objective gives the same proposals as minimising it."""
    for count in (count for count in (1, 2, 3) if subject.supports(count)):
        plain = proposals(subject, subject.problem(subject.mixed, objectives=count, jobs=40))
        for number in range(count):
            turned = proposals(subject, subject.problem(subject.mixed, objectives=count, jobs=40, maximised=[number]))
            expect(
                turned == plain,
                did=f"maximised the negative of objective {number + 1} of {count}",
                seen="other proposals",
                expected="the same proposals",
                mend="use trial.losses, where smaller is always better",
            )


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
def matches_results_by_trial(subject: Subject) -> None:
    """If configurations repeat, also as trials of another plugin, and have different results, the study goes on."""
    results = random.Random(4)  # noqa: S311 - not for cryptography

    def noise(problem: Problem, _: Trial) -> Outcome:
        return tuple(float(results.randrange(5)) for _ in problem.objectives)

    with rehearse(subject, subject.problem({"x": MIXED["layers"], "y": MIXED["flag"]}, jobs=40)) as rehearsal:
        made = _beside(rehearsal, lambda trial: dict(trial.proposal.hyperparameters), noise)
    mend = f"do not look a result up by its values; {NUMBERS}"
    spends(subject, made, rehearsal.problem.max_jobs, "ran a study in which configurations repeat", mend)


def _beside(rehearsal: Rehearsal, other: Any, judge: Judge = sphere, key: Any = None) -> int:
    """Run a study in which another plugin proposes *other(trial)* for each trial; the others' results come first."""
    jobs = rehearsal.problem.max_jobs
    while (left := jobs - len(rehearsal.configurations)) > 0 and (running := rehearsal.ask(min(left, 4))):
        rehearsal.tell([rehearsal.inject(other(trial), key=key) for trial in running], judge)
        rehearsal.tell(running, judge)
    return len(rehearsal.configurations)


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


@check("results")
def accepts_foreign_trials(subject: Subject) -> None:
    """After results of an earlier study, the algorithm spends the whole budget."""
    with rehearse(subject, subject.problem(subject.mixed, jobs=40)) as rehearsal:
        rehearsal.know(_known(subject))
        rehearsal.observe()
        made = rehearsal.run()
    spends(subject, made, rehearsal.problem.max_jobs, "told it of ten results of an earlier study", _PRIOR)


@check("results")
def does_not_take_foreign_trials_for_its_own(subject: Subject) -> None:
    """The algorithm goes on if results of an earlier study have the same keys as its own trials."""
    with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
        running = rehearsal.ask(5)
        applicable(running, "the algorithm proposes nothing")
        for trial in running:
            worst = (9.0,) * len(rehearsal.problem.objectives)
            rehearsal.know([(rehearsal.configurations[0], worst)], key=trial.proposal.key)
        rehearsal.observe()
        rehearsal.tell(running)
        made = rehearsal.run()
    spends(subject, made, rehearsal.problem.max_jobs, "told it of prior trials with the keys of its own", _PRIOR)


@check("results")
def accepts_failed_foreign_trials(subject: Subject) -> None:
    """After an earlier study in which all trials failed, the algorithm spends the whole budget."""
    with rehearse(subject, subject.problem(subject.mixed, jobs=20)) as rehearsal:
        rehearsal.know([(configuration, TrialStatus.Failed) for configuration, _ in _known(subject)])
        rehearsal.observe()
        made = rehearsal.run()
    spends(subject, made, rehearsal.problem.max_jobs, "told it of ten failed trials of an earlier study", _PRIOR)


@check("results")
def repeats_itself_with_foreign_trials(subject: Subject) -> None:
    """The same seed and the same results of an earlier study give the same proposals."""
    made = []
    for _ in range(2):
        with rehearse(subject, subject.problem(subject.mixed, jobs=20)) as rehearsal:
            rehearsal.know(_known(subject))
            rehearsal.observe()
            rehearsal.run()
            made.append(rehearsal.configurations)
    expect(
        made[0] == made[1],
        did="told it twice of the same results of an earlier study",
        seen="different proposals",
        expected="the same proposals",
        mend="use only the seed and the results",
    )


_WARM_STUDIES = 6


@check("results")
def begins_with_what_earlier_studies_found(subject: Subject) -> None:
    """After thirty good results of an earlier study, the first ten proposals are better than without them."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    applicable(subject.traits.warm_starts, "the algorithm does not use prior trials (traits.warm_starts is False)")
    cold, warm = (_first_losses(subject, known) for known in (False, True))
    advise(
        statistics.median(warm) < statistics.median(cold),
        f"after 30 good results of an earlier study, the first ten proposals have a median loss of "
        f"{statistics.median(warm):.3g}, without them one of {statistics.median(cold):.3g}; begin with the trials "
        "whose trial.prior is True, or declare Traits(warm_starts=False)",
    )


def _first_losses(subject: Subject, known: bool) -> list[float]:
    """The losses of the first ten proposals of some studies, with or without the results of an earlier one."""
    losses: list[float] = []
    for seed in range(_WARM_STUDIES):
        with rehearse(subject, subject.problem(CUBE, seed=seed, jobs=10)) as rehearsal:
            if known:
                generator = random.Random(seed)  # noqa: S311 - not for cryptography
                units = [[generator.gauss(0.4, 0.1) for _ in CUBE] for _ in range(30)]
                given = [rehearsal.problem.space.decode(unit) for unit in units]
                rehearsal.know([(it, sphere(rehearsal.problem, _trial(it))) for it in given])
                rehearsal.observe()
            rehearsal.run()
            made = [sphere(rehearsal.problem, _trial(it)) for it in rehearsal.configurations]
            losses += [sum(it) for it in made if isinstance(it, tuple)]  # type: ignore[arg-type]
    return losses


def _trial(configuration: Any) -> Trial:
    return Trial(0, Proposal(configuration), "another", configuration)


@check("results")
def accepts_trials_of_other_plugins(subject: Subject) -> None:
    """If another plugin proposes trials too, with keys of any kind, the algorithm spends the whole budget."""
    for key in (["mine"], None, 0, {"": 1}):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            rehearsal.tell([rehearsal.inject(_OTHERS, key=key)])
            made = _beside(rehearsal, lambda _: _OTHERS, sometimes_failing, key)
        did = f"ran a study in which another plugin proposed trials with the key {key!r}"
        spends(subject, made, rehearsal.problem.max_jobs, did, f"look up no key of another's trial; {NUMBERS}")


@check("results")
def does_not_take_trials_of_other_plugins_for_its_own(subject: Subject) -> None:
    """Trials of another plugin that have the algorithm's own keys do not change its proposals."""
    made = []
    for alike in (False, True):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            jobs = rehearsal.problem.max_jobs
            while (left := jobs - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
                for place, trial in enumerate(running):
                    keys = [trial.proposal.key, len(rehearsal.configurations) + place]
                    rehearsal.tell([rehearsal.inject(_OTHERS, key=key if alike else None) for key in keys])
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    expect(
        made[0] == made[1],
        did="gave trials of another plugin the keys of its own trials",
        seen="other proposals",
        expected="the same proposals",
        mend=f"a key says nothing about who proposed; {NUMBERS}",
    )


@check("results")
def works_with_one_objective_or_says_so(subject: Subject) -> None:
    """With one objective, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
    _with_objectives(subject, 1)


@check("results")
def works_with_two_objectives_or_says_so(subject: Subject) -> None:
    """With two objectives, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
    _with_objectives(subject, 2)


@check("results")
def works_with_three_objectives_or_says_so(subject: Subject) -> None:
    """With three objectives, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
    _with_objectives(subject, 3)


def _with_objectives(subject: Subject, count: int) -> None:
    if not subject.supports(count):
        return
    problem = subject.problem(CUBE, objectives=count, jobs=_JOBS)
    for judge in (sphere, sometimes_failing, constant):
        _whole(subject, judge, f"with {count} objectives", problem)


def _known(subject: Subject) -> Sequence[tuple[dict[str, Any], Outcome]]:
    """Results of an earlier study of ten random configurations."""
    problem = subject.problem(subject.mixed)
    generator = random.Random(11)  # noqa: S311 - not for cryptography
    return [(problem.space.sample(generator), (number / 10,) * len(problem.objectives)) for number in range(10)]
