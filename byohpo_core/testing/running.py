"""How checks are run: each in a process of its own, in an empty folder, with limits to what it may use."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from byohpo_core.errors import one_line
from byohpo_core.testing.algorithm import Subject
from byohpo_core.testing.behaviours.all import checks
from byohpo_core.testing.check import (
    DEATH,
    ERROR,
    FAILED,
    FINDING,
    HANG,
    NOT_APPLICABLE,
    PASSED,
    Check,
    NotApplicableError,
    Result,
)

SECONDS = 75.0
"""A check that uses more processor time has found an algorithm that hangs. A slow one does not, which takes the 30 ms
of `proposes-quickly` for each of 2,250 trials, the most that a check asks for."""
IDLE_SECONDS = 10.0
"""So does one that waits for so long and uses next to none: however busy the machine, what can run gets its turn."""
LAST_RESORT_SECONDS = 600.0
_NEXT_TO_NONE = 0.01
_LOOK_SECONDS = 0.5
_PROC = Path("/proc")
_HANGS = 3


def run(check: Check, subject: Subject, seconds: float = SECONDS) -> Result:
    """Run one check on one algorithm; whatever that does, this process is as before.

    *seconds* of processor time are the limit: a busy machine makes nobody fail.
    """
    started = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="byohpo-check-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking: a test runner's own threads do no harm here
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_child(check, subject, Path(folder), writer)
        os.close(writer)
        answer, hang = _answer(reader, child, seconds)
        os.close(reader)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    spent = time.monotonic() - started
    if hang is not None:
        return Result(check, FAILED, hang, spent, HANG)
    if not answer:
        return Result(check, FAILED, "the process died", spent, DEATH)
    status, reason, cause = json.loads(answer)
    return Result(check, status, reason, spent, cause)


def run_all(subject: Subject, seconds: float = SECONDS) -> Iterator[Result]:
    """Run every check; one that hangs again and again is not waited for any longer."""
    hung = 0
    for check in checks():
        if hung == _HANGS:
            yield Result(check, NOT_APPLICABLE, f"not run: it hung in {_HANGS} checks", 0.0)
        else:
            result = run(check, subject, seconds)
            hung += result.cause == HANG
            yield result


def _answer(reader: int, child: int, seconds: float) -> tuple[bytes, str | None]:
    """What the child says before it ends; or why it is not waited for any longer."""
    answer = b""
    started = awake = time.monotonic()
    known = 0.0
    while True:
        if select.select([reader], [], [], _LOOK_SECONDS)[0]:
            part = os.read(reader, 65536)
            if not part:
                return answer, None
            answer += part
            if answer.endswith(b"\n"):  # the end may never come, where a process of the algorithm's holds the pipe
                return answer, None
            continue
        now, used = time.monotonic(), _processor_seconds(child)
        if used > seconds:
            return answer, f"no answer after {seconds:g} s of processor time"
        if used - known > _NEXT_TO_NONE * (now - awake):
            awake, known = now, used
        if now - awake > IDLE_SECONDS:
            return answer, f"no answer: it has waited for {IDLE_SECONDS:g} s without using the processor"
        if now - started > LAST_RESORT_SECONDS:
            return answer, f"no answer in {LAST_RESORT_SECONDS:g} s"


def _processor_seconds(group: int) -> float:
    """What the processes of a group have used: as Linux counts it, or as POSIX's `ps` does."""
    if (_PROC / "self" / "stat").exists():
        ticks = sum(sum(map(int, fields[11:15])) for fields in _statuses() if int(fields[2]) == group)
        return ticks / os.sysconf("SC_CLK_TCK")
    listed = subprocess.run(["ps", "-A", "-o", "pgid=", "-o", "time="], capture_output=True, text=True, check=True)  # noqa: S607
    lines = [line.split() for line in listed.stdout.splitlines()]
    clocks = [re.split("[-:]", time) for processes, time in lines if int(processes) == group]
    return sum(60 * float(minutes) + float(seconds) for *_, minutes, seconds in clocks)


def _statuses() -> Iterator[list[str]]:
    """The fields of proc_pid_stat(5) behind the program's name, of every process."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with suppress(OSError):  # it has just ended
                yield Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


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
        os.write(writer, f"{json.dumps(_verdict(check, subject))}\n".encode())
    finally:
        os._exit(0)


def _verdict(check: Check, subject: Subject) -> tuple[str, str, str]:
    try:
        check.behaviour(subject)
    except NotApplicableError as reason:
        return NOT_APPLICABLE, str(reason), ""
    except AssertionError as error:
        return FAILED, one_line(error) or check.sentence, FINDING
    except BaseException as error:  # noqa: BLE001 - a verdict on whatever the algorithm does
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            FAILED,
            f"{type(error).__name__}: {one_line(error)} ({Path(place.filename).name}:{place.lineno})",
            ERROR,
        )
    return PASSED, "", ""
