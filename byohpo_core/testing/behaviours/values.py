"""Checks of proposals: inside the space, of plain types, and not changed later."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.study.trial import Proposal
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject
from byohpo_core.testing.check import NOT_SEEDED, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_SEEDS = 12


def _run(subject: Subject, parameters: Mapping[str, Parameter], jobs: int = 40) -> list[dict[str, Any]]:
    """Run a study in this space; the core checks that each proposal lies inside it."""
    made = proposals(subject, subject.problem(parameters, jobs=jobs))
    assert made, "the algorithm proposes nothing"
    return made


def _first(subject: Subject, parameters: Mapping[str, Parameter], count: int = 8) -> Iterator[dict[str, Any]]:
    """The first proposals with several seeds."""
    for seed in range(_SEEDS):
        yield from proposals(subject, subject.problem(parameters, seed=seed, jobs=count))


def _raw(subject: Subject, parameters: Mapping[str, Parameter] = MIXED) -> list[tuple[Any, Any]]:
    """Each proposal as it was returned, with a copy that was made at once."""
    with rehearse(subject, subject.problem(parameters, jobs=40)) as rehearsal:
        rehearsal.run()
        return rehearsal.answers


def _mappings(subject: Subject, parameters: Mapping[str, Parameter] = MIXED) -> list[Mapping[str, Any]]:
    return [
        answer.hyperparameters if isinstance(answer, Proposal) else answer for answer, _ in _raw(subject, parameters)
    ]


@check("values")
def stays_inside_a_mixed_space(subject: Subject) -> None:
    """Every proposal lies inside a space with all kinds of parameters."""
    _run(subject, MIXED, 60)


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
def works_in_one_dimension(subject: Subject) -> None:
    """With one continuous parameter, the algorithm makes at least two proposals."""
    made = _run(subject, {"x": ContinuousParameter(0, 1)})
    assert len(made) >= 2 or subject.traits.finite, f"the algorithm stopped proposing after {len(made)} of 40 trials"


@check("values")
def works_in_thirty_dimensions(subject: Subject) -> None:
    """With thirty continuous parameters, the algorithm makes all 40 proposals."""
    applicable(
        not subject.traits.finite or not subject.options,
        "the algorithm is finite and has options that limit the space (traits.finite is True)",
    )
    assert len(_run(subject, {f"x{axis}": ContinuousParameter(0, 1) for axis in range(30)})) == 40


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
    assert all((it["x"], it["n"], it["c"]) == (2, 3, "a") for it in _run(subject, {**one, "y": CUBE["x0"]}))


@check("values")
def works_in_a_space_of_one_point(subject: Subject) -> None:
    """In a space of one point, every proposal is that point."""
    assert all(it == {"n": 3} for it in _run(subject, {"n": IntegerParameter(3, 3)}, 6))


@check("values")
def proposes_every_name_and_no_other(subject: Subject) -> None:
    """Each proposal has every tuned parameter and no unknown one, and does not change a static one."""
    tuned = {name for name, it in MIXED.items() if not isinstance(it, StaticParameter)}
    for answer in _mappings(subject):
        assert tuned <= set(answer) <= set(MIXED), f"a proposal has {sorted(answer)}; the space has {sorted(MIXED)}"
        assert answer.get("batch", 100) == 100, (
            f"a proposal changes the static parameter batch from 100 to {answer['batch']!r}"
        )


@check("values")
def proposes_plain_floats(subject: Subject) -> None:
    """Values of continuous parameters are of type `float` or `int`, not NumPy scalars or texts."""
    for answer in _mappings(subject):
        for name in ("x", "rate", "momentum"):
            assert type(answer[name]) in (float, int), (
                f"the value of {name} is {answer[name]!r} of type {type(answer[name]).__name__}; "
                "convert it with float()"
            )


@check("values")
def proposes_plain_integers(subject: Subject) -> None:
    """Values of integer parameters are of type `int`, not `bool`, `float` or NumPy integers."""
    for answer in _mappings(subject):
        assert type(answer["layers"]) is int, (
            f"the value of layers is {answer['layers']!r} of type {type(answer['layers']).__name__}; "
            "convert it with int()"
        )


@check("values")
def proposes_categories_as_they_are(subject: Subject) -> None:
    """Categorical values keep their type: a text stays a text, True stays True, and 1 is not "1"."""
    given: dict[str, list[Any]] = {"kind": ["a", "b", "c"], "flag": [True, False], "size": [1, 2.5, "1"]}
    parameters = {name: CategoricalParameter(values) for name, values in given.items()}
    for answer in _mappings(subject, parameters):
        for name, values in given.items():
            same = [it for it in values if type(it) is type(answer[name]) and it == answer[name]]
            assert same, f"the value of {name} is {answer[name]!r}; take one of {values} as it is"


@check("values")
def leaves_its_answers_alone(subject: Subject) -> None:
    """The algorithm does not change its proposals after it has returned them."""
    for answer, copied in _raw(subject):
        assert answer == copied, f"the algorithm changed its proposal {copied} to {answer} later; return a copy"


@check("values")
def gives_each_proposal_a_mapping_of_its_own(subject: Subject) -> None:
    """Each proposal is a mapping of its own."""
    mappings = _mappings(subject)
    assert len({id(it) for it in mappings}) == len(mappings), (
        "the algorithm returned one mapping twice; return a copy each time"
    )


@check("values")
def gives_keys_that_survive_the_journal(subject: Subject) -> None:
    """The key of a proposal is the same after it was written as JSON and read again."""
    for answer, _ in _raw(subject):
        if isinstance(answer, Proposal):
            assert json.loads(json.dumps(answer.key)) == answer.key, (
                f"the key {answer.key!r} changes in JSON; use a text, a number or a list"
            )


@check("values")
def reaches_every_whole_number(subject: Subject) -> None:
    """Over several seeds, the first proposals contain every value of an integer parameter."""
    seen = {it["n"] for it in _first(subject, {"n": IntegerParameter(1, 4), "m": IntegerParameter(1, 4)})}
    applicable(subject.traits.seeded or seen == {1, 2, 3, 4}, NOT_SEEDED)
    assert seen == {1, 2, 3, 4}, f"only {sorted(seen)} of 1 to 4 were proposed in {_SEEDS} studies; include both bounds"


@check("values")
def reaches_every_category(subject: Subject) -> None:
    """Over several seeds, the first proposals contain every value of a categorical parameter."""
    seen = {it["c"] for it in _first(subject, {"c": CategoricalParameter(list("abcd")), "n": IntegerParameter(1, 4)})}
    applicable(subject.traits.seeded or len(seen) == 4, NOT_SEEDED)
    assert seen == set("abcd"), (
        f"only {sorted(seen)} of a to d were proposed in {_SEEDS} studies; include every category"
    )


@check("values")
def reaches_both_halves_of_a_continuous_range(subject: Subject) -> None:
    """Over several seeds, the first proposals reach the lowest and the highest quarter of a range."""
    seen = [it["x0"] for it in _first(subject, CUBE)]
    assert min(seen) < 0.25, (
        f"the lowest of {len(seen)} first proposals in [0, 1] is {min(seen)}; start in the whole range"
    )
    assert max(seen) > 0.75, (
        f"the highest of {len(seen)} first proposals in [0, 1] is {max(seen)}; start in the whole range"
    )


@check("values")
def minds_the_logarithmic_scale(subject: Subject) -> None:
    """In a logarithmic range from 1e-6 to 1, 20% to 80% of the first proposals are below 1e-3."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    rates = [it["rate"] for it in _first(subject, {**CUBE, "rate": ContinuousParameter(1e-6, 1, "Logarithmic")})]
    low = sum(rate < 1e-3 for rate in rates) / len(rates)
    assert 0.2 <= low <= 0.8, (
        f"{low:.0%} of the first proposals are below 1e-3; search in the unit cube (problem.space.decode)"
    )


@check("values")
def minds_the_reverse_logarithmic_scale(subject: Subject) -> None:
    """In a reverse logarithmic range from 0 to 0.9999, 20% to 80% of the first proposals are above 0.99."""
    given = {**CUBE, "momentum": ContinuousParameter(0, 0.9999, "ReverseLogarithmic")}
    applicable(subject.traits.seeded, NOT_SEEDED)
    values = [it["momentum"] for it in _first(subject, given)]
    high = sum(value > 0.99 for value in values) / len(values)
    assert 0.2 <= high <= 0.8, (
        f"{high:.0%} of the first proposals are above 0.99; search in the unit cube (problem.space.decode)"
    )


@check("values")
def does_not_repeat_itself_at_the_start(subject: Subject) -> None:
    """At least six of the first eight proposals in a continuous space are different."""
    made = proposals(subject, subject.problem(CUBE, jobs=8))
    different = {tuple(it.values()) for it in made}
    assert len(different) >= min(6, len(made)), (
        f"only {len(different)} of the first {len(made)} proposals are different; draw new points"
    )
