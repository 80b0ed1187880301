"""Run each check in a process of its own, and make a result of what comes of it."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from byohpo_core.errors import one_line
from byohpo_core.testing.algorithm import MIXED, Subject
from byohpo_core.testing.behaviours.all import checks
from byohpo_core.testing.check import (
    DEATH,
    ERROR,
    FAILED,
    FINDING,
    HANG,
    NOT_APPLICABLE,
    PASSED,
    REMARK,
    Check,
    Finding,
    NotApplicableError,
    Remark,
    Result,
)
from byohpo_core.testing.isolation import Answer, isolated
from byohpo_core.testing.rehearsal import proposals

SECONDS = 75.0
"""A check hangs if it uses more processor time than this. The limit leaves room for a slow algorithm: a check asks for
at most 2,250 trials, and `proposes-quickly` allows 30 ms for each."""
SLOW_SECONDS_IN_ALL = 300.0
"""All checks of an algorithm that declares itself slow use at most this much processor time."""
_HANGS = 3
_HUNG = f"not run, because the algorithm hung in {_HANGS} checks"
_OUT_OF_TIME = f"not run, because the checks of a slow algorithm had used {SLOW_SECONDS_IN_ALL:g} s of processor time"
_MEASURED = 20
_MENDS = {
    ERROR: "let no hook raise this error",
    HANG: "let each hook return; to wait for results, propose nothing: return []",
    DEATH: "let no hook end the process, neither by os._exit nor by a crash in native code",
}


def run(check: Check, subject: Subject, seconds: float = SECONDS) -> Result:
    """Run one check on one algorithm in a child process, so that it cannot change this process.

    *seconds* is a limit of processor time, so a busy machine does not make a check fail.
    """
    started = time.monotonic()
    answer = isolated(lambda: _verdict(check, subject), seconds)
    told = answer.value or _broken(check, answer)
    spent = time.monotonic() - started
    return Result(check, seconds=spent, processor_seconds=answer.processor_seconds, **told)


def run_all(
    subject: Subject, seconds: float = SECONDS, *, begins: Callable[[Check], None] = lambda _: None
) -> Iterator[Result]:
    """Run every check; after three that hang, do not run the rest. *begins* is told of each check before it runs."""
    hung, left = 0, SLOW_SECONDS_IN_ALL if subject.slow else math.inf
    for check in checks():
        if hung == _HANGS or left <= 0:
            yield Result(check, NOT_APPLICABLE, _HUNG if hung == _HANGS else _OUT_OF_TIME, 0.0)
            continue
        begins(check)
        limit = min(seconds, left)
        result = run(check, subject, limit)
        left -= result.processor_seconds
        if limit < seconds and left <= 0 and result.cause == HANG:
            result = attrs.evolve(result, status=NOT_APPLICABLE, reason=_OUT_OF_TIME, cause="", finding={})
        hung += result.cause == HANG
        yield result


def measured_seconds(subject: Subject) -> float:
    """The processor time of one proposal, the kit's own work included; NaN if the algorithm cannot be measured."""
    answer = isolated(lambda: _seconds_per_proposal(subject), SECONDS)
    return math.nan if answer.value is None else float(answer.value)


def _seconds_per_proposal(subject: Subject) -> float:
    started = time.process_time()
    made = len(proposals(subject, subject.problem(MIXED, jobs=_MEASURED)))
    return (time.process_time() - started) / max(1, made)


def _verdict(check: Check, subject: Subject) -> Mapping[str, Any]:
    try:
        check.behaviour(subject)
    except NotApplicableError as reason:
        return {"status": NOT_APPLICABLE, "reason": str(reason)}
    except Remark as remark:
        return {"status": REMARK, "reason": one_line(remark)}
    except Finding as found:
        return _failure(FINDING, found, one_line(found))
    return {"status": PASSED, "reason": ""}


def _broken(check: Check, answer: Answer) -> Mapping[str, Any]:
    """The verdict on a check that did not come to its end."""
    found = Finding(did="ran the check", seen=answer.complaint, expected=check.sentence, mend=_MENDS[answer.cause])
    return _failure(answer.cause, found, answer.complaint)


def _failure(cause: str, found: Finding, reason: str) -> Mapping[str, Any]:
    parts = {"did": found.did, "seen": found.seen, "expected": found.expected, "mend": found.mend}
    return {"status": FAILED, "reason": reason, "cause": cause, "finding": parts}
