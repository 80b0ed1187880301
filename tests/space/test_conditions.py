"""Conditional parameters: which are active, and what configurations and encodings make of the others."""

import json
import math
import random
from itertools import product

import pytest
import random_spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, InvalidInput, SearchSpace

BOOSTERS = SearchSpace(
    {
        "drop": ContinuousParameter(0, 1, when={"booster": ["dart"]}),
        "skip": CategoricalParameter(["yes", "no"], when={"booster": ["dart"], "depth": [2, 3]}),
        "booster": CategoricalParameter(["tree", "dart", "linear"]),
        "depth": IntegerParameter(1, 4, when={"booster": ["tree", "dart"]}),
    }
)


@pytest.mark.parametrize(
    "configuration",
    [
        {"booster": "linear"},
        {"booster": "tree", "depth": 2},
        {"drop": 0.1, "booster": "dart", "depth": 1},
        {"drop": 0.1, "skip": "no", "booster": "dart", "depth": 3},
    ],
    ids=["none", "one", "chain broken", "all"],
)
def test_a_configuration_holds_what_is_active(configuration):
    """It is accepted, and survives the unit cube and the bits."""
    assert BOOSTERS.check(configuration) == configuration
    assert list(BOOSTERS.check(dict(reversed(configuration.items())))) == list(configuration)
    assert BOOSTERS.decode(BOOSTERS.encode(configuration)) == configuration
    again = BOOSTERS.decode_bits(BOOSTERS.encode_bits(configuration))
    assert list(again) == list(configuration)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"booster": "tree", "depth": 2, "drop": 0.1}, ["drop", "inactive", "booster", "'tree'"]),
        ({"booster": "linear", "skip": "no"}, ["skip", "inactive", "booster", "'linear'"]),
        ({"booster": "dart", "depth": 1, "drop": 0.1, "skip": "no"}, ["skip", "inactive", "depth", "1"]),
        ({"booster": "dart", "depth": 1}, ["drop", "missing"]),
        ({"booster": "linear", "depht": 1}, ["depht", "depth"]),
        ({"booster": "drat", "drop": 0.1}, ["booster", "drat"]),
    ],
)
def test_a_configuration_with_other_parameters_is_refused(configuration, words):
    """One line names what is inactive and why, what is missing, and what is misspelt."""
    with pytest.raises(InvalidInput) as refused:
        BOOSTERS.check(configuration)
    assert all(word in str(refused.value) for word in words)


def test_an_inactive_parameter_has_a_constant_coordinate():
    """Encodings put it in the middle and its bits at zero; decodings ignore what stands there."""
    assert BOOSTERS.encode({"booster": "linear"}) == [0.5, 0.5, 5 / 6, 0.5]
    assert [BOOSTERS.decode([unit, 1 - unit, 5 / 6, unit]) for unit in (0, 0.3, 1)] == [{"booster": "linear"}] * 3
    bits = BOOSTERS.encode_bits({"booster": "linear"})
    assert bits[:11] == [0] * 11


def test_a_configuration_is_filled_and_settled_again():
    """`filled` gives every parameter a value, and `settle` takes those of inactive ones away."""
    whole = BOOSTERS.filled({"booster": "tree", "depth": 4})
    assert whole == {"drop": 0.5, "skip": "no", "booster": "tree", "depth": 4}
    assert BOOSTERS.settle(whole) == {"booster": "tree", "depth": 4}


def test_a_draw_is_taken_for_what_is_inactive_too():
    """The same draws give the same values whether other parameters are active or not."""
    free = SearchSpace({name: type(it)(*bounds(it)) for name, it in BOOSTERS.tunable.items()})
    for seed in range(50):
        whole = free.sample(random.Random(seed))
        assert BOOSTERS.sample(random.Random(seed)).items() <= whole.items()


def bounds(parameter):
    """The arguments that build a parameter again, without its condition."""
    return [parameter.values] if hasattr(parameter, "values") else [parameter.min_value, parameter.max_value]


def test_the_cardinality_counts_active_combinations():
    """Inactive parameters multiply nothing, and a continuous one counts only where it is active."""
    steps = {**BOOSTERS.parameters, "drop": IntegerParameter(1, 5, when={"booster": ["dart"]})}
    assert SearchSpace(steps).cardinality == 1 + 4 + 5 * (2 + 2 * 2)
    assert BOOSTERS.cardinality == math.inf
    wide = {"n": IntegerParameter(-(2**44), 2**44), "x": CategoricalParameter(["a", "b"], when={"n": [0, 7]})}
    assert SearchSpace(wide).cardinality == 2**45 + 3


