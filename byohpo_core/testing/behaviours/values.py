"""Checks of proposals: inside the space, of plain types, and not changed later."""

import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import itemgetter
from typing import Any

from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Proposal, Trial
from byohpo_core.testing.algorithm import CUBE, Outcome, Subject, constant
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.check import MAY_END_EARLY, NOT_SEEDED, TOO_SLOW, advise, applicable, check, expect
from byohpo_core.testing.habits import advise_unseeded
from byohpo_core.testing.rehearsal import proposals, rehearse

_SEEDS = 12
_POSSIBLE = "make every value possible, both bounds included"
_COPY = "return a copy"
_SEARCHED = "asked for proposals"
_CUBE = "search in the unit cube (problem.space.decode)"


def _run(subject: Subject, parameters: Mapping[str, Parameter], jobs: int = 40) -> list[dict[str, Any]]:
    """Run a study in this space; the core checks that each proposal lies inside it."""
    made = proposals(subject, subject.problem(parameters, jobs=jobs))
    expect(made, did=f"ran a study in a space of {len(parameters)}", seen="no proposal", expected=f"{jobs} trials")
    return made


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


def _answers(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[list[tuple[Any, Any]]]:
    """Each answer: its proposals as they were returned, each with a copy that was made at once."""
    with rehearse(subject, subject.problem(parameters or subject.mixed, jobs=40)) as rehearsal:
        rehearsal.run(together=2)
        return rehearsal.answers


def _raw(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[tuple[Any, Any]]:
    """Each proposal as it was returned, with a copy that was made at once."""
    return [pair for answer in _answers(subject, parameters) for pair in answer]


def _mapping(proposal: Any) -> Mapping[str, Any]:
    return proposal.hyperparameters if isinstance(proposal, Proposal) else proposal


def _mappings(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[Mapping[str, Any]]:
    return [_mapping(proposal) for proposal, _ in _raw(subject, parameters)]


@check("values")
def stays_inside_a_mixed_space(subject: Subject) -> None:
    """Every proposal lies inside a space with all kinds of parameters."""
    _run(subject, subject.mixed, 60)


@check("values")
def stays_inside_a_logarithmic_range(subject: Subject) -> None:
    """Every proposal lies inside a logarithmic range of six orders of magnitude."""
    _run(subject, {"rate": ContinuousParameter(1e-6, 1, "Logarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_reverse_logarithmic_range(subject: Subject) -> None:
    """Every proposal lies inside a reverse logarithmic range that ends close to 1."""
    _run(subject, {"momentum": ContinuousParameter(0, 0.9999, "ReverseLogarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_negative_range(subject: Subject) -> None:
    """Every proposal lies inside a continuous and an integer range below zero."""
    _run(subject, {"x": ContinuousParameter(-7.5, -2.5), "n": IntegerParameter(-9, -3)})


@check("values")
def stays_inside_a_tiny_range(subject: Subject) -> None:
    """Every proposal lies inside the narrow range from 1000 to 1000.001."""
    _run(subject, {"x": ContinuousParameter(1000.0, 1000.001), "y": ContinuousParameter(0, 1)})


@check("values")
def works_with_auto_scaling(subject: Subject) -> None:
    """Every proposal lies inside ranges whose scale is chosen automatically, also wide and negative ones."""
    ranges = ((1e-5, 1), (0, 1e6), (-1e3, -1e-3), (1, 3))
    space: dict[str, Parameter] = {f"x{place}": ContinuousParameter(*bounds) for place, bounds in enumerate(ranges)}
    made = _run(subject, {**space, "n": IntegerParameter(1, 10_000, "Auto")})
    applicable(subject.traits.seeded, NOT_SEEDED)
    advise_unseeded(subject)
    low = [it["x0"] < 0.03 for it in made + _first(subject, {**space, "n": IntegerParameter(1, 10_000)})]
    seen = f"{sum(low)} of {len(low)} proposals below 0.03"
    expect(sum(low) >= 0.2 * len(low), did="searched from 1e-5 to 1 (Auto)", seen=seen, expected="20%", mend=_CUBE)


@check("values")
def bears_any_name(subject: Subject) -> None:
    """Parameters may have any name: with spaces, hyphens and umlauts, of Python's keywords, or of 256 letters."""
    names = ("batch-size", "class", "ö 1", "n" * 256, "self", "0", "count", "__dict__", "%s {x}")
    _run(subject, {name: ContinuousParameter(0, 1) for name in names})
    _run(subject, {name: IntegerParameter(0, 9) for name in names})


@check("values")
def works_in_one_dimension(subject: Subject) -> None:
    """With one continuous parameter, the algorithm spends the whole budget."""
    made = _run(subject, {"x": ContinuousParameter(0, 1)})
    spends(subject, len(made), subject.few(40), "ran a study with one parameter")


@check("values")
def works_in_thirty_dimensions(subject: Subject) -> None:
    """With thirty continuous parameters, the algorithm spends the whole budget."""
    made = _run(subject, {f"x{axis}": ContinuousParameter(0, 1) for axis in range(30)})
    spends(subject, len(made), subject.few(40), "ran a study with 30 parameters")


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


@check("values")
def works_with_whole_numbers_only(subject: Subject) -> None:
    """The algorithm works in a space of two integer parameters."""
    _run(subject, {"n": IntegerParameter(0, 6), "m": IntegerParameter(1, 5)})


@check("values")
def works_with_categories_only(subject: Subject) -> None:
    """The algorithm works in a space of two categorical parameters."""
    _run(subject, {"a": CategoricalParameter(list("abcde")), "b": CategoricalParameter([1, 2, 3])})


@check("values")
def works_with_a_huge_integer_range(subject: Subject) -> None:
    """The algorithm works with an integer range of a million values."""
    _run(subject, {"n": IntegerParameter(1, 1_000_000), "x": ContinuousParameter(0, 1)})


@check("values")
def works_where_one_parameter_has_one_value(subject: Subject) -> None:
    """A parameter that has only one possible value always has that value."""
    one: dict[str, Parameter] = {
        "x": ContinuousParameter(2, 2),
        "n": IntegerParameter(3, 3),
        "c": CategoricalParameter(["a"]),
    }
    for it in _run(subject, {**one, "y": CUBE["x0"]}):
        found = {name: it[name] for name in one}
        expect(found == {"x": 2, "n": 3, "c": "a"}, did=_SEARCHED, seen=f"{found}", expected="x=2, n=3 and c='a'")


@check("values")
def works_in_a_space_of_one_point(subject: Subject) -> None:
    """In a space of one point, every proposal is that point."""
    for it in _run(subject, {"n": IntegerParameter(3, 3)}, 6):
        expect(it == {"n": 3}, did=_SEARCHED, seen=f"{it}", expected="n=3")


@check("values")
def proposes_every_name_and_no_other(subject: Subject) -> None:
    """Each proposal has every tuned parameter and no unknown one, and does not change a static one."""
    tuned = {name for name, it in subject.mixed.items() if not isinstance(it, StaticParameter)}
    for answer in _mappings(subject):
        names = f"the names {', '.join(answer)}"
        expect(
            tuned <= set(answer) <= set(subject.mixed),
            did=_SEARCHED,
            seen=names,
            expected=f"{', '.join(subject.mixed)}",
        )
        batch = answer.get("batch", 100)
        expect(batch == 100, did="fixed batch=100", seen=f"batch={batch!r}", expected="100", mend="leave it out")


@check("values")
def proposes_plain_floats(subject: Subject) -> None:
    """Values of continuous parameters are of type `float` or `int`, not other numbers or texts."""
    for answer in _mappings(subject):
        for name in ("x", "rate", "momentum"):
            _of_type(answer, name, float, int)


@check("values")
def proposes_plain_integers(subject: Subject) -> None:
    """Values of integer parameters are of type `int`, not `bool`, `float` or NumPy integers."""
    for answer in _mappings(subject):
        if "layers" in answer:
            _of_type(answer, "layers", int)


def _of_type(answer: Mapping[str, Any], name: str, *types: type) -> None:
    value, wanted = answer[name], " or ".join(it.__name__ for it in types)
    # A NumPy float64 is a float. A bool is an int for Python, but not for a training script.
    right = isinstance(value, types) and not isinstance(value, bool)
    seen = f"{name}={value!r} of type {type(value).__name__}"
    expect(right, did=_SEARCHED, seen=seen, expected=wanted, mend=f"convert it with {types[0].__name__}()")


@check("values")
def proposes_categories_as_they_are(subject: Subject) -> None:
    """Categorical values keep their type: a text stays a text, True stays True, and 1 is not "1"."""
    given: dict[str, list[Any]] = {"kind": ["a", "b", "c"], "flag": [True, False], "size": [1, 2.5, "1"]}
    parameters = {name: CategoricalParameter(values) for name, values in given.items()}
    for answer in _mappings(subject, parameters):
        for name, values in given.items():
            same = [it for it in values if type(it) is type(answer[name]) and it == answer[name]]
            seen, expected = f"{name}={answer[name]!r}", f"one of {values} as it is"
            expect(same, did=_SEARCHED, seen=seen, expected=expected)


@check("values")
def leaves_its_answers_alone(subject: Subject) -> None:
    """The algorithm does not change its proposals after it has returned them."""
    for answer, copied in _raw(subject):
        seen = f"{answer} instead of {copied}"
        expect(answer == copied, did="looked at a proposal later", seen=seen, expected="no change", mend=_COPY)


@check("values")
def gives_each_proposal_a_mapping_of_its_own(subject: Subject) -> None:
    """Each proposal of an answer is a mapping of its own."""
    for answer in _answers(subject):
        mappings = {id(_mapping(proposal)) for proposal, _ in answer}
        seen = f"{len(mappings)} mappings in {len(answer)} proposals"
        expect(len(mappings) == len(answer), did=_SEARCHED, seen=seen, expected=f"{len(answer)}", mend=_COPY)


@check("values")
def gives_keys_that_survive_the_journal(subject: Subject) -> None:
    """The key of a proposal is the same after it was written as JSON and read again."""
    for answer, _ in _raw(subject):
        if isinstance(answer, Proposal):
            read, mend = json.loads(json.dumps(answer.key)), "use a text, a number or a list"
            expect(read == answer.key, did="read a key again", seen=f"{read!r}", expected=f"{answer.key!r}", mend=mend)


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


@check("values")
def does_not_repeat_itself_at_the_start(subject: Subject) -> None:
    """The first proposals in a continuous space are different."""
    for asked in (64, 1):
        made = proposals(subject, subject.problem(CUBE, jobs=24, slots=8), asked=asked)
        different = len({tuple(it.values()) for it in made})
        seen = f"{different} of the first {len(made)} proposals are different"
        expected = "all, since a repeat shares a known result"
        did = f"asked for at most {asked} proposals at once"
        expect(1.6 * different >= len(made), did=did, seen=seen, expected=expected, mend="draw new points in each call")
        advise(different == len(made), f"only {seen}; a repeat shares a known result and teaches nothing")
