"""The search space: parameters, their scaling, and the encodings that algorithms work on.

In the unit cube each parameter has one coordinate from 0 to 1. Each value of a discrete parameter owns a part of the
unit interval and is encoded as the middle of that part. With linear scaling all parts are equally long.
"""

import math
import random as random_numbers
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.secrets import Secrets, marked
from byohpo_core.space.bits import RESOLUTION, code_length, from_code, to_code
from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
    Tunable,
    as_parameters,
    naming_hyperparameter,
)
from byohpo_core.validate import nearest

MAX_HYPERPARAMETERS = 100
MAX_NAME_LENGTH = 256


@attrs.frozen(slots=False)
class SearchSpace:
    """Parameters by name. All encodings keep their order."""

    parameters: Mapping[str, Parameter] = attrs.field(converter=as_parameters)

    def __attrs_post_init__(self) -> None:
        if len(self.parameters) > MAX_HYPERPARAMETERS:
            raise InvalidInput(f"{len(self.parameters)} hyperparameters; SageMaker takes at most {MAX_HYPERPARAMETERS}")
        for name in self.parameters:
            if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
                raise InvalidInput(
                    f"the hyperparameter name {name!r} must be a string of 1 to {MAX_NAME_LENGTH} characters"
                )
        if not self.tunable:
            raise InvalidInput("there are no parameters to tune: give at least one range")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return list(self.parameters.items()) == list(other.parameters.items())

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, ranges: Mapping[str, Any], static: Mapping[str, Any]) -> "SearchSpace":
        """Make a space of ranges and an estimator's fixed hyperparameters; raise `InvalidInput` for a name in both."""
        both = [name for name in ranges if name in static]
        if both:
            raise InvalidInput(
                f"the hyperparameter {both[0]!r} is both fixed by the estimator and tuned: remove one of the two"
            )
        fixed = {}
        for name, value in static.items():
            with naming_hyperparameter(name):
                fixed[name] = StaticParameter(value)
        return cls({**ranges, **fixed})

    def hiding(self, secrets: Secrets) -> "SearchSpace":
        """This space with marks in the place of fixed values that are secret."""
        secrets.check_tunable(self.tunable)
        hidden = secrets.hide_hyperparameters(self.static)
        fixed = {name: StaticParameter(value) for name, value in hidden.items()}
        return SearchSpace({name: fixed.get(name, it) for name, it in self.parameters.items()})

    @cached_property
    def tunable(self) -> Mapping[str, Tunable]:
        """The parameters to tune, in order."""
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
        """The number of configurations: infinite with a continuous parameter."""
        return math.prod(parameter.cardinality for parameter in self.tunable.values())

    def sample(self, random: random_numbers.Random) -> dict[str, Any]:
        """Return a random configuration. Takes one draw per parameter, in order."""
        draw = random.random
        return {name: parameter.decode(draw()) for name, parameter in self.tunable.items()}

    def check(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the configuration, in the order of the space and with plain Python values.

        Raises `InvalidInput` for a hyperparameter that is missing, unknown or out of bounds. Fixed hyperparameters may
        be given with their fixed values; they are left out of the copy.
        """
        if not isinstance(configuration, Mapping):
            raise InvalidInput(f"{configuration!r} is not a mapping of hyperparameters")
        checked: dict[str, Any] = {}
        for name, parameter in self.tunable.items():
            try:
                checked[name] = parameter.check(configuration[name])
            except KeyError:
                self._check_rest(configuration)  # report a misspelt name rather than a missing one
                raise InvalidInput(f"the hyperparameter {name!r} is missing") from None
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error}") from None
        if len(configuration) != len(checked):
            self._check_rest(configuration)
        return checked

    def _check_rest(self, configuration: Mapping[str, Any]) -> None:
        for name, value in configuration.items():
            if name in self.static:
                if value != self.static[name] and marked(self.static[name]):
                    raise InvalidInput(f"{name}: it is secret, so leave it out of configurations")
                if value != self.static[name]:
                    raise InvalidInput(f"{name}: {value!r} is not its fixed value {self.static[name]!r}")
            elif name not in self.tunable:
                raise InvalidInput(f"unknown hyperparameter {name!r}{nearest(str(name), self.tunable, 'known')}")

    def contains(self, configuration: Mapping[str, Any]) -> bool:
        """True if `check` accepts the configuration."""
        try:
            self.check(configuration)
        except InvalidInput:
            return False
        return True

    def complete(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Add the fixed hyperparameters to a configuration."""
        return {**configuration, **self.static}

    def encode(self, configuration: Mapping[str, Any]) -> list[float]:
        """Return the configuration's point in the unit cube: one coordinate per parameter."""
        return [parameter.encode(configuration[name]) for name, parameter in self.tunable.items()]

    def decode(self, point: Sequence[float]) -> dict[str, Any]:
        """Return the configuration at a point. Coordinates are clamped to the unit cube."""
        if len(point) != len(self.tunable):
            raise InvalidInput(f"the point has {len(point)} coordinates; the space has {len(self.tunable)}")
        coordinates = iter(point)
        return {name: parameter.decode(next(coordinates)) for name, parameter in self.tunable.items()}

    def bit_length(self, resolution: float = RESOLUTION) -> int:
        """Return how many bits `encode_bits` returns."""
        return sum(code_length(parameter, resolution) for parameter in self.tunable.values())

    def encode_bits(self, configuration: Mapping[str, Any], resolution: float = RESOLUTION) -> list[int]:
        """Encode a configuration as Gray-coded bits: parameter by parameter, most significant bit first.

        Each value of a discrete parameter has a code. Continuous parameters have ceil(log2(1 / resolution)) bits, and
        so have integer parameters with more values than these bits have codes. Of these parameters, the lowest and the
        highest code are the bounds.
        """
        bits: list[int] = []
        for name, parameter in self.tunable.items():
            length = code_length(parameter, resolution)
            code = to_code(parameter, configuration[name], length)
            gray = code ^ (code >> 1)
            bits.extend((gray >> place) & 1 for place in reversed(range(length)))
        return bits

    def decode_bits(self, bits: Sequence[int], resolution: float = RESOLUTION) -> dict[str, Any]:
        """Return the configuration of a bit string. Every bit string of the right length is valid."""
        if len(bits) != self.bit_length(resolution):
            raise InvalidInput(f"{len(bits)} bits; the space has {self.bit_length(resolution)} at this resolution")
        configuration: dict[str, Any] = {}
        rest = iter(bits)
        for name, parameter in self.tunable.items():
            length = code_length(parameter, resolution)
            code = bit = 0
            for _ in range(length):
                bit ^= next(rest)
                code = code << 1 | bit
            configuration[name] = from_code(parameter, code, length)
        return configuration

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: SageMaker's `ParameterRanges`, plus the fixed values and the order."""
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
        """Restore a space from its `to_json` form."""
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


_Encode: TypeAlias = Callable[[Mapping[str, Any]], Any]
_Decode: TypeAlias = Callable[[Any], Mapping[str, Any]]
_DIGITS = 9
"""Rounding errors of an optimiser that rescales the unit cube are smaller than this; real differences are larger."""


def remembering(space: SearchSpace, encode: _Encode, decode: _Decode) -> tuple[_Encode, _Decode]:
    """Wrap both functions so that an encoded value decodes to exactly that value, even if the optimiser rounded it.

    Otherwise a known result that an optimiser starts from would become a new configuration and cost a job.
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
