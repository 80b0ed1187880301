"""Checks of learning: results must improve the proposals on an easy objective."""

import random
import statistics

from byohpo_core.space.parameters import Parameter
from byohpo_core.study.problem import Direction, Problem
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Judge, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import DOES_NOT_LEARN, ONE_POINT_AT_A_TIME, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_SEEDS = 15
_WINS = 11
"""Wins needed in 15 studies. An algorithm that is no better than random search passes with a probability of 5.9 %; one
that wins four of five studies fails with 16.4 %. The seeds are fixed, so the result is the same in every run."""
_JOBS = 150
_FEW = 60


def _total(problem: Problem, configuration: dict[str, object]) -> float:
    """The squared distance of a configuration from the optimum."""
    units = problem.space.encode(configuration)
    centre = 0.3 if len(problem.objectives) == 1 else 0.5
    return sum((unit - centre) ** 2 for unit in units)


def _wins(
    subject: Subject, parameters: dict[str, Parameter], judge: Judge = sphere, direction: Direction = Direction.Minimize
) -> int:
    wins = 0
    for seed in range(_SEEDS):
        problem = subject.problem(parameters, seed=seed, jobs=_JOBS, direction=direction)
        rivals = []
        for rival in range(9):
            generator = random.Random(f"{seed}-{rival}")  # noqa: S311 - not for cryptography
            rivals.append(min(_total(problem, problem.space.sample(generator)) for _ in range(_JOBS)))
        wins += _beats(subject, problem, judge, statistics.median(rivals))
    return wins


def _beats(subject: Subject, problem: Problem, judge: Judge, rival: float) -> bool:
    """Whether a trial comes nearer to the optimum than *rival*; the study ends with the first that does."""
    won = False

    def nearer(trial: Trial) -> bool:
        nonlocal won
        won = won or _total(problem, dict(trial.hyperparameters)) < rival
        return won

    with rehearse(subject, problem) as rehearsal:
        rehearsal.run(judge, enough=nearer)
    return won


def _beats_random_search(
    subject: Subject, parameters: dict[str, Parameter], judge: Judge = sphere, direction: Direction = Direction.Minimize
) -> None:
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    wins = _wins(subject, parameters, judge, direction=direction)
    assert wins >= _WINS, (
        f"the algorithm beats random search in only {wins} of {_SEEDS} studies of {_JOBS} trials; "
        "prefer small trial.losses and search in the unit cube, or declare Traits(learns=False)"
    )


@check("learning")
def beats_random_search_on_a_sphere(subject: Subject) -> None:
    """On a sphere in 3 dimensions, 150 trials beat random search in at least 11 of 15 studies."""
    _beats_random_search(subject, dict(CUBE))


@check("learning")
def beats_random_search_when_it_maximises(subject: Subject) -> None:
    """On the negative sphere, to be maximised, 150 trials beat random search in at least 11 of 15 studies."""
    _beats_random_search(subject, dict(CUBE), direction=Direction.Maximize)


@check("learning")
def beats_random_search_although_trials_fail(subject: Subject) -> None:
    """If every third trial fails, 150 trials still beat random search in at least 11 of 15 studies."""
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)
    _beats_random_search(subject, dict(CUBE), sometimes_failing)


@check("learning")
def beats_random_search_on_scaled_parameters(subject: Subject) -> None:
    """In linear, log and reverse log ranges, 150 trials beat random search in at least 11 of 15 studies."""
    _beats_random_search(subject, {name: MIXED[name] for name in ("x", "rate", "momentum")})


@check("learning")
def later_proposals_are_better(subject: Subject) -> None:
    """Over five studies, the median of the last third of the proposals is better than that of the first third."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    early, late = [], []
    for seed in range(5):
        problem = subject.problem(CUBE, seed=seed, jobs=_FEW)
        made = [_total(problem, it) for it in proposals(subject, problem)]
        early += made[: len(made) // 3]
        late += made[-len(made) // 3 :]
    assert statistics.median(late) < statistics.median(early), (
        f"the last third of the proposals has a median loss of {statistics.median(late):.3g}, the first third one of "
        f"{statistics.median(early):.3g}; prefer small trial.losses, or declare Traits(learns=False)"
    )
