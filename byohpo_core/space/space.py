"""The search space: parameters, their scaling, and the encodings in which algorithms work.

In the unit cube each parameter has one coordinate from 0 to 1. A value of a discrete parameter has a share of the unit
interval, and is encoded as the share's middle; with linear scaling all values have equal shares.
"""

import math
import random as random_numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import items, mapping, nearest, number, plain, scalar

MAX_HYPERPARAMETERS = 100
MAX_NAME_LENGTH = 256
MAX_INTEGER = 2**44
"""Beyond it neighbouring integers could not be told apart in the unit cube."""
RESOLUTION = 2**-10
_LOG_RATIO = 100


class ScalingType(StrEnum):
    """How a range is laid on the unit interval; the names are SageMaker's."""

    Auto = "Auto"
    """Logarithmic when min > 0 and max / min >= 100, else Linear."""
    Linear = "Linear"
    Logarithmic = "Logarithmic"
    ReverseLogarithmic = "ReverseLogarithmic"
    """For values from 0 up to, not including, 1, where what matters is the distance from 1."""


def _scaling(word: Any) -> ScalingType:
    try:
        return ScalingType(str(word))
    except ValueError:
        raise InvalidInput(f"scaling_type is {word!r}{nearest(str(word), ScalingType, 'possible')}") from None


def _least(value: Any) -> float:
    return float(number("min_value", value))


def _most(value: Any) -> float:
    return float(number("max_value", value))


def _least_whole(value: Any) -> int:
    return _integral("min_value", value)


def _most_whole(value: Any) -> int:
    return _integral("max_value", value)


def _integral(name: str, value: Any) -> int:
    """A whole number; 3.0 is 3, as an optimiser may compute it."""
    given = number(name, value)
    if given != int(given):
        raise InvalidInput(f"{name} is {given}, not a whole number")
    return int(given)


def _static(value: Any) -> Any:
    return scalar("the value", value)


def _scalars(values: Any) -> tuple[Any, ...]:
    return tuple(scalar("a category", value) for value in items("values", values))


