"""Checks of learning: results must improve the proposals.

A check runs a few studies with fixed seeds, so that its result is the same in every run, and compares them with random
search in the same space. Two numbers come of it: the *share* of the proposals in the second halves that are better than
the median of random search, and the *wins*, the studies whose best trial is better than the best of the median random
search of the same length. For an algorithm that learns nothing the share is 0.5 with a standard deviation of at most
0.03, so 0.65 is five deviations away, and it wins all six studies with a probability of 1.6 %. Both limits are far
from what sound algorithms reach: of 20,000 sets of six studies, drawn from 24 studies with other seeds of `es`, `sa`,
`scipy-powell` and `scipy-nelder-mead`, none failed on the sphere or where categories decide.
"""

import math
import random
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any

from byohpo_core.space.parameters import Parameter
from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Proposal, Trial, TrialStatus
from byohpo_core.testing.algorithm import (
    CUBE,
    LABELS,
    MIXED,
    UNSORTED,
    Judge,
    Outcome,
    Subject,
    bowl,
    changed,
    labels,
    sphere,
)
from byohpo_core.testing.check import (
    DOES_NOT_LEARN,
    NUMBERS,
    ONE_POINT_AT_A_TIME,
    PROMOTES,
    TOO_SLOW,
    applicable,
    check,
    expect,
)
from byohpo_core.testing.habits import advise_a_design, population
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse

_STUDIES = 6
_TRIALS = 120
_SHARE = 0.65
_RIVALS = 40
_GENERATIONS = 4
_MOST = 1200
_DECLARE = "or declare Traits(learns=False)"
_SMALL = f"prefer small trial.losses and search in the unit cube, {_DECLARE}"

Drive = Callable[[Rehearsal, Judge], Any]


def _plainly(rehearsal: Rehearsal, judge: Judge) -> None:
    rehearsal.run(judge)


def _score(problem: Problem, judge: Judge, configuration: Mapping[str, Any]) -> float:
    """The sum of the losses of a configuration."""
    losses: Any = judge(problem, Trial(0, Proposal(configuration), "random", configuration))
    return float(sum(losses))


def _random_scores(problem: Problem, judge: Judge) -> list[list[float]]:
    """The scores of random searches with as many trials as the problem has jobs."""
    generator = random.Random(1)  # noqa: S311 - not for cryptography
    return [
        [_score(problem, judge, problem.space.sample(generator)) for _ in range(problem.max_jobs)]
        for _ in range(_RIVALS)
    ]


