"""What is proposed: inside the space, in plain Python, and the proposer's no more."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from byohpo_core.space import CategoricalParameter, ContinuousParameter, IntegerParameter, Parameter, StaticParameter
from byohpo_core.study import Proposal
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject
from byohpo_core.testing.check import applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_SEEDS = 12


def _run(subject: Subject, parameters: Mapping[str, Parameter], jobs: int = 40) -> list[dict[str, Any]]:
    """A study in this space, whose every proposal the core accepts."""
    made = proposals(subject, subject.problem(parameters, jobs=jobs))
    assert made, "nothing was proposed"
    return made


def _first(subject: Subject, parameters: Mapping[str, Parameter], count: int = 8) -> Iterator[dict[str, Any]]:
    """What is proposed first, with several seeds."""
    for seed in range(_SEEDS):
        yield from proposals(subject, subject.problem(parameters, seed=seed, jobs=count))


def _raw(subject: Subject, parameters: Mapping[str, Parameter] = MIXED) -> list[tuple[Any, Any]]:
    """The answers themselves, and copies made when they were given."""
    with rehearse(subject, subject.problem(parameters, jobs=40)) as rehearsal:
        rehearsal.run()
        return rehearsal.answers


def _mappings(subject: Subject, parameters: Mapping[str, Parameter] = MIXED) -> list[Mapping[str, Any]]:
    return [
        answer.hyperparameters if isinstance(answer, Proposal) else answer for answer, _ in _raw(subject, parameters)
    ]


@check("values")
def stays_inside_a_mixed_space(subject: Subject) -> None:
    """Every proposal lies in a space of all kinds of parameters."""
    _run(subject, MIXED, 60)


@check("values")
def stays_inside_a_logarithmic_range(subject: Subject) -> None:
    """Also over six orders of magnitude."""
    _run(subject, {"rate": ContinuousParameter(1e-6, 1, "Logarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_reverse_logarithmic_range(subject: Subject) -> None:
    """Also close to 1."""
    _run(subject, {"momentum": ContinuousParameter(0, 0.9999, "ReverseLogarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_negative_range(subject: Subject) -> None:
    """Both bounds below zero, as numbers and as whole numbers."""
    _run(subject, {"x": ContinuousParameter(-7.5, -2.5), "n": IntegerParameter(-9, -3)})


@check("values")
def stays_inside_a_tiny_range(subject: Subject) -> None:
    """A range that is narrow beside its offset."""
    _run(subject, {"x": ContinuousParameter(1000.0, 1000.001), "y": ContinuousParameter(0, 1)})


@check("values")
def works_in_one_dimension(subject: Subject) -> None:
    """A single continuous parameter."""
    made = _run(subject, {"x": ContinuousParameter(0, 1)})
    assert len(made) >= 2 or subject.traits.finite, f"only {len(made)} of 40 proposals"


@check("values")
def works_in_thirty_dimensions(subject: Subject) -> None:
    """Thirty continuous parameters; an algorithm that ends may be given a smaller space."""
    applicable(not subject.traits.finite or not subject.options, "a grid of thirty dimensions has no end")
    assert len(_run(subject, {f"x{axis}": ContinuousParameter(0, 1) for axis in range(30)})) == 40


@check("values")
def works_with_whole_numbers_only(subject: Subject) -> None:
    """Two integer parameters and no other."""
    _run(subject, {"n": IntegerParameter(0, 6), "m": IntegerParameter(1, 5)})


@check("values")
def works_with_categories_only(subject: Subject) -> None:
    """Two categorical parameters and no other."""
    _run(subject, {"a": CategoricalParameter(list("abcde")), "b": CategoricalParameter([1, 2, 3])})


@check("values")
def works_with_a_huge_integer_range(subject: Subject) -> None:
    """A million whole numbers."""
    _run(subject, {"n": IntegerParameter(1, 1_000_000), "x": ContinuousParameter(0, 1)})


@check("values")
def works_where_one_parameter_has_one_value(subject: Subject) -> None:
    """min_value equals max_value, and a single category."""
    one: dict[str, Parameter] = {
        "x": ContinuousParameter(2, 2),
        "n": IntegerParameter(3, 3),
        "c": CategoricalParameter(["a"]),
    }
    assert all((it["x"], it["n"], it["c"]) == (2, 3, "a") for it in _run(subject, {**one, "y": CUBE["x0"]}))


@check("values")
def works_in_a_space_of_one_point(subject: Subject) -> None:
    """It proposes that point, once or again and again."""
    assert all(it == {"n": 3} for it in _run(subject, {"n": IntegerParameter(3, 3)}, 6))


@check("values")
def proposes_every_name_and_no_other(subject: Subject) -> None:
    """Each answer has all tuned hyperparameters; fixed ones are left out or as they are."""
    tuned = {name for name, it in MIXED.items() if not isinstance(it, StaticParameter)}
    for answer in _mappings(subject):
        assert tuned <= set(answer) <= set(MIXED), f"it names {sorted(answer)}, the space {sorted(MIXED)}"
        assert answer.get("batch", 100) == 100, f"the fixed batch is {answer['batch']!r}"


@check("values")
def proposes_plain_floats(subject: Subject) -> None:
    """Continuous values are plain numbers: no NumPy scalars, no texts."""
    for answer in _mappings(subject):
        for name in ("x", "rate", "momentum"):
            assert type(answer[name]) in (float, int), f"{name} is {answer[name]!r}, a {type(answer[name]).__name__}"


@check("values")
def proposes_plain_integers(subject: Subject) -> None:
    """Whole values are `int` itself, not a bool, a float or a NumPy integer."""
    for answer in _mappings(subject):
        assert type(answer["layers"]) is int, f"layers is {answer['layers']!r}, a {type(answer['layers']).__name__}"


@check("values")
def proposes_categories_as_they_are(subject: Subject) -> None:
    """A text stays a text, True stays True, and 1 is not "1"."""
    given: dict[str, list[Any]] = {"kind": ["a", "b", "c"], "flag": [True, False], "size": [1, 2.5, "1"]}
    parameters = {name: CategoricalParameter(values) for name, values in given.items()}
    for answer in _mappings(subject, parameters):
        for name, values in given.items():
            same = [it for it in values if type(it) is type(answer[name]) and it == answer[name]]
            assert same, f"{name} is {answer[name]!r}, which is none of {values}"


@check("values")
def leaves_its_answers_alone(subject: Subject) -> None:
    """What it has answered is not changed later."""
    for answer, copied in _raw(subject):
        assert answer == copied, f"the answer {copied} became {answer}"


@check("values")
def gives_each_proposal_a_mapping_of_its_own(subject: Subject) -> None:
    """Two proposals do not share one mapping."""
    mappings = _mappings(subject)
    assert len({id(it) for it in mappings}) == len(mappings), "one mapping is proposed twice"


@check("values")
def gives_keys_that_survive_the_journal(subject: Subject) -> None:
    """A proposal's key is JSON-able and comes back the same."""
    for answer, _ in _raw(subject):
        if isinstance(answer, Proposal):
            assert json.loads(json.dumps(answer.key)) == answer.key, f"the key {answer.key!r} does not survive JSON"