@contextmanager
def _of(parameter: str) -> Iterator[None]:
    """Say whose setting is wrong."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"hyperparameter {parameter!r}: {error}") from None


def _clamped(value: float) -> float:
    """A coordinate, clamped into the unit interval."""
    if math.isnan(value):
        raise InvalidInput("a coordinate of the unit cube is nan")
    return min(max(value, 0.0), 1.0)


def _identity(value: float) -> float:
    return value


def _minus_log_of_rest(value: float) -> float:
    return -math.log1p(-value)


def _minus_expm1_of_minus(value: float) -> float:
    return -math.expm1(-value)


_WARPS: Mapping[ScalingType, tuple[Callable[[float], float], Callable[[float], float]]] = {
    ScalingType.Linear: (_identity, _identity),
    ScalingType.Logarithmic: (math.log, math.exp),
    ScalingType.ReverseLogarithmic: (_minus_log_of_rest, _minus_expm1_of_minus),
}


@attrs.frozen
class _Scale:
    """Numbers from *low* to *low + width*, after *warp*, laid on the unit interval."""

    low: float
    width: float
    warp: Callable[[float], float]
    unwarp: Callable[[float], float]

    @classmethod
    def between(cls, low: float, high: float, scaling: ScalingType) -> "_Scale":
        warp, unwarp = _WARPS[scaling]
        width = warp(high) - warp(low)
        if not math.isfinite(width):
            raise InvalidInput(f"from min_value {low} to max_value {high} is too wide: no float holds the width")
        return cls(warp(low), width, warp, unwarp)

    def to_unit(self, value: float) -> float:
        return (self.warp(value) - self.low) / self.width if self.width else 0.5

    def from_unit(self, unit: float) -> float:
        return self.unwarp(self.low + (unit if 0.0 <= unit <= 1.0 else _clamped(unit)) * self.width)


def _check_range(parameter: "ContinuousParameter | IntegerParameter") -> None:
    low, high, scaling = parameter.min_value, parameter.max_value, parameter.scaling_type
    if low > high:
        raise InvalidInput(f"min_value {low} is above max_value {high}")
    if scaling is ScalingType.Logarithmic and low <= 0:
        raise InvalidInput(f"Logarithmic scaling needs a min_value above 0, not {low}")
    if scaling is ScalingType.ReverseLogarithmic and low < 0:
        raise InvalidInput(f"ReverseLogarithmic scaling needs a min_value of at least 0, not {low}")
    if scaling is ScalingType.ReverseLogarithmic and high >= 1:
        raise InvalidInput(f"ReverseLogarithmic scaling needs a max_value below 1, not {high}")


def _effective_scaling(parameter: "ContinuousParameter | IntegerParameter") -> ScalingType:
    if parameter.scaling_type is not ScalingType.Auto:
        return parameter.scaling_type
    wide = parameter.min_value > 0 and parameter.max_value / parameter.min_value >= _LOG_RATIO
    return ScalingType.Logarithmic if wide else ScalingType.Linear


class _Exact(float):
    """A coordinate that remembers the value which it was made from, where its float alone is decoded to a neighbour.

    Floats lie further apart on the unit interval than the values of most ranges do: on a logarithmic range of six
    orders of magnitude one value in eleven has a float of its own. What is computed from it is an ordinary float.
    """

    __slots__ = ("parameter", "value")
    parameter: "ContinuousParameter"
    value: float


class _Drawn(ABC):
    """What all tunable parameters have in common: a random value is a decoded random coordinate."""

    __slots__ = ()

    def get_value(self, random: random_numbers.Random | None = None) -> Any:
        """A random value: one `random.random()`, decoded."""
        return self.decode((random or random_numbers).random())

    @property
    @abstractmethod
    def cardinality(self) -> float:
        """How many values there are."""

    @abstractmethod
    def decode(self, unit: float) -> Any:
        """The value at a coordinate, clamped into the unit interval; NaN raises `InvalidInput`."""


@attrs.frozen
class ContinuousParameter(_Drawn):
    """A real number from *min_value* to *max_value*, both included.

    Auto scaling is logarithmic when min_value > 0 and max_value / min_value >= 100, else linear.
    """

    min_value: float = attrs.field(converter=_least)
    max_value: float = attrs.field(converter=_most)
    scaling_type: ScalingType = attrs.field(default=ScalingType.Auto, converter=_scaling)
    scaling: ScalingType = attrs.field(init=False, eq=False, repr=False)
    """The scaling in force."""
    _scale: _Scale = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check_range(self)
        object.__setattr__(self, "scaling", _effective_scaling(self))
        object.__setattr__(self, "_scale", _Scale.between(self.min_value, self.max_value, self.scaling))

    def __str__(self) -> str:
        return f"a number from {self.min_value} to {self.max_value} ({self.scaling_type})"

    def check(self, value: Any) -> float:
        """The value as a plain float, if it is inside."""
        if type(value) is float and self.min_value <= value <= self.max_value:
            return value
        inside = float(number("the value", value))
        if not self.min_value <= inside <= self.max_value:
            raise InvalidInput(f"{inside} is outside {self.min_value} to {self.max_value}")
        return inside

    def encode(self, value: float) -> float:
        """The coordinate of a value: `decode` gives exactly that value back, if it is inside."""
        unit = _clamped(self._scale.to_unit(value))
        if self.decode(unit) == value or not self.min_value <= value <= self.max_value:
            return unit
        exact = _Exact(unit)
        exact.parameter, exact.value = self, float(value)
        return exact

    def decode(self, unit: float) -> float:
        if type(unit) is _Exact and unit.parameter == self:
            return unit.value
        value = self._scale.from_unit(unit)
        if self.min_value <= value <= self.max_value:
            return value
        return self.min_value if value < self.min_value else self.max_value

    @property
    def cardinality(self) -> float:
        return 1 if self.min_value == self.max_value else math.inf


@attrs.frozen
class IntegerParameter(_Drawn):
    """A whole number from *min_value* to *max_value*, both included.

    Auto scaling as for `ContinuousParameter`; a value's share reaches half a step to either side.
    """

    min_value: int = attrs.field(converter=_least_whole)
    max_value: int = attrs.field(converter=_most_whole)
    scaling_type: ScalingType = attrs.field(default=ScalingType.Auto, converter=_scaling)
    scaling: ScalingType = attrs.field(init=False, eq=False, repr=False)
    """The scaling in force."""
    _scale: _Scale = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _check_range(self)
        if self.scaling_type is ScalingType.ReverseLogarithmic:
            raise InvalidInput("ReverseLogarithmic scaling is for continuous parameters")
        for name, bound in (("min_value", self.min_value), ("max_value", self.max_value)):
            if abs(bound) > MAX_INTEGER:
                raise InvalidInput(
                    f"{name} {float(bound):g} is too large: integers beyond 2**44 cannot be told apart in the unit cube"
                )
        object.__setattr__(self, "scaling", _effective_scaling(self))
        # Linear shares are counted from min_value, so that no digit is lost to a large offset.
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        low, high = self.min_value - offset - 0.5, self.max_value - offset + 0.5
        object.__setattr__(self, "_scale", _Scale.between(low, high, self.scaling))

    def __str__(self) -> str:
        return f"a whole number from {self.min_value} to {self.max_value} ({self.scaling_type})"

    def check(self, value: Any) -> int:
        """The value as a plain int, if it is inside; 3.0 is 3."""
        inside = value if type(value) is int else _integral("the value", value)
        if not self.min_value <= inside <= self.max_value:
            raise InvalidInput(f"{inside} is outside {self.min_value} to {self.max_value}")
        return inside

    def encode(self, value: int) -> float:
        """The middle of the value's share."""
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        to_unit = self._scale.to_unit
        return _clamped((to_unit(value - offset - 0.5) + to_unit(value - offset + 0.5)) / 2)

    def decode(self, unit: float) -> int:
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        value = offset + math.floor(self._scale.from_unit(unit) + 0.5)
        if self.min_value <= value <= self.max_value:
            return value
        return self.min_value if value < self.min_value else self.max_value

    @property
    def cardinality(self) -> float:
        return self.max_value - self.min_value + 1


