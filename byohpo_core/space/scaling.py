"""Map a range to the unit interval: linearly, logarithmically, or by the logarithm of the distance from 1."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import nearest

_LOG_RATIO = 100


class ScalingType(StrEnum):
    """How a range is mapped to the unit interval. The names are those of SageMaker."""

    Auto = "Auto"
    """Logarithmic when min > 0 and max / min >= 100, else Linear."""
    Linear = "Linear"
    Logarithmic = "Logarithmic"
    ReverseLogarithmic = "ReverseLogarithmic"
    """For values from 0 (included) to 1 (excluded), if the distance from 1 matters."""


def as_scaling(word: Any) -> ScalingType:
    """Return the scaling type with this name; raise `InvalidInput` if there is none."""
    try:
        return ScalingType(str(word))
    except ValueError:
        raise InvalidInput(f"scaling_type is {word!r}{nearest(str(word), ScalingType, 'possible')}") from None


def clamped(value: float) -> float:
    """Clamp a coordinate to the unit interval; raise `InvalidInput` for NaN."""
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
class Scale:
    """A mapping of numbers to the unit interval: after *warp*, they range from *low* to *low + width*."""

    low: float
    width: float
    warp: Callable[[float], float]
    unwarp: Callable[[float], float]

    @classmethod
    def between(cls, low: float, high: float, scaling: ScalingType) -> "Scale":
        warp, unwarp = _WARPS[scaling]
        width = warp(high) - warp(low)
        if not math.isfinite(width):
            raise InvalidInput(f"from min_value {low} to max_value {high} is too wide: no float can hold the width")
        return cls(warp(low), width, warp, unwarp)

    def to_unit(self, value: float) -> float:
        return (self.warp(value) - self.low) / self.width if self.width else 0.5

    def from_unit(self, unit: float) -> float:
        return self.unwarp(self.low + (unit if 0.0 <= unit <= 1.0 else clamped(unit)) * self.width)


def check_range(low: float, high: float, scaling: ScalingType) -> None:
    """Raise `InvalidInput` if the bounds are not a range, or if the scaling cannot map them to the unit interval."""
    if low > high:
        raise InvalidInput(f"min_value {low} is above max_value {high}")
    if scaling is ScalingType.Logarithmic and low <= 0:
        raise InvalidInput(f"Logarithmic scaling needs a min_value above 0, not {low}")
    if scaling is ScalingType.ReverseLogarithmic and low < 0:
        raise InvalidInput(f"ReverseLogarithmic scaling needs a min_value of at least 0, not {low}")
    if scaling is ScalingType.ReverseLogarithmic and high >= 1:
        raise InvalidInput(f"ReverseLogarithmic scaling needs a max_value below 1, not {high}")


def effective_scaling(low: float, high: float, scaling: ScalingType) -> ScalingType:
    """Return the scaling to use: resolve Auto to Linear or Logarithmic."""
    if scaling is not ScalingType.Auto:
        return scaling
    return ScalingType.Logarithmic if low > 0 and high / low >= _LOG_RATIO else ScalingType.Linear