@check("values")
def reaches_every_whole_number(subject: Subject) -> None:
    """Both bounds and all between are proposed first with some seed."""
    seen = {it["n"] for it in _first(subject, {"n": IntegerParameter(1, 4), "m": IntegerParameter(1, 4)})}
    applicable(subject.traits.seeded or seen == {1, 2, 3, 4}, "it always begins alike")
    assert seen == {1, 2, 3, 4}, f"of 1 to 4 only {sorted(seen)} were proposed in {_SEEDS} studies"


@check("values")
def reaches_every_category(subject: Subject) -> None:
    """The first and the last category too."""
    seen = {it["c"] for it in _first(subject, {"c": CategoricalParameter(list("abcd")), "n": IntegerParameter(1, 4)})}
    applicable(subject.traits.seeded or len(seen) == 4, "it always begins alike")
    assert seen == set("abcd"), f"of a to d only {sorted(seen)} were proposed in {_SEEDS} studies"


@check("values")
def reaches_both_halves_of_a_continuous_range(subject: Subject) -> None:
    """The first proposals of several seeds fall into the lowest and the highest quarter."""
    seen = [it["x0"] for it in _first(subject, CUBE)]
    assert min(seen) < 0.25, f"the lowest of {len(seen)} first proposals is {min(seen)}"
    assert max(seen) > 0.75, f"the highest of {len(seen)} first proposals is {max(seen)}"


@check("values")
def minds_the_logarithmic_scale(subject: Subject) -> None:
    """Of a range from 1e-6 to 1 about half of the first proposals lie below 1e-3."""
    applicable(subject.traits.seeded, "it always begins alike")
    rates = [it["rate"] for it in _first(subject, {**CUBE, "rate": ContinuousParameter(1e-6, 1, "Logarithmic")})]
    low = sum(rate < 1e-3 for rate in rates) / len(rates)
    assert 0.2 <= low <= 0.8, f"{low:.0%} of the first proposals lie in the lower half of a logarithmic range"


@check("values")
def minds_the_reverse_logarithmic_scale(subject: Subject) -> None:
    """Of a range from 0 to 0.9999 about half of the first proposals lie above 0.99."""
    given = {**CUBE, "momentum": ContinuousParameter(0, 0.9999, "ReverseLogarithmic")}
    applicable(subject.traits.seeded, "it always begins alike")
    values = [it["momentum"] for it in _first(subject, given)]
    high = sum(value > 0.99 for value in values) / len(values)
    assert 0.2 <= high <= 0.8, f"{high:.0%} of the first proposals lie in the upper half of a reverse logarithmic range"


@check("values")
def does_not_repeat_itself_at_the_start(subject: Subject) -> None:
    """The first proposals in a continuous space are different ones."""
    made = proposals(subject, subject.problem(CUBE, jobs=8))
    different = {tuple(it.values()) for it in made}
    assert len(different) >= min(6, len(made)), f"the first {len(made)} proposals are only {len(different)}"
