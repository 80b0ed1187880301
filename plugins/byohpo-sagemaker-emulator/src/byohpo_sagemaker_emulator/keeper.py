"""The parent of a job's process, which ends all that the job has started when the job or the emulator ends.

It is a program of its own, `keeper.py COMMAND ...`, because the emulator may be killed. Its standard input is a pipe
from the emulator: each byte is the number of a signal for the job's process group, and SIGKILL or the end of the pipe
ends all that the job has started. It exits as the command does, with 128 plus the signal's number if a signal ended it.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.5
_NOT_FOUND = 127


def main(command: list[str]) -> int:
    """Run a command to its end, or to the emulator's."""
    emulator = os.getppid()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _control(_SET_CHILD_SUBREAPER, 1)  # so that what the job leaves behind becomes a child of this process
    job = os.fork()
    if job == 0:
        _become(command)
    _lead(job)
    code: int | None = None
    while code is None and os.getppid() == emulator:
        ready = select.select([0, woken], [], [], _LOOK_SECONDS)[0]
        if woken in ready:
            os.read(woken, 4096)
        code = _reap(job)
        if code is None and 0 in ready:
            orders = os.read(0, 16)
            if not orders or signal.SIGKILL in orders:
                break
            for number in orders:
                _signal(-job, number)
    _signal(-job, signal.SIGKILL)
    while True:
        for child in _children():
            _signal(child, signal.SIGKILL)
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 128 + signal.SIGKILL if code is None else code
        if pid == job:
            code = _shown(status)
        elif pid == 0:
            time.sleep(0.01)


def _become(command: list[str]) -> None:
    """Replace this process, a fork, by the command. Never returns."""
    try:
        _lead(0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _control(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.execvp(command[0], command)  # noqa: S606 - the user's own code
    except OSError as error:
        os.write(2, f"cannot run {command[0]!r}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(_NOT_FOUND)


def _lead(job: int) -> None:
    """Let the job lead a process group. It and its parent do so: whoever comes first, a signal finds the group."""
    with contextlib.suppress(OSError):  # it has begun, and so has its group
        os.setpgid(job, job)


def _reap(job: int) -> int | None:
    """Collect every process that has ended. Return the job's exit code if it is one of them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == job:
            code = _shown(status)


def _shown(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _children() -> Iterator[int]:
    """The processes whose parent is this one. None where there is no /proc; there, the process group must do."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text(encoding="latin-1").rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(os.getpid()):
            yield int(status.parent.name)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        return


def _control(option: int, value: int) -> None:
    """Call Linux's prctl."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
