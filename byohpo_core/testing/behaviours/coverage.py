"""Checks of where the proposals lie: on every axis, at both ends, and as the scales of the parameters ask."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
)
from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, Outcome, Subject, constant
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.check import MAY_END_EARLY, NOT_SEEDED, TOO_SLOW, advise, applicable, check, expect
from byohpo_core.testing.habits import advise_unseeded
from byohpo_core.testing.rehearsal import proposals

_SEEDS = 12
_POSSIBLE = "make every value possible, both bounds included"
_CUBE = "search in the unit cube (problem.space.decode)"


def _first(subject: Subject, parameters: Mapping[str, Parameter], count: int = 8) -> list[dict[str, Any]]:
    """The first proposals with several seeds."""
    return [
        it
        for seed in range(_SEEDS)
        for it in proposals(subject, subject.problem(parameters, seed=seed, jobs=count), constant)
    ]


def _led(subject: Subject, parameters: Mapping[str, Parameter], distance: Callable[[Any], float]) -> list[Any]:
    """The proposals of two studies in which what has a small distance is good."""

    def judge(problem: Problem, trial: Trial) -> Outcome:
        return (distance(trial.proposal.hyperparameters),) * len(problem.objectives)

    seeds = (1, 2)
    return [it for seed in seeds for it in proposals(subject, subject.problem(parameters, seed=seed, jobs=100), judge)]


@check("values")
def works_with_auto_scaling(subject: Subject) -> None:
    """Every proposal lies inside ranges whose scale is chosen automatically, also wide and negative ones."""
    ranges = ((1e-5, 1), (0, 1e6), (-1e3, -1e-3), (1, 3))
    space: dict[str, Parameter] = {f"x{place}": ContinuousParameter(*bounds) for place, bounds in enumerate(ranges)}
    made = proposals(subject, subject.problem({**space, "n": IntegerParameter(1, 10_000, "Auto")}, jobs=40))
    applicable(subject.traits.seeded, NOT_SEEDED)
    advise_unseeded(subject)
    low = [it["x0"] < 0.03 for it in made + _first(subject, {**space, "n": IntegerParameter(1, 10_000)})]
    seen = f"{sum(low)} of {len(low)} proposals below 0.03"
    expect(sum(low) >= 0.2 * len(low), did="searched from 1e-5 to 1 (Auto)", seen=seen, expected="20%", mend=_CUBE)


def _moves_on_every_axis(subject: Subject, dimension: int) -> None:
    """Expect several values of each parameter in a space of so many dimensions."""
    applicable(not subject.slow, TOO_SLOW)
    applicable(not subject.traits.finite, MAY_END_EARLY)
    jobs, few = 2 * dimension + 20, 5
    space = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(dimension)}
    made = [it for seed in (1, 2) for it in proposals(subject, subject.problem(space, jobs=jobs, seed=seed))]
    spends(subject, len(made), 2 * jobs, f"ran two studies with {dimension} parameters")
    name, count = min(((name, len({it[name] for it in made})) for name in space), key=itemgetter(1))
    seen = f"{count} values of {name} in {len(made)} trials"
    did = f"searched in {dimension} dimensions"
    expect(count > 1, did=did, seen=seen, expected=f"at least {few}", mend="move on every axis")
    advise(count >= few, f"in {dimension} dimensions there are only {seen}")


@check("values")
def moves_on_every_axis_of_sixty(subject: Subject) -> None:
    """In 60 dimensions, each parameter takes at least five values."""
    _moves_on_every_axis(subject, 60)


@check("values")
def moves_on_every_axis_of_a_hundred(subject: Subject) -> None:
    """In 100 dimensions, each parameter takes at least five values."""
    _moves_on_every_axis(subject, 100)


def _reaches(subject: Subject, parameters: Mapping[str, Parameter], name: str, values: Collection[Any]) -> None:
    """Expect each value among the first proposals of several studies, or in studies in which it is the best one."""
    missing = set(values) - {it[name] for it in _first(subject, parameters)}
    for value in missing:
        found = {it[name] for it in _led(subject, parameters, partial(_differs, name, value))}
        missing = missing if value not in found else missing - {value}
    for value in sorted(missing):
        did = f"made {name}={value!r} the best value"
        expect(False, did=did, seen="it is never proposed", expected="a proposal with it", mend=_POSSIBLE)


def _differs(name: str, value: Any, given: Mapping[str, Any]) -> float:
    return float(given[name] != value)


def _off(end: float, given: Mapping[str, Any]) -> float:
    return float(abs(given["x0"] - end))


@check("values")
def reaches_every_whole_number(subject: Subject) -> None:
    """Every value of an integer parameter is proposed at first, or at least where it is the best one."""
    _reaches(subject, {"n": IntegerParameter(1, 4), "m": IntegerParameter(1, 4)}, "n", range(1, 5))


@check("values")
def reaches_every_category(subject: Subject) -> None:
    """Every value of a categorical parameter is proposed at first, or at least where it is the best one."""
    _reaches(subject, {"c": CategoricalParameter(list("abcd")), "n": IntegerParameter(1, 4)}, "c", "abcd")


@check("values")
def reaches_both_ends_of_a_continuous_range(subject: Subject) -> None:
    """The lowest and the highest fifth of a range are proposed at first, or at least where the best trials lie."""
    first = [it["x0"] for it in _first(subject, CUBE)]
    for end in (0.0, 1.0):
        near = min(abs(value - end) for value in first)
        if near > 0.2:
            near = min(abs(it["x0"] - end) for it in _led(subject, CUBE, partial(_off, end)))
        did = f"made {end:g} the best value of [0, 1]"
        seen = f"no proposal nearer than {near:.2g}"
        expect(near <= 0.2, did=did, seen=seen, expected="one within 0.2", mend="search in the whole range")


def _minds_the_scale(subject: Subject, parameter: Parameter, above: tuple[float, float]) -> None:
    """Expect that at least a fifth of the first proposals lie on the better side of each of two values."""
    values = [it["tuned"] for it in _first(subject, {**CUBE, "tuned": parameter})]
    advise_unseeded(subject)
    low, high = (sum(value > limit for value in values) / len(values) for limit in above)
    expect(
        low >= 0.2 and 1 - high >= 0.2,
        did=f"searched {parameter}",
        seen=f"{low:.0%} of the first proposals are above {above[0]:g} and {high:.0%} above {above[1]:g}",
        expected="at least 20% above and at most 80%",
        mend=_CUBE,
    )


@check("values")
def minds_the_logarithmic_scale(subject: Subject) -> None:
    """In a logarithmic range from 1e-6 to 1, a fifth of the first proposals is above 1e-5, and one is below 0.03."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    _minds_the_scale(subject, ContinuousParameter(1e-6, 1, "Logarithmic"), (1e-5, 0.03))


@check("values")
def minds_the_reverse_logarithmic_scale(subject: Subject) -> None:
    """In a reverse logarithmic range to 0.9999, a fifth of the first proposals is above 0.97, and one below 0.9997."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    _minds_the_scale(subject, ContinuousParameter(0, 0.9999, "ReverseLogarithmic"), (0.97, 0.9997))
