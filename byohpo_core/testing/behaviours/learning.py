"""Results guide it: it beats random search where that is easy."""

import random
import statistics

from byohpo_core.space import Parameter
from byohpo_core.study import Direction, Problem, Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Judge, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_SEEDS = 15
_WINS = 11
"""Of 15 studies. An algorithm no better than random search wins so many with a probability of 5.9 %; one that wins
four of five fails to with 16.4 %. Seeds are fixed, so an answer does not change from run to run."""
_JOBS = 150
_FEW = 60


def _total(problem: Problem, configuration: dict[str, object]) -> float:
    """How far from the best place."""
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
            generator = random.Random(f"{seed}-{rival}")  # noqa: S311 - no secret
            rivals.append(min(_total(problem, problem.space.sample(generator)) for _ in range(_JOBS)))
        wins += _beats(subject, problem, judge, statistics.median(rivals))
    return wins


def _beats(subject: Subject, problem: Problem, judge: Judge, rival: float) -> bool:
    """Whether it comes nearer to the best place; the study ends when it does."""
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
    applicable(subject.traits.learns, "results do not guide it")
    wins = _wins(subject, parameters, judge, direction=direction)
    assert wins >= _WINS, f"it beats random search on a sphere in {wins} of {_SEEDS} studies of {_JOBS} trials"


@check("learning")
def beats_random_search_on_a_sphere(subject: Subject) -> None:
    """In 3 dimensions, 150 trials, 4 slots, in at least 11 of 15 studies."""
    _beats_random_search(subject, dict(CUBE))


@check("learning")
def beats_random_search_when_it_maximises(subject: Subject) -> None:
    """The same with the sign turned."""
    _beats_random_search(subject, dict(CUBE), direction=Direction.Maximize)


@check("learning")
def beats_random_search_although_trials_fail(subject: Subject) -> None:
    """The same with every third trial failing, but for one that works on one point at a time."""
    applicable(not subject.traits.sequential, "a local search may be thrown off its path")
    _beats_random_search(subject, dict(CUBE), sometimes_failing)


@check("learning")
def beats_random_search_on_scaled_parameters(subject: Subject) -> None:
    """With a logarithmic and a reverse logarithmic range: it works in the unit cube, not in the raw values."""
    _beats_random_search(subject, {name: MIXED[name] for name in ("x", "rate", "momentum")})


@check("learning")
def later_proposals_are_better(subject: Subject) -> None:
    """The median of the last third of 60 is better than that of the first, over five studies."""
    applicable(subject.traits.learns, "results do not guide it")
    early, late = [], []
    for seed in range(5):
        problem = subject.problem(CUBE, seed=seed, jobs=_FEW)
        made = [_total(problem, it) for it in proposals(subject, problem)]
        early += made[: len(made) // 3]
        late += made[-len(made) // 3 :]
    assert statistics.median(late) < statistics.median(early), (
        f"the last third of its proposals is worse ({statistics.median(late):.3g}) "
        f"than the first ({statistics.median(early):.3g})"
    )
