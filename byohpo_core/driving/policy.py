"""The user's choices about repeats, lost attempts, money and order."""

from typing import Any

import attrs

from byohpo_core.validate import amount, choice, number, whole


def _duplicates(value: Any) -> str:
    return choice("duplicates", value, ("reuse", "run"))


def _max_attempts(value: Any) -> int:
    return whole("max_attempts", value, at_least=1)


def _max_cost(value: Any) -> float | None:
    return None if value is None else amount("max_cost", value)


def _reservation(value: Any) -> float:
    return float(number("reservation", value, at_least=0))


def _order(value: Any) -> str:
    return choice("order", value, ("arrival", "strict"))


@attrs.frozen
class Policy:
    """How a study treats repeats, lost attempts, money and order. Raises `InvalidInput` for any other value."""

    duplicates: str = attrs.field(default="reuse", converter=_duplicates)
    """"reuse": a repeated configuration shares the known result; "run": it gets a job of its own."""
    max_attempts: int = attrs.field(default=3, converter=_max_attempts)
    """A trial fails after the infrastructure has failed this many of its attempts."""
    max_cost: float | None = attrs.field(default=None, converter=_max_cost)
    """The most that all jobs together may cost."""
    reservation: float = attrs.field(default=0.0, converter=_reservation)
    """The most that one job can cost. It is set aside until the job is over and its cost is known."""
    order: str = attrs.field(default="arrival", converter=_order)
    """"arrival": results are observed as they come; "strict": in the order of their trials, one at a time."""
