"""Find and kill the processes of a local job. A process id is used only to kill, with its start time.

On Linux a job's process is known by its environment, the claim that it keeps locked, or its parent, and so is a group
in which there is one, or one that works in the job's folder. Elsewhere `ps` tells only the group that the claim names.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from byohpo_core.backends.local.files import read_small
from byohpo_core.backends.orphans import LINUX

SUPERVISOR = "byohpo_core.backends.local.supervisor"
"""The module that a supervisor's command line names, before the path of the job's order."""
_PS = ("ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart=,command=")
_PS_COLUMNS = 9  # before the command; lstart has five words
_PAUSE_SECONDS = 0.005
_UNSEEN = (FileNotFoundError, ProcessLookupError, PermissionError)
"""A process that has ended, or is somebody else's. Any other error says nothing about it."""


class Process(NamedTuple):
    """A process that is alive, not a zombie."""

    pid: int
    parent: int
    group: int
    started: str
    """When it started, only to be compared: no other process of this id started then."""
    command: str = ""
    """What `ps` shows; empty on Linux, where /proc tells more."""


class Marks(NamedTuple):
    """What the processes of one job are known by."""

    name: str
    base: Path
    """The folder in the script's variable SAGEMAKER_BASE_DIR."""
    order: Path
    claim: Path


def kill_job(marks: Marks) -> bool:
    """Kill the processes of a job; False if none was seen."""
    killed = [_kill(process) for process in _of_job(marks)]
    return any(killed)


def record_group(leader: int) -> dict[str, Any]:
    """Describe the process group of this leader for the claim, where `kill_job` reads it."""
    found = _look_up(leader)
    return {"group": leader, "session": os.getsid(leader), "started": found and found.started}


def kill_descendants() -> None:
    """Kill all that this process has started and see it dead; only on Linux, where it has adopted the orphans."""
    while LINUX:
        reap()
        killed = [_kill(process) for process in _running() if process.parent == os.getpid()]
        if not any(killed):
            return
        time.sleep(_PAUSE_SECONDS)


def reap() -> dict[int, int]:
    """Take the statuses of the children that have ended, by process id."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            ended[child[0]] = child[1]
    return ended


def _of_job(marks: Marks) -> list[Process]:
    processes = [process for process in _running() if process.pid != os.getpid()]
    leaders = {process.pid: process.started for process in processes}
    record, claim = _record(marks.claim), _claim(marks.claim)
    grouped = [process for process in processes if _is_in_group(process, record, leaders)]
    found = {
        process.pid
        for process in processes
        if _supervises(process, marks.order) or _carries(process, marks) or _keeps_locked(process, claim)
    }
    # A script may write over its claim, and a stranger may send one: on Linux a group alone is no proof.
    if not LINUX or any(process.pid in found or _works_in(process, marks.base.parent) for process in grouped):
        found |= {process.pid for process in grouped}
    known = 0
    while known < len(found):
        known = len(found)
        found |= {process.pid for process in processes if process.parent in found}
    return [process for process in processes if process.pid in found]


def _supervises(process: Process, order: Path) -> bool:
    if LINUX:
        words = _words(process, "cmdline")
        return SUPERVISOR in words and any(_same(word, order) for word in words)
    return SUPERVISOR in process.command and process.command.endswith(str(order))


def _carries(process: Process, marks: Marks) -> bool:
    """Whether a process has the job's name and folder in its environment."""
    variables = dict(word.partition("=")[::2] for word in _words(process, "environ"))
    return variables.get("TRAINING_JOB_NAME") == marks.name and _same(
        variables.get("SAGEMAKER_BASE_DIR", ""), marks.base
    )


def _works_in(process: Process, folder: Path) -> bool:
    """Whether a process has its working folder inside this one, which may be deleted."""
    with suppress(*_UNSEEN):
        return os.readlink(f"/proc/{process.pid}/cwd").startswith(f"{os.path.realpath(folder)}/")  # noqa: PTH115
    return False


def _is_in_group(process: Process, record: Mapping[str, Any], leaders: Mapping[int, str]) -> bool:
    """Whether a process is in the recorded group, whose id may belong to another group by now."""
    if process.group != record.get("group"):
        return False
    if process.group in leaders:
        return leaders[process.group] == record.get("started")
    with suppress(OSError):  # a group without its leader: no other has the same session too
        return os.getsid(process.pid) == record.get("session")
    return False


def _keeps_locked(process: Process, file: tuple[int, int] | None) -> bool:
    with suppress(*_UNSEEN):
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir() if LINUX and file else ():
            with suppress(*_UNSEEN):
                if _identity(descriptor) == file:
                    return b"lock:" in Path(f"/proc/{process.pid}/fdinfo/{descriptor.name}").read_bytes()
    return False


def _record(claim: Path) -> Mapping[str, Any]:
    """Return what the supervisor has written into the claim; nothing if the script has written over it."""
    try:
        record = json.loads(read_small(claim) or "{}")
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _claim(path: Path) -> tuple[int, int] | None:
    """The file that a claim is; None if it is a link, which may lead to a file that any program keeps locked."""
    return None if path.is_symlink() else _identity(path)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _same(word: str, path: Path) -> bool:
    """Whether a word is this path, perhaps through a symbolic link; the place itself may be gone."""
    return os.path.basename(word) == path.name and os.path.realpath(word) == os.path.realpath(path)  # noqa: PTH119


def _words(process: Process, kind: str) -> list[str]:
    """Return the words of a process's command line or environment; none where the system does not tell."""
    with suppress(*_UNSEEN):
        if LINUX:
            return os.fsdecode(Path(f"/proc/{process.pid}/{kind}").read_bytes()).split("\0")
    return []


def _kill(process: Process) -> bool:
    """Kill a process; False if it belongs to somebody else."""
    try:
        now = _look_up(process.pid) if LINUX else process
        if now is None or now.started != process.started:
            return True
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def _running() -> Iterator[Process]:
    if LINUX:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return (found for pid in pids if (found := _in_proc(pid)) is not None)
    return _in_ps()


def _look_up(pid: int) -> Process | None:
    return _in_proc(pid) if LINUX else next((process for process in _in_ps() if process.pid == pid), None)


def _in_proc(pid: int) -> Process | None:
    with suppress(*_UNSEEN):
        # proc_pid_stat(5): the name in parentheses may hold anything; the third field, the state, follows it.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[0] not in "ZX":
            return Process(pid, int(fields[1]), int(fields[2]), f"{fields[19]} {_boot()}")
    return None


def _boot() -> str:
    """Tell this run of the machine from others: start times count from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _in_ps() -> Iterator[Process]:
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        listed = subprocess.run(_PS, capture_output=True, check=True, text=True, errors="replace", env=environment)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):  # no `ps`, or one with other options: the claim alone must do
        return
    for line in listed.stdout.splitlines():
        pid, parent, group, state, *started, command = line.split(maxsplit=_PS_COLUMNS)
        if not state.startswith("Z"):
            yield Process(int(pid), int(parent), int(group), " ".join(started), command)
