"""The search space: parameters, their scaling, and the encodings that algorithms work on.

In the unit cube each parameter has one coordinate from 0 to 1. Each value of a discrete parameter owns a part of the
unit interval and is encoded as the middle of that part. With linear scaling all parts are equally long.
"""

import math
import random as random_numbers
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.secrets import Secrets, marked
from byohpo_core.space import json_form
from byohpo_core.space.bits import RESOLUTION, code_length, from_code, to_code
from byohpo_core.space.conditions import active_part, most_parts, parents_first, parts, unmet
from byohpo_core.space.constraints import Constraint, as_constraints
from byohpo_core.space.feasible import Region
from byohpo_core.space.parameters import (
    Parameter,
    StaticParameter,
    Tunable,
    as_parameters,
    naming_hyperparameter,
)
from byohpo_core.validate import nearest

MAX_HYPERPARAMETERS = 100
MAX_NAME_LENGTH = 256
INACTIVE = 0.5
"""The coordinate of an inactive parameter."""
_MOST_PARTS = 10_000
"""With more combinations of parents, the cardinality is only estimated."""
_DRAWS = 1000
"""So many times a random configuration is drawn until it obeys the constraints, which takes milliseconds."""


def check_name(name: Any) -> str:
    """Return the name of a hyperparameter; raise `InvalidInput` if it cannot be one."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise InvalidInput(f"the hyperparameter name {name!r} must be a string of 1 to {MAX_NAME_LENGTH} characters")
    return name


@attrs.frozen(slots=False)
class SearchSpace:
    """Parameters by name, and constraints that each configuration obeys. All encodings keep the parameters' order.

    A configuration holds the active parameters only. An inactive one has a coordinate and bits all the same: encodings
    put constants there, and decodings ignore what stands there.
    """

    parameters: Mapping[str, Parameter] = attrs.field(converter=as_parameters)
    constraints: tuple[Constraint, ...] = attrs.field(default=(), converter=as_constraints)
    _parents_first: Mapping[str, Tunable] = attrs.field(init=False, repr=False)
    _region: Region | None = attrs.field(init=False, repr=False)
    """What the constraints allow; None without constraints."""

    def __attrs_post_init__(self) -> None:
        if len(self.parameters) > MAX_HYPERPARAMETERS:
            raise InvalidInput(f"{len(self.parameters)} hyperparameters; SageMaker takes at most {MAX_HYPERPARAMETERS}")
        for name in self.parameters:
            check_name(name)
        if not self.tunable:
            raise InvalidInput("there are no parameters to tune: give at least one range")
        object.__setattr__(self, "_parents_first", parents_first(self.tunable))
        region = Region(self._parents_first, self.static, self.constraints) if self.constraints else None
        object.__setattr__(self, "_region", region)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace):
            return NotImplemented
        mine, its = list(self.parameters.items()), list(other.parameters.items())
        return mine == its and self.constraints == other.constraints

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(
        cls, ranges: Mapping[str, Any], static: Mapping[str, Any], constraints: Sequence[Constraint] = ()
    ) -> "SearchSpace":
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
        return cls({**ranges, **fixed}, constraints)

    def hiding(self, secrets: Secrets) -> "SearchSpace":
        """This space with marks in the place of fixed values that are secret."""
        secrets.check_tunable(self.tunable)
        hidden = secrets.hide_hyperparameters(self.static)
        if hidden == self.static:
            return self
        fixed = {name: StaticParameter(value) for name, value in hidden.items()}
        return attrs.evolve(self, parameters={name: fixed.get(name, it) for name, it in self.parameters.items()})

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

    @cached_property
    def conditional(self) -> bool:
        """True if a parameter may be inactive."""
        return any(parameter.when for parameter in self.tunable.values())

    @cached_property
    def cardinality(self) -> float:
        """The number of configurations: infinite with a continuous parameter, too high with constraints."""
        each = {name: it.cardinality for name, it in self.tunable.items()}
        if not self.conditional or most_parts(self._parents_first) > _MOST_PARTS:
            return math.prod(each.values())
        values = {name: it.listed() for name, it in self.tunable.items()}
        return sum(
            math.prod(math.inf if each[name] == math.inf else len(some) for name, some in part.items())
            for part in self.parts(values)
        )

    def parts(self, values: Mapping[str, Sequence[Any]]) -> list[dict[str, Sequence[Any]]]:
        """Cut the grid of some values of each parameter into grids of active parameters, without a common point."""
        found = parts(self._parents_first, values)
        return [{name: part[name] for name in self.tunable if name in part} for part in found]

    def sample(self, random: random_numbers.Random) -> dict[str, Any]:
        """Return a random configuration. Takes one draw per parameter, in order.

        Configurations that break a constraint are drawn again, so that those that obey are equally likely; after many
        draws in vain, the last one is moved to obey.
        """
        for _ in range(_DRAWS):
            values = {name: parameter.decode(random.random()) for name, parameter in self.tunable.items()}
            if self.obeys(active := self._active(values)):
                return active
        return self.settle(values)

    def settle(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration for a value of each parameter: without inactive ones, moved to obey constraints."""
        configuration = self._active(values)
        if self._region is None or self._region.allows(configuration):
            return configuration
        return self._active(self._region.nearest(values))

    def filled(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for each parameter: that of the configuration, or the middle one if it is inactive."""
        return {
            name: configuration[name] if name in configuration else parameter.decode(INACTIVE)
            for name, parameter in self.tunable.items()
        }

    def obeys(self, configuration: Mapping[str, Any]) -> bool:
        """True if the active parameters' values, each within its range, obey every constraint."""
        return self._region is None or self._region.allows(configuration)

    def _active(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self.conditional:
            return values
        active = active_part(self._parents_first, values)
        return {name: active[name] for name in self.tunable if name in active}

    def check(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the configuration, in the order of the space and with plain Python values.

        Raises `InvalidInput` for a hyperparameter that is missing, inactive, unknown or out of bounds, and for a broken
        constraint. Fixed hyperparameters may be given with their fixed values; they are left out of the copy.
        """
        if not isinstance(configuration, Mapping):
            raise InvalidInput(f"{configuration!r} is not a mapping of hyperparameters")
        checked: dict[str, Any] = {}
        for name, parameter in self._parents_first.items():
            if parameter.when is not None and (parent := unmet(parameter, checked)) is not None:
                _check_absent(name, parent, configuration, checked)
                continue
            try:
                checked[name] = parameter.check(configuration[name])
            except KeyError:
                _check_rest(self, configuration)  # report a misspelt name rather than a missing one
                raise InvalidInput(f"the hyperparameter {name!r} is missing") from None
            except InvalidInput as error:
                raise InvalidInput(f"{name}: {error}") from None
        if len(configuration) != len(checked):
            _check_rest(self, configuration)
        if self.constraints:
            _check_constraints(self.constraints, {**checked, **self.static})
        return {name: checked[name] for name in self.tunable if name in checked} if self.conditional else checked

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
        if self.conditional:
            return [
                it.encode(configuration[name]) if name in configuration else INACTIVE
                for name, it in self.tunable.items()
            ]
        return [parameter.encode(configuration[name]) for name, parameter in self.tunable.items()]

    def decode(self, point: Sequence[float]) -> dict[str, Any]:
        """Return the configuration at a point, or near it if that one breaks a constraint.

        Coordinates are clamped to the unit cube.
        """
        if len(point) != len(self.tunable):
            raise InvalidInput(f"the point has {len(point)} coordinates; the space has {len(self.tunable)}")
        coordinates = iter(point)
        return self.settle({name: parameter.decode(next(coordinates)) for name, parameter in self.tunable.items()})

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
            code = to_code(parameter, configuration[name], length) if name in configuration else 0
            gray = code ^ (code >> 1)
            bits.extend((gray >> place) & 1 for place in reversed(range(length)))
        return bits

    def decode_bits(self, bits: Sequence[int], resolution: float = RESOLUTION) -> dict[str, Any]:
        """Return the configuration of a bit string, as `decode`. Every bit string of the right length is valid."""
        if len(bits) != self.bit_length(resolution):
            raise InvalidInput(f"{len(bits)} bits; the space has {self.bit_length(resolution)} at this resolution")
        values: dict[str, Any] = {}
        rest = iter(bits)
        for name, parameter in self.tunable.items():
            length = code_length(parameter, resolution)
            code = bit = 0
            for _ in range(length):
                bit ^= next(rest)
                code = code << 1 | bit
            values[name] = from_code(parameter, code, length)
        return self.settle(values)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: SageMaker's `ParameterRanges`, plus what it has no place for."""
        return json_form.of(self.parameters, self.constraints)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "SearchSpace":
        """Restore a space from its `to_json` form."""
        return cls(*json_form.read(body))


def _check_rest(space: SearchSpace, configuration: Mapping[str, Any]) -> None:
    for name, value in configuration.items():
        if name in space.static:
            if value != space.static[name] and marked(space.static[name]):
                raise InvalidInput(f"{name}: it is secret, so leave it out of configurations")
            if value != space.static[name]:
                raise InvalidInput(f"{name}: {value!r} is not its fixed value {space.static[name]!r}")
        elif name not in space.tunable:
            raise InvalidInput(f"unknown hyperparameter {name!r}{nearest(str(name), space.tunable, 'known')}")


def _check_absent(name: str, parent: str, given: Mapping[str, Any], checked: Mapping[str, Any]) -> None:
    if name in given:
        state = f"{parent} is {checked[parent]!r}" if parent in checked else f"{parent} is inactive too"
        raise InvalidInput(f"{name} is inactive while {state}: leave it out")


def _check_constraints(constraints: Sequence[Constraint], values: Mapping[str, Any]) -> None:
    for constraint in constraints:
        if not constraint.allows(values):
            given = ", ".join(f"{name}={values[name]!r}" for name in constraint.coefficients)
            raise InvalidInput(f"{given} gives {constraint.value(values):g}, which breaks {constraint}")
