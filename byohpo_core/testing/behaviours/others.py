"""Checks of results that are not the algorithm's own: of earlier studies and of other plugins."""

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
    sometimes_failing,
    sphere,
)
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.check import DOES_NOT_LEARN, NUMBERS, advise, applicable, check, expect
from byohpo_core.testing.rehearsal import Rehearsal, rehearse

_OTHERS = {"x0": 0.1, "x1": 0.2, "x2": 0.3}
_PRIOR = "do not look up the key of a trial whose trial.prior is True"


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
    """Trials of another plugin that have the algorithm's own keys, if plain, do not change its proposals."""
    made = []
    for alike in (False, True):
        with rehearse(subject, subject.problem(CUBE, jobs=40)) as rehearsal:
            jobs = rehearsal.problem.max_jobs
            while (left := jobs - len(rehearsal.configurations)) and (running := rehearsal.ask(min(left, 4))):
                for place, trial in enumerate(running):
                    # Another plugin may use the same numbers and texts as keys, but hardly the same lists and mappings.
                    keys = [trial.proposal.key, len(rehearsal.configurations) + place]
                    keys = [key if alike and isinstance(key, (int, str)) else None for key in keys]
                    rehearsal.tell([rehearsal.inject(_OTHERS, key=key) for key in keys])
                rehearsal.tell(running)
            made.append(rehearsal.configurations)
    expect(
        made[0] == made[1],
        did="gave trials of another plugin the keys of its own trials",
        seen="other proposals",
        expected="the same proposals",
        mend=f"a key says nothing about who proposed; {NUMBERS}",
    )


def _known(subject: Subject) -> Sequence[tuple[dict[str, Any], Outcome]]:
    """Results of an earlier study of ten random configurations."""
    problem = subject.problem(subject.mixed)
    generator = random.Random(11)  # noqa: S311 - not for cryptography
    return [(problem.space.sample(generator), (number / 10,) * len(problem.objectives)) for number in range(10)]