def _compared(
    subject: Subject,
    parameters: Mapping[str, Parameter],
    judge: Judge,
    measure: Judge,
    drive: Drive = _plainly,
    *,
    studies: int = _STUDIES,
    **problem: Any,
) -> tuple[float, int]:
    """Run studies with results from *judge*, and return the share and the wins in the scores of *measure*."""
    rivals = _random_scores(subject.problem(parameters, **problem), measure)
    median, best = statistics.median(chain.from_iterable(rivals)), statistics.median(map(min, rivals))
    better, late, wins = 0, 0, 0
    for seed in range(studies):
        with rehearse(subject, subject.problem(parameters, seed=seed, **problem)) as rehearsal:
            drive(rehearsal, judge)
            scores = [_score(rehearsal.problem, measure, it) for it in rehearsal.configurations]
        second = scores[len(scores) // 2 :]
        better, late = better + sum(score < median for score in second), late + len(second)
        wins += min(scores) < best
    return better / late, wins


def can_learn(subject: Subject, problem: Problem) -> None:
    """End the check unless the algorithm learns, is quick and has some generations in this problem."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    applicable(not subject.slow, TOO_SLOW)
    size = population(subject, problem)
    applicable(_GENERATIONS * size <= problem.max_jobs, f"generations of {size} are too large for this study")


def expect_learning(subject: Subject, condition: bool, **finding: str) -> None:
    """Expect what a learning algorithm does; one that tries a finite set of points gets a remark."""
    if not condition:
        advise_a_design(subject)
    expect(condition, **finding)


def _learns(
    subject: Subject,
    parameters: Mapping[str, Parameter],
    judge: Judge,
    where: str,
    drive: Drive = _plainly,
    *,
    measure: Judge | None = None,
    mend: str = _SMALL,
    **problem: Any,
) -> None:
    """Expect a share of 0.65 or a win in every study."""
    problem = {"jobs": _TRIALS, **problem}
    can_learn(subject, subject.problem(parameters, **problem))
    share, wins = _compared(subject, parameters, judge, measure or judge, drive, **problem)
    expect_learning(
        subject,
        share >= _SHARE or wins == _STUDIES,
        did=f"ran {_STUDIES} studies of {problem['jobs']} trials {where}",
        seen=f"{share:.0%} of the later proposals are better than a random one, and {wins} studies beat random search",
        expected=f"{_SHARE:.0%}, or {_STUDIES} studies",
        mend=mend,
    )


@check("learning")
def beats_random_search_on_a_sphere(subject: Subject) -> None:
    """On a sphere in 3 dimensions, results make the proposals better than those of random search."""
    size = population(subject, subject.problem(CUBE, jobs=_TRIALS))
    _learns(subject, CUBE, sphere, "on a sphere in 3 dimensions", jobs=max(_TRIALS, min(_MOST, _GENERATIONS * size)))


@check("learning")
def beats_random_search_when_it_maximises(subject: Subject) -> None:
    """On the negative sphere, to be maximised, results make the proposals better than those of random search."""
    _learns(subject, CUBE, sphere, "that maximise the negative sphere", maximised=range(9))


@check("learning")
def beats_random_search_although_trials_fail(subject: Subject) -> None:
    """If every third trial fails, results still make the proposals better than those of random search."""
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)
    mend = f"rank a trial whose losses are None behind all others, {_DECLARE}"

    def failing(problem: Problem, trial: Trial) -> Outcome:
        return TrialStatus.Failed if trial.number % 3 == 1 else bowl(problem, trial)

    _learns(subject, CUBE, failing, "in which every third trial fails", measure=bowl, mend=mend)


@check("learning")
def learns_from_what_follows_a_failure(subject: Subject) -> None:
    """If the first trial of each batch fails, the others of the batch make the proposals better."""
    applicable(not subject.traits.sequential, ONE_POINT_AT_A_TIME)

    def failures_first(rehearsal: Rehearsal, judge: Judge) -> None:
        problem = rehearsal.problem
        while (left := problem.max_jobs - len(rehearsal.study.trials)) > 0 and (running := rehearsal.ask(min(left, 6))):
            rehearsal.finish(running[:1], lambda *_: TrialStatus.Failed if running[1:] else sphere(*_))
            rehearsal.finish(running[1:], judge)
            rehearsal.observe()

    mend = "go on with the next trial of the batch when one has failed"
    _learns(subject, CUBE, sphere, "in which the first of each batch fails", failures_first, mend=mend, slots=6)


@check("learning")
def beats_random_search_on_scaled_parameters(subject: Subject) -> None:
    """In linear, log and reverse log ranges, results make the proposals better than those of random search."""
    _learns(subject, {name: MIXED[name] for name in ("x", "rate", "momentum")}, sphere, "in ranges of three scales")


@check("learning")
def learns_with_large_losses(subject: Subject) -> None:
    """If losses are a thousand times as large, results make the proposals better than those of random search."""
    _learns(subject, CUBE, changed(sphere, lambda loss: 1e3 * loss), "with losses up to a thousand")


@check("learning")
def learns_with_losses_below_zero(subject: Subject) -> None:
    """If all losses are near -1000, results make the proposals better than those of random search."""
    _learns(subject, CUBE, changed(sphere, lambda loss: loss - 1e3), "with losses near -1000")


@check("learning")
def learns_with_losses_far_above_zero(subject: Subject) -> None:
    """If all losses are near 5000, results make the proposals better than those of random search."""
    _learns(subject, CUBE, changed(sphere, lambda loss: loss + 5e3), "with losses near 5000")


@check("learning")
def learns_with_small_losses(subject: Subject) -> None:
    """If losses are a thousandth as large, results make the proposals better than those of random search."""
    _learns(subject, CUBE, changed(sphere, lambda loss: 1e-3 * loss), "with losses below a thousandth")


_ZERO_STUDIES = 12
_ZERO_LOSS = 0.25


@check("learning")
def learns_with_a_best_loss_of_zero(subject: Subject) -> None:
    """If the best loss is exactly 0, the algorithm finds it as often as if all losses were larger by 1.

    Most algorithms compare losses or use their differences, so that their proposals are the same. For others, the two
    shares have a standard deviation of about 0.06 each in 12 studies: 0.25 is three deviations of their difference.
    """
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    applicable(not subject.slow, TOO_SLOW)
    pairs = [_with_and_without_zero(subject, seed) for seed in range(2)]
    if all(zero == one for zero, one in pairs):
        return
    pairs += [_with_and_without_zero(subject, seed) for seed in range(2, _ZERO_STUDIES)]
    zero, one = (
        statistics.mean(it["x0"] < 0.4 for made in studies for it in made[40:]) for studies in zip(*pairs, strict=True)
    )
    expect_learning(
        subject,
        zero >= one - _ZERO_LOSS,
        did=f"ran {_ZERO_STUDIES} studies with losses of 0, 1, 2 and so on, and with losses of 1, 2, 3 and so on",
        seen=f"{zero:.0%} of the later proposals have the best loss, and {one:.0%} where it is 1",
        expected="about the same",
        mend="compare trial.losses with None, since 0 is false",
    )


def _with_and_without_zero(subject: Subject, seed: int) -> tuple[list[dict[str, Any]], ...]:
    """The proposals of two studies in which two fifths of the space have the best loss: 0, and 1."""
    problem = subject.problem(CUBE, jobs=80, seed=seed)
    return tuple(proposals(subject, problem, partial(_stairs, lowest)) for lowest in (0.0, 1.0))


def _stairs(lowest: float, problem: Problem, trial: Trial) -> tuple[float, ...]:
    """Whole numbers that rise along x0 from 0.4 on."""
    return (lowest + max(0, math.ceil(10 * (trial.proposal.hyperparameters["x0"] - 0.4))),) * len(problem.objectives)


@check("learning")
def learns_which_categories_are_good(subject: Subject) -> None:
    """Where categories and integers decide, results make the proposals better than those of random search."""
    _learns(subject, LABELS, labels, "in which categories and integers decide", jobs=_TRIALS)


@check("learning")
def learns_beside_another_plugin(subject: Subject) -> None:
    """If another plugin proposes trials too, results make the proposals better than those of random search."""

    def beside(rehearsal: Rehearsal, judge: Judge) -> None:
        generator = random.Random(5)  # noqa: S311 - not for cryptography
        others = [rehearsal.inject(rehearsal.problem.space.sample(generator)) for _ in range(3)]
        while (left := _TRIALS - len(rehearsal.configurations)) > 0 and (running := rehearsal.ask(min(left, 4))):
            others.append(rehearsal.inject(rehearsal.problem.space.sample(generator)))
            rehearsal.tell([*others, *running], judge)
            others = []

    _learns(subject, CUBE, sphere, "beside a plugin that proposes random trials", beside, mend=NUMBERS)


_BOWL_STUDIES = 9
_BOWL_WINS = 7


@check("learning")
def beats_random_search_in_a_steep_bowl(subject: Subject) -> None:
    """In a bowl of 7 dimensions, steep on some axes, with 12 slots, at least 7 of 9 studies beat random search.

    240 trials a study. Trials end in random order. Random search wins 7 of 9 with a probability of 9 %. An algorithm
    fails less than once in 10,000 runs if it loses at most one study in 100: all algorithms of this project win each of
    30 studies with different seeds.
    """
    applicable(not subject.traits.resource, PROMOTES)
    problem: dict[str, Any] = {"jobs": 240, "slots": 12}
    can_learn(subject, subject.problem(UNSORTED, **problem))

    def at_random(rehearsal: Rehearsal, judge: Judge) -> None:
        rehearsal.run(judge, order="random")

    _, wins = _compared(subject, UNSORTED, bowl, bowl, at_random, studies=_BOWL_STUDIES, **problem)
    expect_learning(
        subject,
        wins >= _BOWL_WINS,
        did=f"ran {_BOWL_STUDIES} studies of 240 trials on 12 slots in a bowl of 7 dimensions",
        seen=f"{wins} beat random search",
        expected=f"{_BOWL_WINS}",
        mend=f"keep the order of the parameters, go on learning to the end, and remember that {NUMBERS}",
    )


@check("learning")
def later_proposals_are_better(subject: Subject) -> None:
    """Over five studies, the median of the last third of the proposals is better than that of the first third."""
    applicable(subject.traits.learns, DOES_NOT_LEARN)
    jobs = 180 if subject.slow else 60
    size = population(subject, subject.problem(CUBE, jobs=jobs))
    applicable(3 * size <= jobs, f"generations of {size} are too large for this study")
    early, late = [], []
    for seed in range(5):
        problem = subject.problem(CUBE, seed=seed, jobs=jobs)
        made = [_score(problem, sphere, it) for it in proposals(subject, problem)]
        early += made[: len(made) // 3]
        late += made[-len(made) // 3 :]
    expect_learning(
        subject,
        statistics.median(late) < statistics.median(early),
        did="ran five studies on a sphere",
        seen=f"the last third of the proposals has a median loss of {statistics.median(late):.3g}, "
        f"the first third one of {statistics.median(early):.3g}",
        expected="a smaller loss at the end",
        mend=f"prefer small trial.losses, {_DECLARE}",
    )
