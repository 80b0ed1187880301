"""Constraints: what is refused, and how a point outside becomes a configuration inside."""

import json
import random

import pytest
import random_spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    SearchSpace,
    StaticParameter,
    remembering,
)

LAYERS, BATCH = Constraint({"layers": 64, "batch": 1}, at_most=1024), {"batch": 1, "rate": -0.5}
NETWORK = {
    "layers": IntegerParameter(1, 64),
    "batch": IntegerParameter(1, 1024),
    "rate": ContinuousParameter(1e-4, 1),
    "free": ContinuousParameter(0, 1),
    "factor": StaticParameter(2),
}
SPACE = SearchSpace(NETWORK, [LAYERS, Constraint(BATCH, at_most=512, log=True)])
TRIANGLE = {name: ContinuousParameter(0, 1) for name in "xyz"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layers": 16, "batch": 1}, ["layers=16", "batch=1", "1025", str(LAYERS)]),
        ({"layers": 1, "batch": 512, "rate": 0.25}, ["batch=512", "rate=0.25", "1024", "512"]),
    ],
)
def test_a_configuration_that_breaks_a_constraint_is_refused(values, words):
    """One line names the constraint, the values and what they give."""
    with pytest.raises(InvalidInput) as refused:
        SPACE.check({"layers": 1, "batch": 1, "rate": 1, "free": 0.5, **values})
    assert all(word in str(refused.value) for word in words)


def test_the_bound_itself_is_allowed():
    """Rounding breaks no constraint: the bound counts as inside, in sums and in products."""
    SPACE.check({"layers": 15, "batch": 64, "rate": 1.0, "free": 0})
    SPACE.check({"layers": 1, "batch": 256, "rate": 0.25, "free": 0})
    tenths = SearchSpace(TRIANGLE, [Constraint(dict.fromkeys("xyz", 1), at_most=0.6, at_least=0.6)])
    assert tenths.contains({"x": 0.1, "y": 0.2, "z": 0.3})
    assert not tenths.contains({"x": 0.1, "y": 0.2, "z": 0.300001})


def test_a_fixed_value_takes_part():
    """A constraint may name a fixed hyperparameter: its value counts."""
    space = SearchSpace(NETWORK, [Constraint({"factor": 100, "batch": 1}, at_most=250)])
    assert max(space.sample(random.Random(seed))["batch"] for seed in range(50)) <= 50
    assert max(space.decode([unit] * space.dimension)["batch"] for unit in (0.0, 0.5, 1.0)) == 50


def test_a_point_outside_moves_only_what_it_must():
    """What no broken constraint names keeps its value, and what is moved comes close to the bound."""
    wish = {"layers": 40, "batch": 8, "rate": 0.01, "free": 0.123}
    assert SPACE.decode(SPACE.encode(wish)) == {**wish, "layers": 15}
    far = SPACE.decode(SPACE.encode({"layers": 1, "batch": 1000, "rate": 0.04, "free": 0.5}))
    assert far["layers"] == 1
    assert 500 < far["batch"] / far["rate"] ** 0.5 <= 512 * (1 + 1e-9)


def test_an_equality_is_reached_from_everywhere():
    """With both bounds equal, different points become different configurations on the plane."""
    space = SearchSpace(TRIANGLE, [Constraint(dict.fromkeys("xyz", 1), at_most=1, at_least=1)])
    draws = random.Random(1)
    made = [space.sample(draws) for _ in range(50)]
    assert len({tuple(it.values()) for it in made}) == 50
    assert all(abs(sum(it.values()) - 1) < 1e-8 for it in made)


@settings(deadline=None)
@given(number=st.integers(0, 999), data=st.data())
def test_every_point_and_bit_string_becomes_a_configuration_that_obeys(number, data):
    """It obeys, and is a fixed point of the encodings."""
    space = random_spaces.space(number)
    unit = st.floats(0, 1)
    made = [
        space.decode(data.draw(st.lists(unit, min_size=space.dimension, max_size=space.dimension))),
        space.decode_bits(data.draw(st.lists(st.integers(0, 1), min_size=(n := space.bit_length()), max_size=n))),
        space.sample(random.Random(number)),
    ]
    for configuration in made:
        assert space.check(configuration) == configuration
        assert list(space.check(configuration)) == list(configuration)
        assert space.decode(space.encode(configuration)) == configuration


def test_a_constraint_waits_for_its_parameters():
    """It does not apply while one of them is inactive."""
    space = SearchSpace(
        {
            "kind": CategoricalParameter(["small", "large"]),
            "size": IntegerParameter(1, 100, when={"kind": ["large"]}),
            "batch": IntegerParameter(1, 100),
        },
        [Constraint({"size": 1, "batch": 1}, at_most=50)],
    )
    assert space.contains({"kind": "small", "batch": 100})
    assert not space.contains({"kind": "large", "size": 1, "batch": 100})
    sampled = [space.sample(random.Random(seed)) for seed in range(100)]
    assert {it["kind"] for it in sampled} == {"small", "large"}
    assert all(space.contains(it) for it in sampled)


def test_a_space_without_a_feasible_point_is_refused_at_birth():
    """One line names the constraints, and says whether that is proved."""
    sides = [Constraint({"x": 1, "y": -1}, at_least=0.5), Constraint({"y": 1, "z": -1}, at_least=0.3)]
    with pytest.raises(InvalidInput) as refused:
        SearchSpace(TRIANGLE, [*sides, Constraint({"x": 1, "z": -1}, at_most=0.7)])
    assert all(str(side) in str(refused.value) for side in sides)
    assert "no configuration obeys" in str(refused.value)
    odd = {name: IntegerParameter(0, 2**40) for name in "xy"}
    with pytest.raises(InvalidInput, match="was found"):
        SearchSpace(odd, [Constraint({"x": 2, "y": 4}, at_most=10001, at_least=10001)])


