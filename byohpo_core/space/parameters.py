"""The parameters of a search space: their values, and their encoding on the unit interval."""

import math
import random as random_numbers
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.secrets import marked
from byohpo_core.space.scaling import Scale, ScalingType, as_scaling, check_range, clamped, effective_scaling
from byohpo_core.validate import items, mapping, number, plain, scalar

MAX_INTEGER = 2**44
"""Above this, neighbouring integers would have the same coordinate in the unit cube."""


def _least(value: Any) -> float:
    return float(number("min_value", value))


def _most(value: Any) -> float:
    return float(number("max_value", value))


def _least_whole(value: Any) -> int:
    return _integral("min_value", value)


def _most_whole(value: Any) -> int:
    return _integral("max_value", value)


def _integral(name: str, value: Any) -> int:
    """Return a whole number as an int. Accept 3.0, because an optimiser may compute it."""
    given = number(name, value)
    if given != int(given):
        raise InvalidInput(f"{name} is {given}, not a whole number")
    return int(given)


def _static(value: Any) -> Any:
    return value if marked(value) else scalar("the value", value)


def _scalars(values: Any) -> tuple[Any, ...]:
    return tuple(scalar("a category", value) for value in items("values", values))


def _conditions(given: Any) -> dict[str, tuple[Any, ...]] | None:
    if given is None:
        return None
    conditions = {}
    for parent, values in mapping("when", given).items():
        conditions[parent] = tuple(
            scalar(f"when: a value of {parent!r}", it) for it in items(f"when: {parent}", values)
        )
        if not conditions[parent]:
            raise InvalidInput(f"when has no value for {parent!r}: list at least one")
    return conditions or None


def _when() -> Any:
    return attrs.field(default=None, kw_only=True, converter=_conditions, hash=False)


def _while(when: Mapping[str, Sequence[Any]] | None) -> str:
    """When a parameter is active, in words."""
    each = [f"{parent} is {' or '.join(map(repr, values))}" for parent, values in (when or {}).items()]
    return f", active while {' and '.join(each)}" if each else ""


@contextmanager
def naming_hyperparameter(parameter: str) -> Iterator[None]:
    """Add the hyperparameter's name to an `InvalidInput` that is raised inside."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"hyperparameter {parameter!r}: {error}") from None


class _Exact(float):
    """A coordinate that also stores its value, for a value that its float alone would not decode to.

    The unit interval has fewer floats than most ranges have values: on a logarithmic range of six orders of magnitude
    only one value in eleven has a float of its own. Arithmetic with an `_Exact` gives an ordinary float.
    """

    __slots__ = ("parameter", "value")
    parameter: "ContinuousParameter"
    value: float


class _Drawn(ABC):
    """The base class of tunable parameters. A random value is a decoded random coordinate.

    A parameter with *when*, such as `when={"booster": ["dart"]}`, is part of a configuration only while each parameter
    that it names is active and has one of the values listed.
    """

    __slots__ = ()

    def get_value(self, random: random_numbers.Random | None = None) -> Any:
        """Return a random value. Takes one draw of `random.random()`."""
        return self.decode((random or random_numbers).random())

    @property
    @abstractmethod
    def cardinality(self) -> float:
        """The number of values."""

    @abstractmethod
    def listed(self) -> Sequence[Any]:
        """All values of a discrete parameter in order; of a continuous one the lowest alone."""

    @abstractmethod
    def decode(self, unit: float) -> Any:
        """Return the value at a coordinate, which is clamped to the unit interval; raise `InvalidInput` for NaN."""


@attrs.frozen
class ContinuousParameter(_Drawn):
    """A real number from *min_value* to *max_value*, both included.

    Auto scaling is logarithmic when min_value > 0 and max_value / min_value >= 100, else linear.
    """

    min_value: float = attrs.field(converter=_least)
    max_value: float = attrs.field(converter=_most)
    scaling_type: ScalingType = attrs.field(default=ScalingType.Auto, converter=as_scaling)
    when: Mapping[str, Sequence[Any]] | None = _when()
    scaling: ScalingType = attrs.field(init=False, eq=False, repr=False)
    """The scaling in force."""
    _scale: Scale = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_range(self.min_value, self.max_value, self.scaling_type)
        scaling = effective_scaling(self.min_value, self.max_value, self.scaling_type)
        object.__setattr__(self, "scaling", scaling)
        object.__setattr__(self, "_scale", Scale.between(self.min_value, self.max_value, self.scaling))

    def __str__(self) -> str:
        return f"a number from {self.min_value} to {self.max_value} ({self.scaling_type}){_while(self.when)}"

    def check(self, value: Any) -> float:
        """Return the value as a plain float; raise `InvalidInput` if it is out of bounds."""
        if type(value) is float and self.min_value <= value <= self.max_value:
            return value
        inside = float(number("the value", value))
        if not self.min_value <= inside <= self.max_value:
            raise InvalidInput(f"{inside} is outside {self.min_value} to {self.max_value}")
        return inside

    def encode(self, value: float) -> float:
        """Return the coordinate of a value. `decode` returns exactly that value again if it is within the bounds."""
        unit = clamped(self._scale.to_unit(value))
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

    def listed(self) -> tuple[float]:
        return (self.min_value,)

    @property
    def cardinality(self) -> float:
        return 1 if self.min_value == self.max_value else math.inf


@attrs.frozen
class IntegerParameter(_Drawn):
    """A whole number from *min_value* to *max_value*, both included.

    Auto scaling is that of `ContinuousParameter`. Each value owns the interval of half a step to either side.
    """

    min_value: int = attrs.field(converter=_least_whole)
    max_value: int = attrs.field(converter=_most_whole)
    scaling_type: ScalingType = attrs.field(default=ScalingType.Auto, converter=as_scaling)
    when: Mapping[str, Sequence[Any]] | None = _when()
    scaling: ScalingType = attrs.field(init=False, eq=False, repr=False)
    """The scaling in force."""
    _scale: Scale = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_range(self.min_value, self.max_value, self.scaling_type)
        if self.scaling_type is ScalingType.ReverseLogarithmic:
            raise InvalidInput("ReverseLogarithmic scaling is for continuous parameters: choose another scaling_type")
        for name, bound in (("min_value", self.min_value), ("max_value", self.max_value)):
            if abs(bound) > MAX_INTEGER:
                raise InvalidInput(
                    f"{name} {float(bound):g} is too large: integers beyond 2**44 share coordinates in the unit cube"
                )
        scaling = effective_scaling(self.min_value, self.max_value, self.scaling_type)
        object.__setattr__(self, "scaling", scaling)
        # Linear coordinates are computed relative to min_value, so that a large offset costs no precision.
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        low, high = self.min_value - offset - 0.5, self.max_value - offset + 0.5
        object.__setattr__(self, "_scale", Scale.between(low, high, self.scaling))

    def __str__(self) -> str:
        return f"a whole number from {self.min_value} to {self.max_value} ({self.scaling_type}){_while(self.when)}"

    def check(self, value: Any) -> int:
        """Return the value as a plain int; accept 3.0 as 3. Raise `InvalidInput` if it is out of bounds."""
        inside = value if type(value) is int else _integral("the value", value)
        if not self.min_value <= inside <= self.max_value:
            raise InvalidInput(f"{inside} is outside {self.min_value} to {self.max_value}")
        return inside

    def encode(self, value: int) -> float:
        """Return the middle of the value's interval."""
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        to_unit = self._scale.to_unit
        return clamped((to_unit(value - offset - 0.5) + to_unit(value - offset + 0.5)) / 2)

    def decode(self, unit: float) -> int:
        offset = self.min_value if self.scaling is ScalingType.Linear else 0
        value = offset + math.floor(self._scale.from_unit(unit) + 0.5)
        if self.min_value <= value <= self.max_value:
            return value
        return self.min_value if value < self.min_value else self.max_value

    def listed(self) -> range:
        return range(self.min_value, self.max_value + 1)

    @property
    def cardinality(self) -> float:
        return self.max_value - self.min_value + 1


