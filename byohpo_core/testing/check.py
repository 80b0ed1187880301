"""What a check is: one behaviour of an algorithm, registered by a decorator; and what comes of it."""

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from byohpo_core.testing.algorithm import Subject

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
FINDING, ERROR, HANG, DEATH = "finding", "error", "hang", "death"
Behaviour: TypeAlias = Callable[[Subject], None]


class NotApplicableError(Exception):
    """A check has nothing to say about this algorithm."""


@attrs.frozen
class Check:
    """One behaviour that an algorithm must have."""

    name: str
    group: str
    sentence: str
    behaviour: Behaviour


@attrs.frozen
class Result:
    """What came of a check."""

    check: Check
    status: str
    reason: str
    seconds: float
    cause: str = ""
    """How it failed: by a `FINDING` of the check's own, by an exception that it did not expect (`ERROR`), because it
    hung (`HANG`) or because its process died (`DEATH`)."""


_checks: list[Check] = []


def check(group: str) -> Callable[[Behaviour], Behaviour]:
    """Make a function a check of a group; its docstring is the sentence that it asserts."""

    def register(behaviour: Behaviour) -> Behaviour:
        name = behaviour.__name__.replace("_", "-")
        _checks.append(Check(name, group, (behaviour.__doc__ or "").strip(), behaviour))
        return behaviour

    return register


def registered() -> list[Check]:
    """The checks of all modules that have been imported so far."""
    return list(_checks)


def applicable(condition: Any, reason: str) -> None:
    """Leave a check that has nothing to say about this algorithm."""
    if not condition:
        raise NotApplicableError(reason)