@attrs.frozen
class CategoricalParameter(_Drawn):
    """One of several values: texts, numbers or bools, each with an equal share."""

    values: tuple[Any, ...] = attrs.field(converter=_scalars)

    @values.validator
    def _check_values(self, _: object, values: tuple[Any, ...]) -> None:
        if not values:
            raise InvalidInput("a categorical parameter needs at least one category")
        for index, value in enumerate(values):
            if value in values[:index]:
                raise InvalidInput(f"the category {value!r} is there twice ({values[values.index(value)]!r} equals it)")

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.values))}"

    def check(self, value: Any) -> Any:
        """The category that is equal to the value and of its type: 1 is neither True nor "1"."""
        given = plain(value)
        for known in self.values:
            if type(known) is type(given) and known == given:
                return known
        raise InvalidInput(f"{value!r} is none of the categories {', '.join(map(repr, self.values))}")

    def encode(self, value: Any) -> float:
        """The middle of the category's share."""
        return (self.values.index(self.check(value)) + 0.5) / len(self.values)

    def decode(self, unit: float) -> Any:
        return self.values[min(int(_clamped(unit) * len(self.values)), len(self.values) - 1)]

    @property
    def cardinality(self) -> float:
        return len(self.values)


@attrs.frozen
class StaticParameter:
    """A fixed value, handed to every job; it is no part of the search."""

    value: Any = attrs.field(converter=_static)

    def __str__(self) -> str:
        return f"fixed at {self.value!r}"

    def get_value(self, random: random_numbers.Random | None = None) -> Any:  # noqa: ARG002
        """The value; nothing is drawn."""
        return self.value


Tunable: TypeAlias = ContinuousParameter | IntegerParameter | CategoricalParameter
Parameter: TypeAlias = Tunable | StaticParameter


def _parameter(name: str, given: Any) -> Parameter:
    """One of our parameters, or one of SageMaker's SDKs, which is told by its class's `__name__` attribute."""
    if isinstance(given, Parameter):
        return given
    kind = getattr(given, "__name__", None)
    with _of(name):
        if kind == "Continuous":
            return ContinuousParameter(given.min_value, given.max_value, given.scaling_type)
        if kind == "Integer":
            return IntegerParameter(given.min_value, given.max_value, given.scaling_type)
        if kind == "Categorical":
            return CategoricalParameter(given.values)
    raise InvalidInput(
        f"hyperparameter {name!r}: {given!r} is no parameter; write ContinuousParameter(0, 1), "
        "CategoricalParameter([...]) or the like"
    )


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Parameter]:
    return MappingProxyType({name: _parameter(name, it) for name, it in mapping("the search space", given).items()})


