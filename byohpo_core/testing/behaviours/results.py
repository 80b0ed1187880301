"""Checks of results: failed, pruned and foreign trials, losses of any size, both directions."""

import random
from collections.abc import Callable
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.study.problem import Direction, Problem
from byohpo_core.study.trial import Trial, TrialStatus
from byohpo_core.testing.algorithm import CUBE, MIXED, Judge, Outcome, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import DOES_NOT_LEARN, MAY_END_EARLY, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_JOBS = 60
_OTHERS = {"x0": 0.1, "x1": 0.2, "x2": 0.3}
_FOREIGN = "do not look up the key of a trial whose trial.prior is True"
_OTHER_PLUGINS = "recognise own trials by trial.number, not by key"


def _whole(subject: Subject, judge: Judge, problem: Problem | None = None) -> None:
    """Assert that a study with this judge spends its budget."""
    with rehearse(subject, problem or subject.problem(CUBE, jobs=_JOBS)) as rehearsal:
        made = rehearsal.run(judge)
    jobs = rehearsal.problem.max_jobs
    if made < jobs and subject.traits.finite:
        made = jobs
    assert made == jobs, (
        f"the algorithm stopped proposing after {made} of {jobs} jobs; keep proposing whatever the results are"
    )


def _scaled(change: Callable[[float], float]) -> Judge:
    """Judge as `sphere`, with each loss changed."""

    def judge(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = sphere(problem, trial)
        return tuple(map(change, losses))

    return judge


@check("results")
def survives_some_failed_trials(subject: Subject) -> None:
    """If every third trial fails (`losses` is None), the algorithm spends the whole budget."""
    _whole(subject, sometimes_failing)


@check("results")
def survives_a_failed_first_trial(subject: Subject) -> None:
    """If the first trial fails, the algorithm spends the whole budget."""
    _whole(subject, lambda problem, trial: TrialStatus.Failed if trial.number == 0 else sphere(problem, trial))


@check("results")
def survives_a_failed_first_generation(subject: Subject) -> None:
    """If the first twenty trials fail, the algorithm spends the whole budget."""
    _whole(subject, lambda problem, trial: TrialStatus.Failed if trial.number < 20 else sphere(problem, trial))


@check("results")
def survives_failures_only(subject: Subject) -> None:
    """If all trials fail, the algorithm spends the whole budget."""
    _whole(subject, lambda *_: TrialStatus.Failed)


@check("results")
def does_not_take_a_failure_for_a_success(subject: Subject) -> None:
    """If trials fail where x0 > 0.6, less than 60% of the later proposals lie there."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)

    def half_fails(problem: Problem, trial: Trial) -> Outcome:
        return TrialStatus.Failed if trial.hyperparameters["x0"] > 0.6 else sphere(problem, trial)

    late = [
        it["x0"] > 0.6
        for seed in range(6)
        for it in proposals(subject, subject.problem(CUBE, seed=seed, jobs=80), half_fails)[40:]
    ]
    assert not late or sum(late) / len(late) < 0.6, (
        f"{sum(late) / len(late):.0%} of the later proposals fail; do not take losses of None for good ones"
    )


@check("results")
def survives_pruned_trials(subject: Subject) -> None:
    """If every third trial is pruned and has a loss, the algorithm spends the whole budget."""

    def pruning(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = sphere(problem, trial)
        return (TrialStatus.Pruned, losses) if trial.number % 3 == 1 else losses

    _whole(subject, pruning)


@check("results")
def survives_trials_pruned_before_any_value(subject: Subject) -> None:
    """If every third trial is pruned and has no loss, the algorithm spends the whole budget."""
    _whole(subject, lambda problem, trial: TrialStatus.Pruned if trial.number % 3 == 1 else sphere(problem, trial))


@check("results")
def survives_stopped_trials(subject: Subject) -> None:
    """If every fourth trial is stopped from outside, the algorithm spends the whole budget."""
    _whole(subject, lambda problem, trial: TrialStatus.Stopped if trial.number % 4 == 2 else sphere(problem, trial))


@check("results")
def survives_equal_losses(subject: Subject) -> None:
    """If all losses are equal, the algorithm spends the whole budget."""
    _whole(subject, lambda problem, _: (1.0,) * len(problem.objectives))


@check("results")
def survives_huge_losses(subject: Subject) -> None:
    """If losses are as large as 1e300, the algorithm spends the whole budget."""
    _whole(subject, _scaled(lambda loss: (loss - 0.5) * 1e300))


@check("results")
def survives_tiny_differences(subject: Subject) -> None:
    """If losses differ in their last digits only, the algorithm spends the whole budget."""
    _whole(subject, _scaled(lambda loss: 1.0 + loss * 1e-14))


@check("results")
def survives_negative_losses(subject: Subject) -> None:
    """If all losses are negative, the algorithm spends the whole budget."""
    _whole(subject, _scaled(lambda loss: loss - 1000))


@check("results")
def survives_a_discontinuous_objective(subject: Subject) -> None:
    """If the objective has steps and jumps, the algorithm spends the whole budget."""
    _whole(subject, _scaled(lambda loss: float(round(4 * loss) * (1 if loss < 0.3 else 1000))))


@check("results")
def minimises_and_maximises_alike(subject: Subject) -> None:
    """Maximising the negative objective gives the same proposals as minimising the objective."""
    made = []
    for direction in Direction:
        with rehearse(subject, subject.problem(MIXED, jobs=40, direction=direction)) as rehearsal:
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], (
        "maximising the negative objective gives other proposals; use trial.losses, where smaller is always better"
    )


@check("results")
def does_not_mind_the_order_within_a_batch(subject: Subject) -> None:
    """The order of results within one `observe` does not change the proposals."""
    made = []
    for turn in (list, lambda trials: trials[::-1]):
        with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
            while len(rehearsal.study.trials) < 40 and (running := rehearsal.ask(5)):
                rehearsal.finish(running)
                rehearsal.observe(turn)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], (
        "the proposals depend on the order of results within one observe; sort the trials by number first"
    )


@check("results")
def matches_results_by_trial(subject: Subject) -> None:
    """If equal configurations have different results, the algorithm goes on."""
    noisy = {"n": 0}

    def judge(problem: Problem, _: Trial) -> Outcome:
        noisy["n"] += 1
        return (float(noisy["n"] % 5),) * len(problem.objectives)

    with rehearse(subject, subject.problem({"x": MIXED["layers"], "y": MIXED["flag"]}, jobs=40)) as rehearsal:
        assert rehearsal.run(judge) >= 2, (
            "the algorithm stops proposing in a small space; "
            "match a result to a proposal by trial.number, not by its values"
        )


@check("results")
def leaves_the_study_alone(subject: Subject) -> None:
    """The algorithm does not change the study or its trials."""
    with rehearse(subject, subject.problem(MIXED, jobs=30)) as rehearsal:
        study = rehearsal.study
        while len(study.trials) < 30 and (running := rehearsal.ask(4)):
            rehearsal.finish(running)
            before = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            state = (study.jobs, study.stop_reason, study.problem, study.running)
            rehearsal.observe()
            after = [(it, dict(it.hyperparameters), dict(it.metrics)) for it in study.trials]
            assert (before, state) == (after, (study.jobs, study.stop_reason, study.problem, study.running)), (
                "the algorithm changed the study or a trial; make a copy and change that"
            )


@check("results")
def accepts_foreign_trials(subject: Subject) -> None:
    """After results of an earlier study, the algorithm spends the whole budget."""
    with rehearse(subject, subject.problem(MIXED, jobs=40)) as rehearsal:
        rehearsal.know(_known(subject))
        rehearsal.observe()
        made = rehearsal.run()
    applicable(made == 40 or not subject.traits.finite, MAY_END_EARLY)
    assert made == 40, (
        f"after results of an earlier study the algorithm stopped proposing after {made} of 40 jobs; {_FOREIGN}"
    )


@check("results")
def does_not_take_foreign_trials_for_its_own(subject: Subject) -> None:
    """The algorithm goes on if results of an earlier study have the same keys as its own trials."""
    with rehearse(subject, subject.problem(CUBE, jobs=40, slots=5)) as rehearsal:
        running = rehearsal.ask(5)
        applicable(running, "the algorithm proposes nothing")
        for trial in running:
            rehearsal.know(
                [(it, (9.0,) * len(rehearsal.problem.objectives)) for it in rehearsal.configurations[:1]],
                key=trial.proposal.key,
            )
        rehearsal.observe()
        rehearsal.tell(running)
        made = len(running) + rehearsal.run() if rehearsal.problem.max_jobs > len(running) else len(running)
    assert made >= 20 or subject.traits.finite, (
        f"results of an earlier study made the algorithm stop proposing; {_FOREIGN}"
    )


@check("results")
def accepts_failed_foreign_trials(subject: Subject) -> None:
    """After an earlier study in which all trials failed, the algorithm proposes at least 10 of 20 trials."""
    with rehearse(subject, subject.problem(MIXED, jobs=20)) as rehearsal:
        rehearsal.know([(configuration, TrialStatus.Failed) for configuration, _ in _known(subject)])
        rehearsal.observe()
        assert rehearsal.run() >= 10 or subject.traits.finite, (
            f"after failed trials of an earlier study the algorithm stopped proposing; {_FOREIGN}"
        )


@check("results")
def repeats_itself_with_foreign_trials(subject: Subject) -> None:
    """The same seed and the same results of an earlier study give the same proposals."""
    made = []
    for _ in range(2):
        with rehearse(subject, subject.problem(MIXED, jobs=20)) as rehearsal:
            rehearsal.know(_known(subject))
            rehearsal.observe()
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], (
        "with the same results of an earlier study, the proposals are different; use only the seed and the results"
    )


@check("results")
def accepts_trials_of_other_plugins(subject: Subject) -> None:
    """If another plugin proposes trials too, the algorithm spends the whole budget."""
    with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
        while (left := 40 - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
            rehearsal.tell([it for trial in running for it in (rehearsal.inject(_OTHERS, key=["mine"]), trial)])
        made = len(rehearsal.configurations)
    applicable(made == 40 or not subject.traits.finite, MAY_END_EARLY)
    assert made == 40, (
        f"with trials of another plugin the algorithm stopped proposing after {made} of 40 jobs; {_OTHER_PLUGINS}"
    )


@check("results")
def does_not_take_trials_of_other_plugins_for_its_own(subject: Subject) -> None:
    """Trials of another plugin that have the algorithm's own keys do not change its proposals."""
    made = []
    for alike in (False, True):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            while (left := 40 - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
                for place, trial in enumerate(running):
                    keys = [trial.proposal.key, len(rehearsal.configurations) + place]
                    rehearsal.tell([rehearsal.inject(_OTHERS, key=key if alike else None) for key in keys])
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    assert made[0] == made[1], (
        f"the algorithm takes trials of another plugin with its keys for its own; {_OTHER_PLUGINS}"
    )


@check("results")
def works_with_two_objectives_or_says_so(subject: Subject) -> None:
    """With two objectives, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
    _with_objectives(subject, 2)


@check("results")
def works_with_three_objectives_or_says_so(subject: Subject) -> None:
    """With three objectives, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
    _with_objectives(subject, 3)


@check("results")
def works_with_one_objective_or_says_so(subject: Subject) -> None:
    """With one objective, the algorithm spends the whole budget, or its constructor raises `InvalidInput`."""
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
    """Results of an earlier study of ten random configurations."""
    problem = subject.problem(MIXED)
    generator = random.Random(11)  # noqa: S311 - not for cryptography
    return [(problem.space.sample(generator), (number / 10,) * len(problem.objectives)) for number in range(10)]
