"""What it makes of results: of failed, pruned, reused and foreign trials, of every size and direction of loss."""

import random
from collections.abc import Callable
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.study import Direction, Problem, Trial, TrialStatus
from byohpo_core.testing.algorithm import CUBE, MIXED, Judge, Outcome, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_JOBS = 60


def _whole(subject: Subject, judge: Judge, problem: Problem | None = None) -> None:
    """A study in which the judge decides; it uses its whole budget."""
    with rehearse(subject, problem or subject.problem(CUBE, jobs=_JOBS)) as rehearsal:
        made = rehearsal.run(judge)
    jobs = rehearsal.problem.max_jobs
    if made < jobs and subject.traits.finite:
        made = jobs
    assert made == jobs, f"it stopped proposing after {made} of {jobs} jobs"


def _scaled(change: Callable[[float], float]) -> Judge:
    def judge(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = sphere(problem, trial)
        return tuple(map(change, losses))

    return judge


@check("results")
def survives_some_failed_trials(subject: Subject) -> None:
    """Every third trial fails (`losses` is None), and the whole budget is used."""
    _whole(subject, sometimes_failing)


@check("results")
def survives_a_failed_first_trial(subject: Subject) -> None:
    """The very first result is a failure."""
    _whole(subject, lambda problem, trial: TrialStatus.Failed if trial.number == 0 else sphere(problem, trial))


@check("results")
def survives_a_failed_first_generation(subject: Subject) -> None:
    """The first twenty trials fail, the rest do not."""
    _whole(subject, lambda problem, trial: TrialStatus.Failed if trial.number < 20 else sphere(problem, trial))


@check("results")
def survives_failures_only(subject: Subject) -> None:
    """All trials fail, and the whole budget is used."""
    _whole(subject, lambda *_: TrialStatus.Failed)


@check("results")
def does_not_take_a_failure_for_a_success(subject: Subject) -> None:
    """With half of the space failing, it does not gather there."""
    applicable(subject.traits.learns, "results do not guide it")

    def half_fails(problem: Problem, trial: Trial) -> Outcome:
        return TrialStatus.Failed if trial.hyperparameters["x0"] > 0.6 else sphere(problem, trial)

    late = [
        it["x0"] > 0.6
        for seed in range(6)
        for it in proposals(subject, subject.problem(CUBE, seed=seed, jobs=80), half_fails)[40:]
    ]
    assert not late or sum(late) / len(late) < 0.6, f"{sum(late) / len(late):.0%} of its later proposals fail"


@check("results")
def survives_pruned_trials(subject: Subject) -> None:
    """Every third trial is pruned and has its last values."""

    def pruning(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = sphere(problem, trial)
        return (TrialStatus.Pruned, losses) if trial.number % 3 == 1 else losses

    _whole(subject, pruning)


@check("results")
def survives_trials_pruned_before_any_value(subject: Subject) -> None:
    """Pruned, and nothing was reported."""
    _whole(subject, lambda problem, trial: TrialStatus.Pruned if trial.number % 3 == 1 else sphere(problem, trial))


@check("results")
def survives_stopped_trials(subject: Subject) -> None:
    """Some trials are stopped from outside."""
    _whole(subject, lambda problem, trial: TrialStatus.Stopped if trial.number % 4 == 2 else sphere(problem, trial))


@check("results")
def survives_equal_losses(subject: Subject) -> None:
    """All results are the same."""
    _whole(subject, lambda problem, _: (1.0,) * len(problem.objectives))


@check("results")
def survives_huge_losses(subject: Subject) -> None:
    """Losses near the largest float."""
    _whole(subject, _scaled(lambda loss: (loss - 0.5) * 1e300))


@check("results")
def survives_tiny_differences(subject: Subject) -> None:
    """Losses that differ in their last digits only."""
    _whole(subject, _scaled(lambda loss: 1.0 + loss * 1e-14))


@check("results")
def survives_negative_losses(subject: Subject) -> None:
    """All below zero."""
    _whole(subject, _scaled(lambda loss: loss - 1000))


@check("results")
def survives_a_discontinuous_objective(subject: Subject) -> None:
    """Steps and cliffs."""
    _whole(subject, _scaled(lambda loss: float(round(4 * loss) * (1 if loss < 0.3 else 1000))))


@check("results")
def minimises_and_maximises_alike(subject: Subject) -> None:
    """With the sign of the objective turned it proposes the same."""
    made = []
    for direction in Direction:
        with rehearse(subject, subject.problem(MIXED, jobs=40, direction=direction)) as rehearsal:
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "Minimize and Maximize are not mirror images: it must go by trial.losses"


@check("results")
def does_not_mind_the_order_within_a_batch(subject: Subject) -> None:
    """Results that are handed over together lead to the same proposals in whatever order they are."""
    made = []
    for turn in (list, lambda trials: trials[::-1]):
        with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
            while len(rehearsal.study.trials) < 40 and (running := rehearsal.ask(5)):
                rehearsal.finish(running)
                rehearsal.observe(turn)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "its proposals depend on the order of results that came together"


@check("results")
def matches_results_by_trial(subject: Subject) -> None:
    """Equal configurations with different results do not confuse it."""
    noisy = {"n": 0}

    def judge(problem: Problem, _: Trial) -> Outcome:
        noisy["n"] += 1
        return (float(noisy["n"] % 5),) * len(problem.objectives)

    with rehearse(subject, subject.problem({"x": MIXED["layers"], "y": MIXED["flag"]}, jobs=40)) as rehearsal:
        assert rehearsal.run(judge) >= 2, "in a small space it stops proposing at once"


@check("results")
def leaves_the_study_alone(subject: Subject) -> None:
    """It reads the study and the trials, and changes nothing in them."""
    with rehearse(subject, subject.problem(MIXED, jobs=30)) as rehearsal:
        study = rehearsal.study
        while len(study.trials) < 30 and (running := rehearsal.ask(4)):
            rehearsal.finish(running)
            before = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            state = (study.jobs, study.stop_reason, study.problem, study.running)
            rehearsal.observe()
            after = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            assert (before, state) == (after, (study.jobs, study.stop_reason, study.problem, study.running)), (
                "it changed the study or a trial"
            )


@check("results")
def accepts_foreign_trials(subject: Subject) -> None:
    """Results of another study come first; it still uses its whole budget."""
    with rehearse(subject, subject.problem(MIXED, jobs=40)) as rehearsal:
        rehearsal.know(_known(subject))
        rehearsal.observe()
        made = rehearsal.run()
    applicable(made == 40 or not subject.traits.finite, "it may end early")
    assert made == 40, f"after foreign trials it stopped proposing after {made} of 40 jobs"


@check("results")
def does_not_take_foreign_trials_for_its_own(subject: Subject) -> None:
    """Foreign trials whose keys look like its own ones change nothing about what it waits for."""
    with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
        running = rehearsal.ask(5)
        applicable(running, "it proposes nothing")
        for trial in running:
            rehearsal.know(
                [(it, (9.0,) * len(rehearsal.problem.objectives)) for it in rehearsal.configurations[:1]],
                key=trial.proposal.key,
            )
        rehearsal.observe()
        rehearsal.tell(running)
        made = len(running) + rehearsal.run() if rehearsal.problem.max_jobs > len(running) else len(running)
    assert made >= 20 or subject.traits.finite, "foreign trials made it stop proposing"


@check("results")
def accepts_failed_foreign_trials(subject: Subject) -> None:
    """All that is known of another study are failures."""
    with rehearse(subject, subject.problem(MIXED, jobs=20)) as rehearsal:
        rehearsal.know([(configuration, TrialStatus.Failed) for configuration, _ in _known(subject)])
        rehearsal.observe()
        assert rehearsal.run() >= 10 or subject.traits.finite, "after failed foreign trials it stopped proposing"


@check("results")
def repeats_itself_with_foreign_trials(subject: Subject) -> None:
    """The same foreign trials and seed give the same proposals."""
    made = []
    for _ in range(2):
        with rehearse(subject, subject.problem(MIXED, jobs=20)) as rehearsal:
            rehearsal.know(_known(subject))
            rehearsal.observe()
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "with the same foreign trials its proposals are different"


@check("results")
def accepts_trials_of_other_plugins(subject: Subject) -> None:
    """Trials that another plugin proposed are among the results, between its own; it still uses its whole budget."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        while (left := 40 - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
            rehearsal.tell([it for trial in running for it in (rehearsal.inject(_OTHERS, key=["mine"]), trial)])
        made = len(rehearsal.configurations)
    applicable(made == 40 or not subject.traits.finite, "it may end early")
    assert made == 40, f"with trials of another plugin it stopped proposing after {made} of 40 jobs"


@check("results")
def does_not_take_trials_of_other_plugins_for_its_own(subject: Subject) -> None:
    """Their keys mean nothing to it, also where they are those of its running trials or of trials to come."""
    made = []
    for alike in (False, True):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            while (left := 40 - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
                for place, trial in enumerate(running):
                    keys = [trial.proposal.key, len(rehearsal.configurations) + place]
                    rehearsal.tell([rehearsal.inject(_OTHERS, key=key if alike else None) for key in keys])
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], "it takes trials of another plugin for its own ones where their keys are alike"


_OTHERS = {"x0": 0.1, "x1": 0.2, "x2": 0.3}


@check("results")
def works_with_two_objectives_or_says_so(subject: Subject) -> None:
    """It uses its budget, or refuses in its constructor with `InvalidInput`."""
    _with_objectives(subject, 2)


@check("results")
def works_with_three_objectives_or_says_so(subject: Subject) -> None:
    """It uses its budget, or refuses in its constructor with `InvalidInput`."""
    _with_objectives(subject, 3)


@check("results")
def works_with_one_objective_or_says_so(subject: Subject) -> None:
    """It uses its budget, or refuses in its constructor with `InvalidInput`."""
    _with_objectives(subject, 1)


def _with_objectives(subject: Subject, count: int) -> None:
    problem = subject.problem(CUBE, objectives=count, jobs=_JOBS)
    try:
        rehearsal = rehearse(subject, problem)
    except InvalidInput:
        return
    rehearsal.close()
    _whole(subject, sometimes_failing, problem)


def _known(subject: Subject) -> list[tuple[dict[str, Any], Outcome]]:
    """Results of a study of random configurations."""
    problem = subject.problem(MIXED)
    generator = random.Random(11)  # noqa: S311 - no secret
    return [(problem.space.sample(generator), (number / 10,) * len(problem.objectives)) for number in range(10)]