def test_a_narrow_band_between_whole_numbers_is_found():
    """On logarithmic scales, where an index says little about how far two values are apart."""
    SearchSpace(
        {"a": ContinuousParameter(0.0066, 14.5), "b": IntegerParameter(2, 10002)},
        [Constraint({"a": 1, "b": 1}, at_least=7.315, at_most=7.685), Constraint({"a": -2, "b": 1}, at_most=7.3)],
    )


def test_a_category_decides_whether_a_space_has_a_point():
    """The numbers of a categorical parameter are looked at one by one; each condition is minded."""
    sizes = {"size": CategoricalParameter([64, 8, 256]), "n": IntegerParameter(1, 4)}
    space = SearchSpace(sizes, [Constraint({"size": 1, "n": 1}, at_most=10)])
    assert {space.sample(random.Random(seed))["size"] for seed in range(20)} == {8}
    with pytest.raises(InvalidInput, match="size"):
        SearchSpace(sizes, [Constraint({"size": 1}, at_most=7)])


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (Constraint({"layres": 1}, at_most=1), ["layres", "layers"]),
        (Constraint({"kind": 1}, at_most=1), ["kind", "'a'"]),
        (Constraint({"flag": 1}, at_most=1), ["flag", "True"]),
        (Constraint({"free": 1}, at_most=1, log=True), ["free", "logarithm"]),
        (Constraint({"name": 1}, at_most=1), ["name", "fixed"]),
        ("batch <= 5", ["batch <= 5"]),
    ],
    ids=["unknown", "label", "bool", "logarithm of 0", "fixed text", "no constraint"],
)
def test_a_constraint_that_does_not_fit_the_space_is_refused(constraint, words):
    """One line names the constraint and the hyperparameter."""
    others = {"kind": CategoricalParameter(["a", "b"]), "flag": CategoricalParameter([True, False])}
    with pytest.raises(InvalidInput) as refused:
        SearchSpace.of({**NETWORK, **others}, {"name": "resnet"}, [constraint])
    assert all(word in str(refused.value) for word in words)
    assert "resnet" not in str(refused.value)  # a fixed value may be secret


@pytest.mark.parametrize(
    ("coefficients", "settings"),
    [
        ({}, {"at_most": 1}),
        (["x"], {"at_most": 1}),
        ({"x": "1"}, {"at_most": 1}),
        ({"x": float("nan")}, {"at_most": 1}),
        ({"x": 1}, {}),
        ({"x": 1}, {"at_most": "1"}),
        ({"x": 1}, {"at_most": True}),
        ({"x": 1}, {"at_most": 1, "at_least": 2}),
        ({"x": 1}, {"at_most": 0, "log": True}),
        ({"x": 1}, {"at_most": 1, "log": 1}),
    ],
    ids=str,
)
def test_a_constraint_of_another_form_is_refused(coefficients, settings):
    """It has a number for each hyperparameter, and one bound or two in order."""
    with pytest.raises(InvalidInput):
        Constraint(coefficients, **settings)


def test_constraints_survive_json():
    """A restored space is equal, and one with other constraints is not."""
    restored = SearchSpace.from_json(json.loads(json.dumps(SPACE.to_json())))
    assert restored == SPACE
    assert SearchSpace(NETWORK, [LAYERS]) != SPACE
    assert SearchSpace(NETWORK).to_json().keys() == SPACE.to_json().keys() - {"Constraints"}


@pytest.mark.parametrize(
    "constraints",
    [{"x": 1}, [1], [{"Coefficients": 1}], [{"Coefficients": {"layers": 1}, "AtMost": "1"}]],
    ids=str,
)
def test_constraints_of_another_form_are_no_space(constraints):
    """A journal that somebody changed gives `InvalidInput`."""
    with pytest.raises(InvalidInput):
        SearchSpace.from_json({**SPACE.to_json(), "Constraints": constraints})


def test_a_value_that_is_remembered_breaks_no_constraint():
    """An optimiser's rounded value becomes the known one again, unless the known one is outside with the others."""
    wide = {"x": ContinuousParameter(1e-300, 1), "y": ContinuousParameter(0, 1)}
    space = SearchSpace(wide, [Constraint({"x": 1, "y": 1}, at_most=0.75)])
    encode, decode = remembering(space, space.encode, space.decode)
    known = {"x": 0.25, "y": 0.5}
    x, y = map(float, encode(known))
    assert decode([x - 1e-12, y]) == known
    assert space.contains(decode([x - 4e-10, y + 5e-8]))


def test_a_small_range_is_all_inside_or_left_out():
    """Half the tolerance decides about ranges, so that no search ends between the two."""
    most = Constraint({"x": 1}, at_most=1)
    assert [most.allows({"x": 1 + over}) for over in (0.9e-9, 1.5e-9, 3e-9)] == [True, True, False]
    assert [most.may_allow({"x": (1 + over, 1 + over)}) for over in (0.9e-9, 1.5e-9)] == [True, False]


def test_a_constraint_that_overflows_is_refused():
    """Infinity less infinity is no number, and would allow everything."""
    with pytest.raises(InvalidInput, match=r"too large.*'x'"):
        SearchSpace(
            {"x": ContinuousParameter(1, 10), "y": ContinuousParameter(1, 10)},
            [Constraint({"x": 1e308, "y": 1}, at_most=5)],
        )
