"""Checks and their results: a check is a function that tries one behaviour of an algorithm.

What the hooks' manual demands is a contract: a check that finds it broken fails (`expect`). What is merely unusual
passes with a remark (`advise`). What an algorithm cannot be asked does not apply (`applicable`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from byohpo_core.testing.algorithm import Subject

PASSED, REMARK, FAILED, NOT_APPLICABLE = "passed", "remark", "failed", "not applicable"
FINDING, ERROR, HANG, DEATH = "finding", "error", "hang", "death"

# Why a check does not apply.
DOES_NOT_LEARN = "the algorithm does not learn from results (traits.learns is False)"
NOT_SEEDED = "the algorithm does not draw at random (traits.seeded is False)"
MAY_END_EARLY = "the algorithm may end before the budget is spent (traits.finite is True)"
ONE_POINT_AT_A_TIME = "the algorithm works on one point at a time (traits.sequential is True)"
PROMOTES = "half of the trials or so are known configurations with more of the resource (traits.resource is True)"
NOT_MEMORYLESS = "the algorithm has a state (traits.memoryless is False)"
TOO_SLOW = "the algorithm is too slow for so many trials (traits.seconds_per_proposal)"
SEVERAL_OBJECTIVES = "the algorithm supports one objective only"
NO_NUMERIC_OPTION = "the algorithm has no numeric option"

# Mends that several checks name.
NUMBERS = "proposal i becomes the trial with the number len(study.trials) + i: look results up by trial.number"
SORT = "sort a batch by number, or declare Traits(ordered=True)"
GO_ON = "propose until the budget is spent, or declare Traits(finite=True)"

Behaviour: TypeAlias = Callable[[Subject], None]


class NotApplicableError(Exception):
    """The check does not apply to this algorithm."""


class Remark(Exception):
    """The algorithm does what is allowed but unusual."""


class Finding(AssertionError):
    """The algorithm breaks its contract: what was done, what was seen, what was expected, and the usual mend."""

    def __init__(self, *, did: str, seen: str, expected: str, mend: str = "") -> None:
        super().__init__(did, seen, expected, mend)
        self.did, self.seen, self.expected, self.mend = did, seen, expected, mend

    def __str__(self) -> str:
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.did}: {self.seen}; expected {self.expected}{mend}"


@attrs.frozen
class Check:
    """One behaviour that an algorithm must have."""

    name: str
    group: str
    sentence: str
    behaviour: Behaviour


@attrs.frozen
class Result:
    """The result of one check on one algorithm."""

    check: Check
    status: str
    reason: str
    seconds: float
    cause: str = ""
    """Why it failed: a finding or assertion of the check (`FINDING`), an unexpected exception (`ERROR`), no answer in
    time (`HANG`) or the death of its process (`DEATH`)."""
    finding: Mapping[str, str] = MappingProxyType({})
    """What was done, seen and expected, and the usual mend, if it failed: the keys are those of `Finding`."""
    processor_seconds: float = 0.0


_checks: list[Check] = []


def check(group: str) -> Callable[[Behaviour], Behaviour]:
    """Register a function as a check of *group*; its docstring becomes the check's sentence."""

    def register(behaviour: Behaviour) -> Behaviour:
        name = behaviour.__name__.replace("_", "-")
        _checks.append(Check(name, group, (behaviour.__doc__ or "").strip(), behaviour))
        return behaviour

    return register


def registered() -> list[Check]:
    """The checks of all modules that have been imported so far."""
    return list(_checks)


def applicable(condition: Any, reason: str) -> None:
    """End the check as not applicable unless *condition* holds."""
    if not condition:
        raise NotApplicableError(reason)


def expect(condition: Any, *, did: str, seen: str, expected: str, mend: str = "") -> None:
    """End the check with a finding unless *condition* holds."""
    if not condition:
        raise Finding(did=did, seen=seen, expected=expected, mend=mend)


def advise(condition: Any, remark: str) -> None:
    """End the check with a remark unless *condition* holds."""
    if not condition:
        raise Remark(remark)
