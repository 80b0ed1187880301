"""Constraints: sums, or products of powers, of hyperparameters that must stay within bounds."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import flag, items, mapping, number

_TOLERANCE = 1e-9
"""A sum may miss its bound by so much of its terms, and of the bound: what rounding does."""
_LARGEST_LOG = math.log(sys.float_info.max)


def _coefficients(given: Any) -> dict[str, float]:
    coefficients = mapping("a constraint's coefficients", given)
    if not coefficients:
        raise InvalidInput("a constraint needs a coefficient for at least one hyperparameter")
    return {name: float(number(f"the coefficient of {name!r}", value)) for name, value in coefficients.items()}


def bound(name: str) -> Any:
    """Make the field of a bound that may be left out."""

    def converted(value: Any) -> float | None:
        return None if value is None else float(number(name, value))

    return attrs.field(default=None, kw_only=True, converter=converted)


def check_bounds(what: str, at_least: float | None, at_most: float | None) -> None:
    """Raise `InvalidInput` unless there is a bound, and both are in order."""
    if at_least is None and at_most is None:
        raise InvalidInput(f"{what} needs at_most or at_least, or both")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise InvalidInput(f"{what} has at_least {at_least} above at_most {at_most}")


def between(what: str, at_least: float | None, at_most: float | None) -> str:
    """Write bounds as people do."""
    least, most = "" if at_least is None else f"{at_least:g} <= ", "" if at_most is None else f" <= {at_most:g}"
    return f"{least}{what}{most}"


def _flag(value: Any) -> bool:
    return flag("log", value)


@attrs.frozen
class Constraint:
    """Demand that the sum of coefficient * hyperparameter is at most, or at least, a number, both included.

    `Constraint({"layers": 64, "batch_size": 1}, at_most=1024)` allows what has 64 * layers + batch_size <= 1024. With
    *log* it bounds a product of powers: `Constraint({"batch_size": 1, "rate": -0.5}, at_most=512, log=True)` allows
    what has batch_size * rate ** -0.5 <= 512. It does not apply while one of its hyperparameters is inactive.
    """

    coefficients: Mapping[str, float] = attrs.field(converter=_coefficients)
    at_most: float | None = bound("at_most")
    at_least: float | None = bound("at_least")
    log: bool = attrs.field(default=False, kw_only=True, converter=_flag)
    _bounds: tuple[float, float] = attrs.field(init=False, eq=False, repr=False)
    """Of the sum, which with *log* is one of logarithms."""

    def __attrs_post_init__(self) -> None:
        check_bounds(f"the constraint on {', '.join(self.coefficients)}", self.at_least, self.at_most)
        bounds = [it for it in (self.at_least, self.at_most) if it is not None]
        if self.log and min(bounds) <= 0:
            raise InvalidInput(f"a product of powers is above 0, and so must its bounds be; one is {min(bounds)}")
        low = -sys.float_info.max if self.at_least is None else self.warped(self.at_least)
        high = sys.float_info.max if self.at_most is None else self.warped(self.at_most)
        object.__setattr__(self, "_bounds", (low, high))

    def __str__(self) -> str:
        parts = [self._term(name, factor) for name, factor in self.coefficients.items()]
        return between((" * " if self.log else " + ").join(parts), self.at_least, self.at_most)

    def _term(self, name: str, factor: float) -> str:
        if factor == 1:
            return name
        return f"{name} ** {factor:g}" if self.log else f"{factor:g} * {name}"

    def allows(self, active: Mapping[str, Any]) -> bool:
        """True if the values, fixed ones included, obey it, or if one of its hyperparameters is not among them."""
        return self.side(active) == 0

    def side(self, active: Mapping[str, Any], *, strict: bool = False) -> int:
        """Return 1 for values above its bounds, -1 below them, else 0; *strict* allows nothing for rounding."""
        total = size = 0.0
        for name, factor in self.coefficients.items():
            if name not in active:
                return 0
            term = factor * self.warped(active[name])
            total, size = total + term, size + abs(term)
        return self._side(total, total, size, 0.0 if strict else _TOLERANCE)

    def may_allow(self, spans: Mapping[str, tuple[float, float]]) -> bool:
        """True if some values between the lowest and the highest of each hyperparameter obey it.

        With half the tolerance, so that in a range that is small enough all values obey it, or it is left out.
        """
        least = most = size = 0.0
        for name, factor in self.coefficients.items():
            first, last = spans[name]
            low, high = factor * self.warped(first), factor * self.warped(last)
            if factor < 0:
                low, high = high, low
            least, most, size = least + low, most + high, size + max(-low, high)
        return self._side(least, most, size, _TOLERANCE / 2) == 0

    def _side(self, least: float, most: float, size: float, tolerance: float) -> int:
        """On which side of the bounds all sums from *least* to *most* are, which have terms of this *size*."""
        low, high = self._bounds
        slack = tolerance * (1.0 if self.log else size)
        if least - slack > high + tolerance * abs(high):
            return 1
        return -1 if most + slack < low - tolerance * abs(low) else 0

    def warped(self, number: float) -> float:
        """What a hyperparameter adds to the sum, but for its coefficient."""
        return math.log(number) if self.log else number

    def value(self, active: Mapping[str, Any]) -> float:
        """The sum, or with *log* the product."""
        total = sum(factor * self.warped(active[name]) for name, factor in self.coefficients.items())
        return math.exp(min(total, _LARGEST_LOG)) if self.log else total


def as_constraints(given: Any) -> tuple[Constraint, ...]:
    """Return a tuple of constraints; raise `InvalidInput` for anything else."""
    constraints = tuple(items("constraints", given))
    for one in constraints:
        if not isinstance(one, Constraint):
            raise InvalidInput(f"constraints has {one!r}; write for example Constraint({{'layers': 64}}, at_most=1024)")
    return constraints
