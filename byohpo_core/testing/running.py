"""Run each check in its own process, in an empty folder and with time limits."""

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
    REMARK,
    Check,
    NotApplicableError,
    Remark,
    Result,
)

SECONDS = 75.0
"""A check hangs if it uses more processor time than this. The limit leaves room for a slow algorithm: a check asks for
at most 2,250 trials, and `proposes-quickly` allows 30 ms for each."""
IDLE_SECONDS = 10.0
"""A check also hangs if it uses almost no processor time for this long. Even on a busy machine, a process that is ready
to run gets some processor time within these seconds."""
LAST_RESORT_SECONDS = 600.0
"""A check also hangs if it takes longer than this, whatever it does."""
_NEXT_TO_NONE = 0.01
_LOOK_SECONDS = 0.5
_PROC = Path("/proc")
_HANGS = 3


def run(check: Check, subject: Subject, seconds: float = SECONDS) -> Result:
    """Run one check on one algorithm in a child process, so that it cannot change this process.

    *seconds* is a limit of processor time, so a busy machine does not make a check fail.
    """
    started = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="byohpo-check-") as folder, warnings.catch_warnings():
        # Python warns of a fork beside other threads, such as those of a test runner. The child does not use them.
        warnings.simplefilter("ignore", DeprecationWarning)
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
        return Result(check, FAILED, "the process died before the check ended", spent, DEATH)
    status, reason, cause = json.loads(answer)
    return Result(check, status, reason, spent, cause)


def run_all(subject: Subject, seconds: float = SECONDS) -> Iterator[Result]:
    """Run every check; after three that hang, do not run the rest."""
    hung = 0
    for check in checks():
        if hung == _HANGS:
            yield Result(check, NOT_APPLICABLE, f"not run, because the algorithm hung in {_HANGS} checks", 0.0)
        else:
            result = run(check, subject, seconds)
            hung += result.cause == HANG
            yield result


def _answer(reader: int, child: int, seconds: float) -> tuple[bytes, str | None]:
    """The child's answer, and the reason to stop waiting for the rest of it, if there is one."""
    answer = b""
    started = awake = time.monotonic()
    known = 0.0
    while True:
        if select.select([reader], [], [], _LOOK_SECONDS)[0]:
            part = os.read(reader, 65536)
            if not part:
                return answer, None
            answer += part
            if answer.endswith(b"\n"):  # a process that the algorithm left may keep the pipe open
                return answer, None
            continue
        now, used = time.monotonic(), _processor_seconds(child)
        if used > seconds:
            return answer, f"no answer after {seconds:g} s of processor time"
        if used - known > _NEXT_TO_NONE * (now - awake):
            awake, known = now, used
        if now - awake > IDLE_SECONDS:
            return answer, f"no answer: the check has waited for {IDLE_SECONDS:g} s without using the processor"
        if now - started > LAST_RESORT_SECONDS:
            return answer, f"no answer in {LAST_RESORT_SECONDS:g} s"


def _processor_seconds(group: int) -> float:
    """The processor time of a process group, from Linux's /proc or from POSIX's `ps`."""
    if (_PROC / "self" / "stat").exists():
        ticks = sum(sum(map(int, fields[11:15])) for fields in _statuses() if int(fields[2]) == group)
        return ticks / os.sysconf("SC_CLK_TCK")
    listed = subprocess.run(["ps", "-A", "-o", "pgid=", "-o", "time="], capture_output=True, text=True, check=True)  # noqa: S607
    lines = [line.split() for line in listed.stdout.splitlines()]
    clocks = [re.split("[-:]", time) for processes, time in lines if int(processes) == group]
    return sum(60 * float(minutes) + float(seconds) for *_, minutes, seconds in clocks)


def _statuses() -> Iterator[list[str]]:
    """For every process, the fields of proc_pid_stat(5) after the program's name."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with suppress(OSError):  # the process has ended meanwhile
                yield Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _in_child(check: Check, subject: Subject, folder: Path, writer: int) -> None:
    try:
        os.setpgid(0, 0)
        silence = os.open(folder / "output", os.O_CREAT | os.O_WRONLY)
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        # A test runner may have replaced these streams, and their buffers may hold text that was not written yet.
        sys.stdout, sys.stderr = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")
        os.write(writer, f"{json.dumps(_verdict(check, subject))}\n".encode())
    finally:
        os._exit(0)


def _verdict(check: Check, subject: Subject) -> tuple[str, str, str]:
    try:
        check.behaviour(subject)
    except NotApplicableError as reason:
        return NOT_APPLICABLE, str(reason), ""
    except Remark as remark:
        return REMARK, str(remark), ""
    except AssertionError as error:
        return FAILED, one_line(error) or check.sentence, FINDING
    except BaseException as error:  # noqa: BLE001 - it is told to the driver
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            FAILED,
            f"{type(error).__name__}: {one_line(error)} ({Path(place.filename).name}:{place.lineno})",
            ERROR,
        )
    return PASSED, "", ""
