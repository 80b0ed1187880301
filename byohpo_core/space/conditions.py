"""Conditional parameters: which of them are active, as the values of their parents decide."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.space.parameters import ContinuousParameter, Tunable
from byohpo_core.validate import nearest


def parents_first(tunable: Mapping[str, Tunable]) -> dict[str, Tunable]:
    """Return the parameters in an order in which parents come before their children.

    Raises `InvalidInput` for a condition that no configuration could fulfil, or that depends on itself.
    """
    for name, parameter in tunable.items():
        for parent, values in (parameter.when or {}).items():
            _check_condition(name, parent, values, tunable)
    ordered: dict[str, Tunable] = {}
    while len(ordered) < len(tunable):
        ready = {
            name: it for name, it in tunable.items() if name not in ordered and all(p in ordered for p in it.when or ())
        }
        if not ready:
            circle = ", ".join(name for name in tunable if name not in ordered)
            raise InvalidInput(f"the conditions of {circle} go in a circle: each waits for another's value")
        ordered |= ready
    return ordered


def _check_condition(name: str, parent: str, values: Sequence[Any], tunable: Mapping[str, Tunable]) -> None:
    if parent not in tunable:
        raise InvalidInput(
            f"hyperparameter {name!r}: when names {parent!r}, which is not tuned{nearest(parent, tunable, 'tuned')}"
        )
    if isinstance(tunable[parent], ContinuousParameter):
        raise InvalidInput(
            f"hyperparameter {name!r}: when names {parent!r}, which is continuous; a parent is categorical or integer"
        )
    for value in values:
        try:
            tunable[parent].check(value)
        except InvalidInput as error:
            raise InvalidInput(f"hyperparameter {name!r}: when has {value!r} for {parent!r}: {error}") from None


def unmet(parameter: Tunable, active: Mapping[str, Any]) -> str | None:
    """Return the first parent that makes a parameter inactive, given the values of all active ones before it."""
    for parent, values in (parameter.when or {}).items():
        if parent not in active or active[parent] not in values:
            return parent
    return None


def active_part(ordered: Mapping[str, Tunable], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the active parameters, parents first."""
    active: dict[str, Any] = {}
    for name, parameter in ordered.items():
        if parameter.when is None or unmet(parameter, active) is None:
            active[name] = values[name]
    return active


def parts(ordered: Mapping[str, Tunable], values: Mapping[str, Sequence[Any]]) -> list[dict[str, Sequence[Any]]]:
    """Cut a grid of *values* of each parameter into grids of active parameters, which have no point in common."""
    mentioned = _mentioned(ordered)
    cut: list[dict[str, Sequence[Any]]] = [{}]
    for name, parameter in ordered.items():
        slices = _slices(values[name], mentioned.get(name, ()))
        cut = [
            longer
            for part in cut
            for longer in (
                [part]
                if unmet(parameter, {it: sequence[0] for it, sequence in part.items()})
                else [{**part, name: one} for one in slices]
            )
        ]
    return cut


def most_parts(ordered: Mapping[str, Tunable]) -> int:
    """Return the largest number of grids that `parts` can return."""
    return math.prod(2 * len(values) + 1 for values in _mentioned(ordered).values())


def _mentioned(ordered: Mapping[str, Tunable]) -> dict[str, list[Any]]:
    """The values of each parent that a condition names."""
    mentioned: dict[str, list[Any]] = {}
    for parameter in ordered.values():
        for parent, values in (parameter.when or {}).items():
            known = mentioned.setdefault(parent, [])
            checked = [ordered[parent].check(value) for value in values]  # an integer may be given as 3.0
            known += [value for value in checked if value not in known]
    return mentioned


def _slices(sequence: Sequence[Any], mentioned: Collection[Any]) -> list[Sequence[Any]]:
    """Cut a sequence so that each value mentioned stands alone."""
    places = sorted(sequence.index(value) for value in mentioned if value in sequence)
    starts = sorted({0, *places, *(place + 1 for place in places)} - {len(sequence)})
    return [sequence[start:end] for start, end in pairwise([*starts, len(sequence)])]
