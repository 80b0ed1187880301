"""Parameters and search spaces: what cannot be built, and encodings that lose nothing."""

import copy
import json
import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    SearchSpace,
    StaticParameter,
)

bounds = st.floats(-1e9, 1e9, allow_nan=False).map(lambda x: x + 0.0)
units = st.floats(0, 1)


@st.composite
def continuous(draw):
    scaling = draw(st.sampled_from(["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]))
    within = {"Logarithmic": st.floats(1e-12, 1e12), "ReverseLogarithmic": st.floats(0, 0.999999)}.get(scaling, bounds)
    low, high = sorted((draw(within), draw(within)))
    return ContinuousParameter(low, high, scaling)


@st.composite
def integers(draw):
    scaling = draw(st.sampled_from(["Auto", "Linear", "Logarithmic"]))
    least = 1 if scaling == "Logarithmic" else -(2**44)
    low, high = sorted((draw(st.integers(least, 2**44)), draw(st.integers(least, 2**44))))
    return IntegerParameter(low, high, scaling)


categories = st.lists(st.text() | st.integers(2, 99), min_size=1, max_size=9, unique=True).map(CategoricalParameter)
statics = st.text(max_size=5).map(StaticParameter)
spaces = (
    st.dictionaries(
        st.text(min_size=1, max_size=8), continuous() | integers() | categories | statics, min_size=1, max_size=6
    )
    .filter(lambda parameters: any(not isinstance(it, StaticParameter) for it in parameters.values()))
    .map(SearchSpace)
)


@given(parameter=integers(), data=st.data())
def test_every_integer_survives_the_unit_cube(parameter, data):
    """decode(encode(v)) == v, with every scaling and up to 2**44."""
    value = data.draw(st.integers(parameter.min_value, parameter.max_value))
    assert parameter.decode(parameter.encode(value)) == value


@given(parameter=continuous(), data=st.data())
def test_every_float_survives_the_unit_cube(parameter, data):
    """decode(encode(v)) == v for whatever value a range holds, with every scaling."""
    value = data.draw(st.floats(parameter.min_value, parameter.max_value))
    unit = parameter.encode(value)
    assert 0 <= unit <= 1
    assert parameter.decode(unit) == value
    again = parameter.decode(copy.deepcopy(unit))
    assert (again, type(again)) == (value, float)


@given(parameter=continuous(), unit=units)
def test_a_coordinate_survives_but_for_rounding(parameter, unit):
    """decode stays inside the bounds; what it gives survives exactly, and its coordinate is a plain float's equal."""
    value = parameter.decode(unit)
    assert parameter.min_value <= value <= parameter.max_value
    again = parameter.encode(value)
    assert parameter.decode(again) == value
    width = parameter.max_value - parameter.min_value
    assert math.isclose(parameter.decode(float(again)), value, rel_tol=1e-9, abs_tol=1e-9 * width)


def test_a_remembered_value_belongs_to_its_parameter():
    """Elsewhere, computed with, or written down its coordinate is a number like any other."""
    rate, other = ContinuousParameter(1e-6, 1, "Logarithmic"), ContinuousParameter(1e-3, 1, "Logarithmic")
    values = [number / 1000 for number in range(1, 1000)]
    units = [rate.encode(value) for value in values]
    assert [rate.decode(unit) for unit in units] == values
    assert [rate.decode(float(unit)) for unit in units] != values
    assert [other.decode(unit) for unit in units] == [other.decode(float(unit)) for unit in units]
    assert {type(unit + 0.0) for unit in units} == {float}
    assert json.loads(json.dumps(units)) == units
    assert rate.decode(rate.encode(5)) == 1.0


@given(parameter=integers() | categories, unit=units)
def test_encoding_lands_in_the_share_of_the_value(parameter, unit):
    """What a coordinate decodes to is what its share's middle decodes to."""
    value = parameter.decode(unit)
    assert parameter.decode(parameter.encode(value)) == value


@pytest.mark.parametrize(
    "parameter",
    [IntegerParameter(-3, 6), IntegerParameter(10**12, 10**12 + 9), CategoricalParameter(list("abcdefghij"))],
    ids=["integers", "large integers", "categories"],
)
def test_all_values_have_equal_shares(parameter):
    """Ten values: each tenth of the unit interval belongs to one of them."""
    decoded = [parameter.decode((index + 0.5) / 1000) for index in range(1000)]
    assert all(decoded.count(value) == 100 for value in set(decoded))
    assert len(set(decoded)) == 10


def test_logarithmic_integers_have_shares_by_ratio():
    """Each doubling has about the same share."""
    parameter = IntegerParameter(1, 1024, "Logarithmic")
    decoded = [parameter.decode((index + 0.5) / 10000) for index in range(10000)]
    small, large = (sum(low <= value < 2 * low for value in decoded) for low in (8, 256))
    assert 0.9 < small / large < 1.1
    assert set(range(1, 50)) <= set(decoded)


@given(space=spaces, seed=st.integers(0, 999))
def test_samples_are_inside_and_every_encoding_keeps_them_there(space, seed):
    """Sampling, the unit cube, bits and JSON agree on what a configuration is."""
    sample = space.sample(random.Random(seed))
    assert space.check(sample) == sample
    assert space.decode(space.encode(sample)) == sample
    assert space.contains(space.decode_bits(space.encode_bits(sample)))
    assert list(sample) == list(space.tunable)
    assert space.complete(sample).keys() == space.parameters.keys()
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(space=spaces, data=st.data())
def test_every_bit_string_is_a_configuration(space, data):
    """Whatever crossover and mutation make of it."""
    bits = data.draw(st.lists(st.integers(0, 1), min_size=space.bit_length(), max_size=space.bit_length()))
    configuration = space.decode_bits(bits)
    assert space.check(configuration) == configuration


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 100, 1023, 1024])
@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic"])
def test_every_value_has_a_code(count, scaling):
    """decode_bits(encode_bits(v)) == v for each, with no more bits than needed."""
    space = SearchSpace({"n": IntegerParameter(1, count, scaling), "c": CategoricalParameter(range(count))})
    assert space.bit_length() == 2 * math.ceil(math.log2(count))
    for value in range(count):
        configuration = {"n": value + 1, "c": value}
        assert space.decode_bits(space.encode_bits(configuration)) == configuration


def test_neighbouring_codes_differ_in_one_bit():
    """Gray code: a small step is one flip."""
    space = SearchSpace({"n": IntegerParameter(0, 255)})
    codes = [space.encode_bits({"n": value}) for value in range(256)]
    assert all(sum(a != b for a, b in zip(*pair, strict=True)) == 1 for pair in pairwise(codes))


def test_the_resolution_sets_the_bits_of_a_continuous_parameter():
    """Both bounds have a code; a value comes back to within the resolution."""
    space = SearchSpace({"x": ContinuousParameter(-1, 3)})
    assert space.bit_length(0.25) == 2
    assert [space.decode_bits(bits, 0.25)["x"] for bits in ([0, 0], [1, 0])] == [-1, 3]
    assert space.decode_bits(space.encode_bits({"x": 0.123}))["x"] == pytest.approx(0.123, abs=4 / 1023)


@pytest.mark.parametrize(
    ("low", "high", "scaling"),
    [(1, 100, "Logarithmic"), (1, 99, "Linear"), (0, 1e9, "Linear"), (-1, 1, "Linear"), (1e-4, 1e-2, "Logarithmic")],
)
def test_auto_scaling_is_logarithmic_for_a_hundredfold_range_above_0(low, high, scaling):
    """min > 0 and max / min >= 100."""
    assert ContinuousParameter(low, high).scaling == scaling


def test_scalings_put_half_of_the_cube_where_they_say():
    """The middle of the unit interval: arithmetic, geometric, and geometric in the distance from 1."""
    assert ContinuousParameter(1, 100, "Linear").decode(0.5) == 50.5
    assert ContinuousParameter(1, 100, "Logarithmic").decode(0.5) == pytest.approx(10)
    assert ContinuousParameter(0, 0.99, "ReverseLogarithmic").decode(0.5) == pytest.approx(0.9)


def test_numpy_scalars_are_taken_and_become_plain():
    """As bounds, as values, as categories."""
    space = SearchSpace(
        {
            "x": ContinuousParameter(np.float64(0), np.int64(2)),
            "n": IntegerParameter(np.int32(1), np.float64(3)),
            "c": CategoricalParameter(np.array([1, 2])),
        }
    )
    checked = space.check({"x": np.float32(0.5), "n": np.int8(2), "c": np.int64(2)})
    assert [type(value) for value in checked.values()] == [float, int, int]
    assert type(space.parameters["x"].max_value) is float


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"x": 2.0, "c": "a"}, ["x: 2.0", "0.0 to 1.0"]),
        ({"x": "0.5", "c": "a"}, ["x", "'0.5'"]),
        ({"x": True, "c": "a"}, ["x", "True"]),
        ({"x": math.nan, "c": "a"}, ["x", "nan"]),
        ({"x": 0.5, "c": "d"}, ["c", "'d'", "'a', 'b', 1"]),
        ({"x": 0.5, "c": True}, ["c: True"]),
        ({"x": 0.5}, ["'c'", "missing"]),
        ({"xx": 0.5, "c": "a"}, ["'xx'", "did you mean 'x'? known: x, c"]),
        ({"x": 0.5, "c": "a", "xx": 1}, ["'xx'", "did you mean 'x'? known: x, c"]),
        ({"x": 0.5, "c": "a", "s": 8}, ["s: 8", "fixed value 7"]),
        ([0.5], ["[0.5]"]),
    ],
    ids=[
        "outside",
        "text",
        "bool",
        "nan",
        "category",
        "equal category",
        "missing",
        "misspelt",
        "unknown",
        "static",
        "no mapping",
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(configuration, words):
    """The parameter and the value, in one line."""
    space = SearchSpace(
        {"x": ContinuousParameter(0, 1), "c": CategoricalParameter(["a", "b", 1]), "s": StaticParameter(7)}
    )
    with pytest.raises(InvalidInput) as raised:
        space.check(configuration)
    assert all(word in str(raised.value) for word in words)
    assert not space.contains(configuration)


def test_a_checked_configuration_is_a_copy_in_the_spaces_order():
    """Fixed values may be given, and are left out."""
    space = SearchSpace({"a": ContinuousParameter(0, 1), "s": StaticParameter(7), "b": IntegerParameter(0, 9)})
    given = {"b": 3.0, "s": 7, "a": 1}
    checked = space.check(given)
    assert list(checked.items()) == [("a", 1.0), ("b", 3)]
    assert given == {"b": 3.0, "s": 7, "a": 1}


@pytest.mark.parametrize(
    "build",
    [
        lambda: CategoricalParameter([1, True]),
        lambda: CategoricalParameter([None]),
        lambda: CategoricalParameter([[1]]),
        lambda: StaticParameter(math.nan),
        lambda: IntegerParameter(0, 2**44 + 1),
        lambda: IntegerParameter(0, 1, "ReverseLogarithmic"),
        lambda: ContinuousParameter(-1.7e308, 1.7e308),
        lambda: ContinuousParameter(True, 2),
        lambda: ContinuousParameter(0, 10**400),
        lambda: SearchSpace({"": ContinuousParameter(0, 1)}),
        lambda: SearchSpace({1: ContinuousParameter(0, 1)}),
        lambda: SearchSpace([ContinuousParameter(0, 1)]),
        lambda: SearchSpace.of({"x": ContinuousParameter(0, 1)}, {"x": 1}),
        lambda: SearchSpace({"x": ContinuousParameter(0, 1)}).decode([0.1, 0.2]),
        lambda: SearchSpace({"x": ContinuousParameter(0, 1)}).decode([math.nan]),
        lambda: SearchSpace({"x": ContinuousParameter(0, 1)}).decode_bits([0]),
    ],
)
def test_what_cannot_work_cannot_be_built(build):
    """An invalid value is refused where it is made."""
    with pytest.raises(InvalidInput) as raised:
        build()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ContinuousParameter("a", 1), ["min_value is 'a'"]),
        (lambda: ContinuousParameter(0, math.nan), ["max_value is nan"]),
        (lambda: ContinuousParameter(0, 10**5000), ["max_value", "16610 bits"]),
        (lambda: ContinuousParameter(-(10**400), 0), ["min_value", "1329 bits"]),
        (lambda: ContinuousParameter(2, 1), ["min_value 2.0", "max_value 1.0"]),
        (lambda: ContinuousParameter(0, 1, "auto"), ["scaling_type is 'auto'", "did you mean 'Auto'?"]),
        (lambda: ContinuousParameter(0, 1, "Logarithmic"), ["Logarithmic", "min_value", "0.0"]),
        (lambda: ContinuousParameter(0, 1, "ReverseLogarithmic"), ["ReverseLogarithmic", "max_value", "1.0"]),
        (lambda: ContinuousParameter(-1, 0.5, "ReverseLogarithmic"), ["ReverseLogarithmic", "min_value", "-1.0"]),
        (lambda: ContinuousParameter(-1.7e308, 1.7e308), ["min_value -1.7e+308", "max_value 1.7e+308"]),
        (lambda: IntegerParameter(0.5, 3), ["min_value is 0.5", "whole number"]),
        (lambda: IntegerParameter(0, True), ["max_value is True"]),
        (lambda: IntegerParameter(0, 2**45), ["max_value 3.51844e+13"]),
        (lambda: SearchSpace({"x": Continuous(3, 2)}), ["hyperparameter 'x'", "min_value 3.0", "max_value 2.0"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_bound_that_is_wrong_is_named(build, words):
    """And the hyperparameter, where it is known."""
    with pytest.raises(InvalidInput) as raised:
        build()
    assert all(word in str(raised.value) for word in words)
    assert len(str(raised.value)) < 120


class Continuous:
    """As one of the SDK's."""

    __name__ = "Continuous"

    def __init__(self, min_value, max_value):
        self.min_value, self.max_value, self.scaling_type = min_value, max_value, "Auto"


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        (ContinuousParameter(0, 1), "a number from 0.0 to 1.0 (Auto)"),
        (IntegerParameter(1, 9, "Logarithmic"), "a whole number from 1 to 9 (Logarithmic)"),
        (CategoricalParameter(["a", 1]), "one of 'a', 1"),
        (StaticParameter("x"), "fixed at 'x'"),
    ],
)
def test_a_parameter_is_told_in_words(parameter, told):
    """For messages."""
    assert str(parameter) == told


