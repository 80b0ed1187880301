"""Checks of directions and of several objectives."""

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Proposal, Trial
from byohpo_core.testing.algorithm import (
    CUBE,
    Judge,
    Subject,
    constant,
    sometimes_failing,
    sphere,
)
from byohpo_core.testing.behaviours.learning import can_learn, expect_learning
from byohpo_core.testing.behaviours.results import whole_study
from byohpo_core.testing.check import (
    DOES_NOT_LEARN,
    SEVERAL_OBJECTIVES,
    applicable,
    check,
    expect,
)
from byohpo_core.testing.habits import population
from byohpo_core.testing.rehearsal import proposals


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
    problem = subject.problem(CUBE, objectives=count, jobs=60)
    for judge in (sphere, sometimes_failing, constant):
        whole_study(subject, judge, f"with {count} objectives", problem)


_FRONT_STUDIES = 7
_FRONT_WINS = 6


def _hypervolume(losses: Sequence[tuple[float, ...]], worst: float = 1.5) -> float:
    """The area that these losses in two objectives dominate, up to *worst* in both."""
    area, height = 0.0, worst
    for first, second in sorted(losses):
        if first < worst and second < height:
            area += (worst - first) * (height - second)
            height = second
    return area


@check("learning")
def finds_a_better_front_than_random_search(subject: Subject) -> None:
    """With two objectives, at least 6 of 7 fronts dominate more than that of the median random search."""
    applicable(subject.supports(2), SEVERAL_OBJECTIVES)
    can_learn(subject, subject.problem(CUBE, objectives=2, jobs=200))

    def front(problem: Problem, configurations: Sequence[Mapping[str, Any]]) -> float:
        given = [sphere(problem, Trial(0, Proposal(it), "", it)) for it in configurations]
        return _hypervolume([losses for losses in given if isinstance(losses, tuple)])  # type: ignore[misc]

    space = {f"x{axis}": CUBE["x0"] for axis in range(6)}
    problem = subject.problem(space, objectives=2, jobs=200)
    generator = random.Random(1)  # noqa: S311 - not for cryptography
    sampled = [[problem.space.sample(generator) for _ in range(200)] for _ in range(15)]
    rival = statistics.median(front(problem, it) for it in sampled)
    studies = [subject.problem(space, objectives=2, jobs=200, seed=seed) for seed in range(_FRONT_STUDIES)]
    fronts = [front(it, proposals(subject, it)) for it in studies]
    expect_learning(
        subject,
        sum(volume > rival for volume in fronts) >= _FRONT_WINS,
        did=f"ran {_FRONT_STUDIES} studies of 200 trials with two objectives",
        seen=f"the fronts dominate {[round(volume, 2) for volume in fronts]}, that of random search {rival:.2f}",
        expected=f"a larger area in {_FRONT_WINS}",
        mend="keep the trials that no other dominates, or call problem.require_one_objective()",
    )


@check("learning")
def minds_every_objective(subject: Subject) -> None:
    """With two or three objectives, other losses in one of them change the proposals."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    counts = [count for count in (2, 3) if subject.supports(count)]
    applicable(counts, SEVERAL_OBJECTIVES)
    for count in counts:
        problem = subject.problem(CUBE, objectives=count, jobs=100)
        applicable(population(subject, problem) <= 50, "the first generation is too large for this study")
        plain = proposals(subject, problem)
        for number in range(count):
            expect_learning(
                subject,
                proposals(subject, problem, _turned(number)) != plain,
                did=f"turned the losses of objective {number + 1} of {count} around",
                seen="the same proposals",
                expected="other proposals",
                mend="use all of trial.losses, or call problem.require_one_objective()",
            )


def _turned(number: int) -> Judge:
    """Judge as `sphere`, but prefer in this objective what is far from the optimum."""

    def judge(problem: Problem, trial: Trial) -> tuple[float, ...]:
        losses: Any = sphere(problem, trial)
        return tuple(1 - loss if place == number else loss for place, loss in enumerate(losses))

    return judge
