"""What a check is, and how one is run: in a process of its own, in an empty folder, against the clock."""

import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from byohpo_core.testing.subject import NotApplicableError, Subject

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
SECONDS = 20.0
"""A check that takes longer has found an algorithm that hangs."""
_HANGS = 3
Behaviour: TypeAlias = Callable[[Subject], None]


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


_checks: list[Check] = []


def check(group: str) -> Callable[[Behaviour], Behaviour]:
    """Make a function a check of a group; its docstring is the sentence that it asserts."""

    def register(behaviour: Behaviour) -> Behaviour:
        name = behaviour.__name__.replace("_", "-")
        _checks.append(Check(name, group, (behaviour.__doc__ or "").strip(), behaviour))
        return behaviour

    return register


def checks() -> list[Check]:
    """All of them, in the order in which they are run."""
    from byohpo_core.testing import (  # noqa: F401 - each registers its own
        batches,
        learning,
        options,
        replaying,
        resources,
        results,
        seeds,
        stops,
        values,
    )

    return sorted(_checks, key=lambda it: it.group)


def run(check: Check, subject: Subject, seconds: float = SECONDS) -> Result:
    """Run one check on one algorithm; whatever that does, this process is as before."""
    started = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="byohpo-check-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking: a test runner's own threads do no harm here
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(check, subject, Path(folder), writer)
        os.close(writer)
        told = _told(reader, started + seconds)
        os.close(reader)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    spent = time.monotonic() - started
    if told is None:
        hangs = spent >= seconds
        return Result(check, FAILED, f"no answer in {seconds:g} s" if hangs else "the process died", spent)
    status, reason = json.loads(told)
    return Result(check, status, reason, spent)


def run_all(subject: Subject, seconds: float = SECONDS) -> Iterator[Result]:
    """Run every check; one that hangs again and again is not waited for any longer."""
    hung = 0
    for check in checks():
        if hung == _HANGS:
            yield Result(check, NOT_APPLICABLE, f"not run: it hung in {_HANGS} checks", 0.0)
        else:
            result = run(check, subject, seconds)
            hung += result.seconds >= seconds
            yield result


def _told(reader: int, deadline: float) -> bytes | None:
    told = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 65536)
            if not part:
                return told or None
            told += part
    return None


def _in_child(check: Check, subject: Subject, folder: Path, writer: int) -> None:
    try:
        os.setpgid(0, 0)
        silence = os.open(folder / "output", os.O_CREAT | os.O_WRONLY)
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        # Not what a test runner has put in their place, nor what they still hold to write.
        sys.stdout, sys.stderr = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")
        told = _verdict(check, subject)
        os.write(writer, json.dumps(told).encode())
    finally:
        os._exit(0)


def _verdict(check: Check, subject: Subject) -> tuple[str, str]:
    try:
        check.behaviour(subject)
    except NotApplicableError as reason:
        return NOT_APPLICABLE, str(reason)
    except AssertionError as error:
        return FAILED, " ".join(str(error).split()) or check.sentence
    except BaseException as error:  # noqa: BLE001 - a verdict on whatever the algorithm does
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            FAILED,
            f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(place.filename).name}:{place.lineno})",
        )
    return PASSED, ""


def applicable(condition: Any, reason: str) -> None:
    """Leave a check that has nothing to say about this algorithm."""
    if not condition:
        raise NotApplicableError(reason)
