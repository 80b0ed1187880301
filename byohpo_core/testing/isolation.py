"""Do some work in a process of its own, within limits, and leave nothing of it behind.

Three processes take part. The kit waits. The **guard**, its child, keeps the limits and runs none of the algorithm's
code. The **worker**, the guard's child, does the work in an empty folder. When the work has ended or reached a limit,
or when the kit has died, the guard kills the worker with all that it has started: on Linux all descendants, elsewhere
the process group. If the guard itself is killed, Linux kills the worker too; its limit of processor time holds
everywhere.
"""

import json
import math
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import attrs

from byohpo_core.backends.local.processes import kill_descendants
from byohpo_core.backends.orphans import adopt_orphans, die_with_parent, signal_group
from byohpo_core.errors import one_line
from byohpo_core.testing.check import DEATH, ERROR, HANG

IDLE_SECONDS = 10.0
"""Work hangs if it uses almost no processor time for this long. Even on a busy machine, a process that is ready to run
gets some processor time within these seconds."""
LAST_RESORT_SECONDS = 600.0
"""Work also hangs if it takes longer than this, whatever it does."""
_NEXT_TO_NONE = 0.01
_LOOK_SECONDS = 0.2
_SPARE_SECONDS = 2
"""The kernel's limit of processor time is this much longer than the guard's, which can say more about it."""
_PROC = Path("/proc")
_REPORT = "report"


@attrs.frozen
class Answer:
    """What came of the work."""

    value: Any = None
    """What it returned, as JSON restores it."""
    complaint: str = ""
    """Why it returned nothing."""
    cause: str = ""
    """An exception (`ERROR`), no answer in time (`HANG`), or the death of its process (`DEATH`)."""
    processor_seconds: float = 0.0


def isolated(work: Callable[[], Any], seconds: float) -> Answer:
    """Do some work in another process, which may use *seconds* of processor time, and return its answer.

    A busy machine does not make it fail: real time counts only when the processor is not used.
    """
    with tempfile.TemporaryDirectory(prefix="byohpo-check-") as folder, warnings.catch_warnings():
        # Python warns of a fork beside other threads, such as those of a test runner. The child does not use them.
        warnings.simplefilter("ignore", DeprecationWarning)
        ended, end = os.pipe()
        kit, guard = os.getpid(), os.fork()
        if guard == 0:
            _Guard(kit, ended, Path(folder), seconds).run(work)
        try:
            os.waitpid(guard, 0)
        except BaseException:  # such as Ctrl-C
            os.write(end, b"\n")
            os.waitpid(guard, 0)
            raise
        finally:
            os.close(ended)
            os.close(end)
        try:
            return Answer(**json.loads(Path(folder, _REPORT).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Answer(complaint="the process that guards the check was killed", cause=DEATH)


@attrs.define
class _Guard:
    """The process between the kit and the worker."""

    kit: int
    ended: int
    """A pipe that can be read when the kit ends the work. (A signal's exception could be lost on its way.)"""
    folder: Path
    seconds: float

    def run(self, work: Callable[[], Any]) -> NoReturn:
        """Be the guard, from the fork to the end of this process."""
        try:
            os.setpgid(0, 0)  # Ctrl-C is for the kit, which tells the guard
            _redirect(self.folder / "output")
            adopt_orphans()
            reader, writer = os.pipe()
            worker = os.fork()
            if worker == 0:
                os.close(reader)
                self._work(work, os.getppid(), writer)
            os.close(writer)
            report = self._watch(worker, reader)
            if os.getppid() == self.kit:
                (self.folder / _REPORT).write_text(json.dumps(attrs.asdict(report)), encoding="utf-8")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            os._exit(0)

    def _watch(self, worker: int, reader: int) -> Answer:
        """Wait for the answer, kill all that is left, and report."""
        try:
            answer, hang = self._answer(worker, reader)
        finally:
            status = _kill(worker)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = used.ru_utime + used.ru_stime
        if hang:
            return Answer(complaint=hang, cause=HANG, processor_seconds=spent)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
            return Answer(complaint=self._used_up(), cause=HANG, processor_seconds=spent)
        if not answer.endswith(b"\n"):
            return Answer(complaint=_death(status), cause=DEATH, processor_seconds=spent)
        return Answer(**json.loads(answer), processor_seconds=spent)

    def _answer(self, worker: int, reader: int) -> tuple[bytes, str]:
        """The worker's answer, and the reason to stop waiting for the rest of it, if there is one."""
        answer = b""
        started = awake = time.monotonic()
        known = 0.0
        while not answer.endswith(b"\n"):  # a process that the algorithm left may keep the pipe open
            ready = select.select([reader, self.ended], [], [], _LOOK_SECONDS)[0]
            if self.ended in ready:
                return answer, "the kit has ended it"
            if ready:
                part = os.read(reader, 65536)
                if not part:
                    break
                answer += part
                continue
            now, used = time.monotonic(), processor_seconds(worker)
            if os.getppid() != self.kit:
                return answer, "the kit has died"
            if used > self.seconds:
                return answer, self._used_up()
            if used - known > _NEXT_TO_NONE * (now - awake):
                awake, known = now, used
            if now - awake > IDLE_SECONDS:
                return answer, f"no answer: it has waited for {IDLE_SECONDS:g} s without using the processor"
            if now - started > LAST_RESORT_SECONDS:
                return answer, f"no answer in {LAST_RESORT_SECONDS:g} s"
        return answer, ""

    def _used_up(self) -> str:
        return f"no answer after {self.seconds:g} s of processor time"

    def _work(self, work: Callable[[], Any], guard: int, writer: int) -> NoReturn:
        """Be the worker, from the fork to the end of this process."""
        try:
            os.setpgid(0, 0)
            die_with_parent()
            if os.getppid() == guard:  # else it died before it could take this process with it
                _limit_processor_time(math.ceil(self.seconds) + _SPARE_SECONDS)
                (self.folder / "work").mkdir()
                os.chdir(self.folder / "work")
                os.write(writer, f"{json.dumps(_done(work))}\n".encode())
        finally:
            os._exit(0)


def _done(work: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": work()}
    except BaseException as error:  # noqa: BLE001 - it is told to the kit
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return {"complaint": f"{type(error).__name__}: {one_line(error)} ({where})", "cause": ERROR}


def _redirect(output: Path) -> None:
    """Read nothing, and write into a file; the streams of a terminal or a pipe are left."""
    silence = os.open(output, os.O_CREAT | os.O_WRONLY, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    # A test runner may have replaced these streams, and their buffers may hold text that was not written yet.
    sys.stdout, sys.stderr = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")


def _limit_processor_time(seconds: int) -> None:
    """Let the kernel end this process, and each that it starts, after so much processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    unlimited = hard == resource.RLIM_INFINITY
    most = seconds + 1 if unlimited else min(hard, seconds + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (min(seconds, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _kill(worker: int) -> int:
    """Kill the worker and what it has started, and return how the worker ended."""
    signal_group(worker, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)  # it may not have its group yet
    status = os.waitpid(worker, 0)[1]
    kill_descendants()
    return status


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"the process died before the check ended: {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the process died before the check ended: exit code {os.waitstatus_to_exitcode(status)}"


def processor_seconds(group: int) -> float:
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