@settings(deadline=None)
@given(number=st.integers(0, 999))
def test_the_parts_of_a_grid_are_its_active_combinations(number):
    """Each active combination is in exactly one part."""
    space = random_spaces.space(number, tight=False)
    grid = {name: some(it) for name, it in space.tunable.items()}
    found = [
        tuple(dict(zip(part, point, strict=True)).items())
        for part in space.parts(grid)
        for point in product(*part.values())
    ]
    free = SearchSpace(space.parameters)
    wanted = {tuple(free.settle(dict(zip(grid, point, strict=True))).items()) for point in product(*grid.values())}
    assert len(set(found)) == len(found)
    assert set(found) == wanted


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"nothing": [1]}, ["'x'", "'nothing'"]),
        ({"rate": [0.5]}, ["'x'", "'rate'", "continuous"]),
        ({"kind": ["c"]}, ["'x'", "'kind'", "'c'"]),
        ({"kind": ["a", True]}, ["'x'", "'kind'", "True"]),
        ({"n": [5]}, ["'x'", "'n'", "5"]),
        ({"fixed": [1]}, ["'x'", "'fixed'"]),
        ({"x": [1]}, ["x", "circle"]),
        ({"y": [1]}, ["x, y", "circle"]),
    ],
    ids=["unknown", "continuous", "value", "type", "integer", "fixed", "itself", "circle"],
)
def test_a_condition_that_cannot_be_is_refused_at_birth(when, words):
    """One line names the parameter, its parent and the value."""
    others = {
        "rate": ContinuousParameter(0, 1),
        "kind": CategoricalParameter(["a", "b"]),
        "n": IntegerParameter(1, 4),
        "y": IntegerParameter(1, 4, when={"x": [1]}),
    }
    with pytest.raises(InvalidInput) as refused:
        SearchSpace.of({"x": IntegerParameter(1, 4, when=when), **others}, {"fixed": 1})
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("when", [{"a": []}, {"a": "dart"}, {"a": [None]}, {1: ["a"]}, ["a"]], ids=str)
def test_a_condition_of_another_form_is_refused(when):
    """What lists no value, or is no mapping to lists, builds no parameter."""
    with pytest.raises(InvalidInput, match="when"):
        ContinuousParameter(0, 1, when=when)


def test_conditions_survive_json_and_tell_parameters_apart():
    """A space without conditions has the JSON form of earlier releases."""
    restored = SearchSpace.from_json(json.loads(json.dumps(BOOSTERS.to_json())))
    assert restored == BOOSTERS
    assert ContinuousParameter(0, 1, when={"a": ["b"]}) != ContinuousParameter(0, 1)
    assert hash(ContinuousParameter(0, 1, when={"a": ["b"]})) == hash(ContinuousParameter(0, 1))
    assert "'dart'" in str(BOOSTERS.parameters["drop"])
    plain = SearchSpace({"x": ContinuousParameter(0, 1)}).to_json()
    assert not {"Conditions", "Constraints"} & plain.keys()


@pytest.mark.parametrize(
    "conditions", [[1], {"drop": 3}, {"drop": {"booster": 4}}, {"drop": {"booster": ["x"]}}], ids=str
)
def test_conditions_of_another_form_are_no_space(conditions):
    """A journal that somebody changed gives `InvalidInput`."""
    with pytest.raises(InvalidInput):
        SearchSpace.from_json({**BOOSTERS.to_json(), "Conditions": conditions})


def some(parameter):
    """A few values of a parameter, those first that a condition may name."""
    if isinstance(parameter, CategoricalParameter):
        return parameter.values
    if isinstance(parameter, IntegerParameter):
        return range(parameter.min_value, min(parameter.max_value, parameter.min_value + 3) + 1)
    return [parameter.min_value]


def test_conditions_of_what_is_not_tuned_are_refused():
    """A journal that somebody else wrote would otherwise open with another space."""
    body = SearchSpace({"x": ContinuousParameter(0, 1)}).to_json()
    with pytest.raises(InvalidInput, match="'a'"):
        SearchSpace.from_json({**body, "Conditions": {"a": None}})


def test_a_whole_number_given_as_a_float_is_found_at_once():
    """In a range of any size: its values are not walked through."""
    child = ContinuousParameter(0, 1, when={"n": [5e12]})
    space = SearchSpace({"n": IntegerParameter(1, 10**13), "x": child})
    assert space.cardinality > 10**12