@attrs.frozen(slots=False)
class SearchSpace:
    """Parameters by name, in an order that all encodings keep."""

    parameters: Mapping[str, Parameter] = attrs.field(converter=_parameters)

    def __attrs_post_init__(self) -> None:
        if len(self.parameters) > MAX_HYPERPARAMETERS:
            raise InvalidInput(f"{len(self.parameters)} hyperparameters; SageMaker takes at most {MAX_HYPERPARAMETERS}")
        for name in self.parameters:
            if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
                raise InvalidInput(
                    f"the hyperparameter name {name!r} must be a text of 1 to {MAX_NAME_LENGTH} characters"
                )
        if not self.tunable:
            raise InvalidInput("no parameters to tune: give at least one range")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return list(self.parameters.items()) == list(other.parameters.items())

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, ranges: Mapping[str, Any], static: Mapping[str, Any]) -> "SearchSpace":
        """A space of ranges and an estimator's fixed hyperparameters; a name in both is an error."""
        both = [name for name in ranges if name in static]
        if both:
            raise InvalidInput(
                f"the hyperparameter {both[0]!r} is both fixed by the estimator and tuned: leave it out of one of them"
            )
        fixed = {}
        for name, value in static.items():
            with _of(name):
                fixed[name] = StaticParameter(value)
        return cls({**ranges, **fixed})

    @cached_property
    def tunable(self) -> Mapping[str, Tunable]:
        """The parameters of the search, in order."""
        return {name: it for name, it in self.parameters.items() if not isinstance(it, StaticParameter)}

    @cached_property
    def static(self) -> Mapping[str, Any]:
        """The fixed values by name."""
        return {name: it.value for name, it in self.parameters.items() if isinstance(it, StaticParameter)}

    @property
    def dimension(self) -> int:
        return len(self.tunable)

    @property
    def cardinality(self) -> float:
        """How many configurations there are: infinitely many with a continuous parameter."""
        return math.prod(parameter.cardinality for parameter in self.tunable.values())

    def sample(self, random: random_numbers.Random) -> dict[str, Any]:
        """A random configuration: one draw per parameter, in order."""
        draw = random.random
        return {name: parameter.decode(draw()) for name, parameter in self.tunable.items()}

    def check(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """A copy in the space's order and plain Python; raises `InvalidInput` for what is missing, unknown or outside.

        Fixed hyperparameters may be given with their own values, and are left out of the copy.
        """
        if not isinstance(configuration, Mapping):
            raise InvalidInput(f"{configuration!r} is no mapping of hyperparameters")
        checked: dict[str, Any] = {}
        for name, parameter in self.tunable.items():
            try:
                checked[name] = parameter.check(configuration[name])
            except KeyError:
                self._check_rest(configuration)  # a misspelt name rather than a missing one
                raise InvalidInput(f"the hyperparameter {name!r} is missing") from None
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error}") from None
        if len(configuration) != len(checked):
            self._check_rest(configuration)
        return checked

    def _check_rest(self, configuration: Mapping[str, Any]) -> None:
        for name, value in configuration.items():
            if name in self.static:
                if value != self.static[name]:
                    raise InvalidInput(f"{name}: {value!r} is not its fixed value {self.static[name]!r}")
            elif name not in self.tunable:
                raise InvalidInput(f"unknown hyperparameter {name!r}{nearest(str(name), self.tunable, 'known')}")

    def contains(self, configuration: Mapping[str, Any]) -> bool:
        """Whether `check` would accept it."""
        try:
            self.check(configuration)
        except InvalidInput:
            return False
        return True

    def complete(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with the fixed hyperparameters."""
        return {**configuration, **self.static}

    def encode(self, configuration: Mapping[str, Any]) -> list[float]:
        """The point in the unit cube, one coordinate a parameter."""
        return [parameter.encode(configuration[name]) for name, parameter in self.tunable.items()]

    def decode(self, point: Sequence[float]) -> dict[str, Any]:
        """The configuration at a point; coordinates are clamped into the unit cube."""
        if len(point) != len(self.tunable):
            raise InvalidInput(f"a point of {len(point)} coordinates; the space has {len(self.tunable)}")
        coordinates = iter(point)
        return {name: parameter.decode(next(coordinates)) for name, parameter in self.tunable.items()}

    def bit_length(self, resolution: float = RESOLUTION) -> int:
        """How many bits `encode_bits` gives."""
        return sum(_bits(parameter, resolution) for parameter in self.tunable.values())

    def encode_bits(self, configuration: Mapping[str, Any], resolution: float = RESOLUTION) -> list[int]:
        """The configuration as Gray-coded bits, most significant first, parameter after parameter.

        Each value of a discrete parameter has a code. Continuous parameters, and integers of more values than that,
        have ceil(log2(1 / resolution)) bits, of which the lowest and the highest code are the bounds.
        """
        bits: list[int] = []
        for name, parameter in self.tunable.items():
            length = _bits(parameter, resolution)
            code = _code(parameter, configuration[name], length)
            gray = code ^ (code >> 1)
            bits.extend((gray >> place) & 1 for place in reversed(range(length)))
        return bits

    def decode_bits(self, bits: Sequence[int], resolution: float = RESOLUTION) -> dict[str, Any]:
        """The configuration of a bit string; every bit string is one."""
        if len(bits) != self.bit_length(resolution):
            raise InvalidInput(f"{len(bits)} bits; the space has {self.bit_length(resolution)} at this resolution")
        configuration: dict[str, Any] = {}
        rest = iter(bits)
        for name, parameter in self.tunable.items():
            length = _bits(parameter, resolution)
            code = bit = 0
            for _ in range(length):
                bit ^= next(rest)
                code = code << 1 | bit
            configuration[name] = _value(parameter, code, length)
        return configuration

    def to_json(self) -> dict[str, Any]:
        """The JSON form, in the shape of SageMaker's `ParameterRanges`, with the fixed values and the order besides."""
        ranges: dict[str, list[dict[str, Any]]] = {kind.__name__: [] for kind in _JSON_KEYS}
        for name, parameter in self.tunable.items():
            body: dict[str, Any] = {"Name": name}
            if isinstance(parameter, CategoricalParameter):
                body["Values"] = list(parameter.values)
            else:
                body["MinValue"], body["MaxValue"] = repr(parameter.min_value), repr(parameter.max_value)
                body["ScalingType"] = str(parameter.scaling_type)
            ranges[type(parameter).__name__].append(body)
        return {
            **{f"{kind}Ranges": bodies for kind, bodies in ranges.items()},
            "StaticHyperParameters": dict(self.static),
            "Order": list(self.parameters),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "SearchSpace":
        """The inverse of `to_json`."""
        parameters: dict[str, Parameter] = {
            name: StaticParameter(value) for name, value in body["StaticHyperParameters"].items()
        }
        for entry in body["CategoricalParameterRanges"]:
            parameters[entry["Name"]] = CategoricalParameter(entry["Values"])
        for entry in body["ContinuousParameterRanges"]:
            low, high = float(entry["MinValue"]), float(entry["MaxValue"])
            parameters[entry["Name"]] = ContinuousParameter(low, high, entry["ScalingType"])
        for entry in body["IntegerParameterRanges"]:
            least, most = int(entry["MinValue"]), int(entry["MaxValue"])
            parameters[entry["Name"]] = IntegerParameter(least, most, entry["ScalingType"])
        return cls({name: parameters[name] for name in body["Order"]})


_JSON_KEYS = (ContinuousParameter, IntegerParameter, CategoricalParameter)


def _bits(parameter: Tunable, resolution: float) -> int:
    continuous = math.ceil(-math.log2(resolution))
    if parameter.cardinality == math.inf:
        return continuous
    discrete = math.ceil(math.log2(parameter.cardinality))
    return min(discrete, continuous) if isinstance(parameter, IntegerParameter) else discrete


def _has_code_for_each(parameter: Tunable, length: int) -> bool:
    return parameter.cardinality <= 1 << length


def _code(parameter: Tunable, value: Any, length: int) -> int:
    if not _has_code_for_each(parameter, length):
        return round(parameter.encode(value) * ((1 << length) - 1))
    count = int(parameter.cardinality)
    if isinstance(parameter, CategoricalParameter):
        index = parameter.values.index(parameter.check(value))
    else:
        index = int(value - parameter.min_value) if isinstance(parameter, IntegerParameter) else 0
    return -(-index * (1 << length) // count)  # the first of the codes that _value takes to it


def _value(parameter: Tunable, code: int, length: int) -> Any:
    if not _has_code_for_each(parameter, length):
        return parameter.decode(code / ((1 << length) - 1))
    index = code * int(parameter.cardinality) // (1 << length)
    if isinstance(parameter, CategoricalParameter):
        return parameter.values[index]
    return parameter.min_value + index


_Encode: TypeAlias = Callable[[Mapping[str, Any]], Any]
_Decode: TypeAlias = Callable[[Any], Mapping[str, Any]]
_DIGITS = 9
"""Errors of an optimiser that rescales the unit cube are smaller, and differences that matter are larger."""


def remembering(space: SearchSpace, encode: _Encode, decode: _Decode) -> tuple[_Encode, _Decode]:
    """Both functions, but a value that was encoded is decoded to that very value, though it was rounded on the way.

    So a known result that an optimiser starts from is no new configuration, which would be a job of its own.
    """
    rounded = {name: it for name, it in space.tunable.items() if isinstance(it, ContinuousParameter)}
    known: dict[tuple[str, float], float] = {}

    def encoding(configuration: Mapping[str, Any]) -> Any:
        known.update({(name, place(name, configuration[name])): configuration[name] for name in rounded})
        return encode(configuration)

    def decoding(point: Any) -> Mapping[str, Any]:
        configuration = decode(point)
        if not known:
            return configuration
        values = {name: known.get((name, place(name, configuration[name])), configuration[name]) for name in rounded}
        return {**configuration, **values}

    def place(name: str, value: float) -> float:
        return round(float(rounded[name].encode(value)), _DIGITS)

    return encoding, decoding