def test_ranges_of_sagemakers_sdk_are_taken():
    """They are told by their classes' `__name__` attribute, without importing the SDK."""

    class ParameterRange:
        def __init__(self, min_value, max_value, scaling_type="Auto"):
            self.min_value, self.max_value, self.scaling_type = min_value, max_value, scaling_type

    class SdkContinuous(ParameterRange):
        __name__ = "Continuous"

    class SdkInteger(ParameterRange):
        __name__ = "Integer"

    class SdkCategorical:
        __name__ = "Categorical"

        def __init__(self, values):
            self.values = [str(value) for value in values]

    space = SearchSpace({"x": SdkContinuous(0, 1, "Linear"), "n": SdkInteger(1, 9), "c": SdkCategorical([1, 2])})
    assert space == SearchSpace(
        {
            "x": ContinuousParameter(0, 1, "Linear"),
            "n": IntegerParameter(1, 9),
            "c": CategoricalParameter(["1", "2"]),
        }
    )


def test_json_has_the_shape_of_sagemakers_parameter_ranges():
    """Bounds are texts, categories are kept as they are, fixed values and the order stand besides."""
    space = SearchSpace(
        {
            "n": IntegerParameter(1, 9),
            "x": ContinuousParameter(0.1, 1),
            "c": CategoricalParameter(["a", "b"]),
            "s": StaticParameter(1),
        }
    )
    assert space.to_json() == {
        "ContinuousParameterRanges": [{"Name": "x", "MinValue": "0.1", "MaxValue": "1.0", "ScalingType": "Auto"}],
        "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "9", "ScalingType": "Auto"}],
        "CategoricalParameterRanges": [{"Name": "c", "Values": ["a", "b"]}],
        "StaticHyperParameters": {"s": 1},
        "Order": ["n", "x", "c", "s"],
    }


def test_cardinality_counts_the_configurations():
    """Infinite as soon as one parameter is continuous with room."""
    small = {"n": IntegerParameter(1, 9), "c": CategoricalParameter(["a", "b"]), "p": ContinuousParameter(1, 1)}
    assert SearchSpace(small).cardinality == 18
    assert SearchSpace({**small, "x": ContinuousParameter(0, 1)}).cardinality == math.inf


@given(parameter=continuous() | integers() | categories)
def test_a_random_value_is_one_draw(parameter):
    """`get_value` decodes one `random.random()`."""
    assert parameter.get_value(random.Random(3)) == parameter.decode(random.Random(3).random())
    parameter.check(parameter.get_value())


@given(low=st.floats(1e-300, 1e300), factor=st.floats(1, 1e8))
def test_wide_ranges_of_any_size_work(low, factor):
    """No overflow inside the bounds."""
    assume(low * factor < 1e307)
    parameter = ContinuousParameter(low, low * factor)
    assert parameter.decode(0) == pytest.approx(low)
    assert parameter.decode(1) == pytest.approx(low * factor)