@attrs.frozen
class CategoricalParameter(_Drawn):
    """One of several values: strings, numbers or bools. Each owns an equal part of the unit interval."""

    values: tuple[Any, ...] = attrs.field(converter=_scalars)
    when: Mapping[str, Sequence[Any]] | None = _when()

    @values.validator
    def _check_values(self, _: object, values: tuple[Any, ...]) -> None:
        if not values:
            raise InvalidInput("a categorical parameter needs at least one category")
        for index, value in enumerate(values):
            if value in values[:index]:
                raise InvalidInput(f"category {value!r} is listed twice ({values[values.index(value)]!r} equals it)")

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.values))}{_while(self.when)}"

    def check(self, value: Any) -> Any:
        """Return the category of equal value and type: 1 is neither True nor "1". Others raise `InvalidInput`."""
        given = plain(value)
        for known in self.values:
            if type(known) is type(given) and known == given:
                return known
        raise InvalidInput(f"{value!r} is not one of the categories {', '.join(map(repr, self.values))}")

    def encode(self, value: Any) -> float:
        """Return the middle of the category's interval."""
        return (self.values.index(self.check(value)) + 0.5) / len(self.values)

    def decode(self, unit: float) -> Any:
        return self.values[min(int(clamped(unit) * len(self.values)), len(self.values) - 1)]

    def listed(self) -> tuple[Any, ...]:
        return self.values

    @property
    def cardinality(self) -> float:
        return len(self.values)


@attrs.frozen
class StaticParameter:
    """A fixed value that every job receives. It is not part of the search.

    The value `{"secret": NAME}` stands for a secret, which only the job gets.
    """

    value: Any = attrs.field(converter=_static)

    def __str__(self) -> str:
        return f"the secret {name!r}" if (name := marked(self.value)) else f"fixed at {self.value!r}"

    def get_value(self, random: random_numbers.Random | None = None) -> Any:
        """Return the value. Draws no random number."""
        return self.value


Tunable: TypeAlias = ContinuousParameter | IntegerParameter | CategoricalParameter
Parameter: TypeAlias = Tunable | StaticParameter


def _as_parameter(name: str, given: Any) -> Parameter:
    """Convert a range of a SageMaker SDK, recognised by its `__name__` attribute; return our parameters as they are."""
    if isinstance(given, Parameter):
        return given
    kind = getattr(given, "__name__", None)
    with naming_hyperparameter(name):
        if kind == "Continuous":
            return ContinuousParameter(given.min_value, given.max_value, given.scaling_type)
        if kind == "Integer":
            return IntegerParameter(given.min_value, given.max_value, given.scaling_type)
        if kind == "Categorical":
            return CategoricalParameter(given.values)
    raise InvalidInput(
        f"hyperparameter {name!r}: {given!r} is not a parameter; write for example "
        "ContinuousParameter(0, 1) or CategoricalParameter([...])"
    )


def as_parameters(given: Mapping[str, Any]) -> Mapping[str, Parameter]:
    """Convert the search space that a user gives: our parameters or SageMaker's, by name."""
    return MappingProxyType({name: _as_parameter(name, it) for name, it in mapping("the search space", given).items()})
