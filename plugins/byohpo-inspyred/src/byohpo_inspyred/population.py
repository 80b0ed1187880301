"""The option `population`: one formula gives both the default and its help text."""

import math
from collections.abc import Callable
from typing import Any

import attrs

from byohpo_core import Problem, option

_MAXIMUM = 100_000
"""A larger population may not fit into memory."""
_MOST_AT_FIRST = 1000
"""All pairs of a first design are compared."""


@attrs.frozen
class Size:
    """A number that depends on the study, and the formula that `byohpo info` shows for it."""

    formula: str
    of: Callable[[Problem], int]
    """Computes the number for a problem."""

    @property
    def _operand(self) -> str:
        return self.formula if self.formula.isidentifier() else f"({self.formula})"

    def __add__(self, number: int) -> "Size":
        return Size(f"{self._operand} + {number}", lambda problem: self.of(problem) + number)

    def __rmul__(self, factor: float) -> "Size":
        """The product, rounded up."""
        product = f"{factor} * {self._operand}"
        return Size(
            product if isinstance(factor, int) else f"ceil({product})",
            lambda problem: math.ceil(factor * self.of(problem)),
        )

    def __floordiv__(self, divisor: int) -> "Size":
        return Size(f"{self._operand} // {divisor}", lambda problem: self.of(problem) // divisor)


SLOTS = Size("slots", lambda problem: problem.max_parallel_jobs)
MAX_JOBS = Size("max_jobs", lambda problem: problem.max_jobs)


def largest(*sizes: Size | int) -> Size:
    """The largest of several numbers."""
    return _chosen(max, sizes)


def smallest(*sizes: Size | int) -> Size:
    """The smallest of several numbers."""
    return _chosen(min, sizes)


def steady_size(per_slot: float) -> Size:
    """A default population for asynchronous mode: *per_slot* times the slots, within limits.

    It is small because each result counts at once, and because the trials in the slots have no result yet.
    """
    return largest(4, smallest(20, MAX_JOBS // 4, per_slot * SLOTS))


def generation_size(generations: int) -> Size:
    """A default population for generational mode: the budget divided by *generations*, within limits.

    It is at least the number of slots, so that no slot stays idle, and at least four where the budget allows it,
    because fewer configurations hardly search.
    """
    return largest(SLOTS, smallest(4, MAX_JOBS), smallest(20, MAX_JOBS // generations))


def population_option(
    what: str, *, asynchronous: Size | int, generational: Size | int, minimum: int, even: bool = False
) -> Any:
    """The option `population` of an algorithm that has the option `mode` before it.

    The help text begins with *what*, which says what is counted. With *even*, a default is rounded up to an even
    number.
    """
    steady, generation = _size(asynchronous), _size(generational)

    def default(algorithm: Any) -> int:
        size = (steady if algorithm.mode == "asynchronous" else generation).of(algorithm.problem)
        return size + size % 2 if even else size

    rounded = ", rounded up to an even number" if even else ""
    return option(
        attrs.Factory(default, takes_self=True),
        help=f"{what}; default{rounded}: {steady.formula} in asynchronous mode, "
        f"{generation.formula} in generational mode",
        minimum=minimum,
        maximum=_MAXIMUM,
    )


def startup_option() -> Any:
    """The option `startup` of an algorithm whose population may be smaller than a useful first design.

    Six configurations find the better part of most spaces; more would leave too little of a small budget.
    """
    size = largest(1, smallest(6, MAX_JOBS // 3))
    return option(
        attrs.Factory(lambda self: size.of(self.problem), takes_self=True),
        help="how many configurations, at least, are tried before the search begins at the best of them; default "
        f"{size.formula}",
        minimum=1,
        maximum=_MOST_AT_FIRST,
    )


def _size(size: Size | int) -> Size:
    return size if isinstance(size, Size) else Size(str(size), lambda _: size)


def _chosen(choose: Callable[..., int], sizes: tuple[Size | int, ...]) -> Size:
    members = [_size(size) for size in sizes]
    formula = f"{choose.__name__}({', '.join(member.formula for member in members)})"
    return Size(formula, lambda problem: choose(member.of(problem) for member in members))
