"""The process that runs one local training job and outlives the driver that started it.

The driver starts this module with the path of the job's order, a JSON file in which secrets are marked. On standard
input come the parts of it that have secrets, with their values. The started process exits once it is clear who has the
claim. Its child, the keeper, has another child, the supervisor, which runs the script.

| the job's folder    | `supervisor.lock` is locked by | `claim` is locked by             | `exit.json` |
|---------------------|--------------------------------|----------------------------------|-------------|
| not claimed         | nobody                         | is not there                     | no          |
| claimed             | keeper and supervisor          | keeper, supervisor               | no          |
| running             | keeper and supervisor          | keeper, supervisor, script       | no          |
| its supervisor died | the keeper, until all are dead | the script, until it is dead     | no          |
| interrupted         | nobody                         | nobody                           | no          |
| ended               | nobody                         | nobody                           | yes         |

Liveness is the lock; process ids are used only to kill, with their start time. The locks belong to open files that
children inherit, so each lasts until the last of its holders is dead, however it dies. On Linux the script dies with
its supervisor, and keeper and supervisor adopt all its descendants: whoever of the two is left kills them, then leaves.
"""

import errno
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from byohpo_core import files
from byohpo_core.backends.local.child import Command, start
from byohpo_core.backends.local.files import set_modes, write_durably
from byohpo_core.backends.local.processes import kill_descendants, reap
from byohpo_core.backends.orphans import adopt_orphans, signal_group
from byohpo_core.clock import SteadyClock
from byohpo_core.container import Layout, arguments, environment
from byohpo_core.secrets import marked_in

CLAIM = "claim"
LOCK = "supervisor.lock"
EXIT = "exit.json"
LOG = "log.txt"
STOP = "stop"
CONTAINER = "ml"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NO_ROOM_CODE = os.EX_TEMPFAIL
"""The exit code of a supervisor for which the machine had no room before it claimed the job."""
_LOOK_SECONDS = 0.02
_CLAIM_SECONDS = 10.0
_MODE = files.file_mode(shared=True)
"""The umask takes the group's part away, unless the study is shared."""
_UNUSABLE = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.E2BIG})
"""Errors of the interpreter or the arguments, which would fail the next attempt too."""


def main(order_file: str) -> int:
    """Claim the job of an order and run it; do nothing if another supervisor has claimed it."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    umask = os.umask(files.umask(shared=order.get("shared", False)))
    told = json.loads(sys.stdin.read() or "{}")
    order |= {**told, "private": "hyperparameters" in told}
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    if any(marked_in(order)) and not os.path.lexists(folder / STOP):
        sys.stderr.write("the driver died before it told the secrets\n")
        return 1
    os.chdir(folder)  # by name it may soon be another folder, or none
    decided, deciding = os.pipe()
    try:
        if os.fork():
            os.close(deciding)
            return int(os.read(decided, 8) or 1)
    except OSError as error:
        return _refuse(error)
    os.close(decided)
    code = 0
    try:
        claim = _claim()
        supervisor = None if claim is None else _fork_with(claim)
    except OSError as error:
        claim, supervisor, code = None, None, _refuse(error)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, sys.stderr.fileno())  # the driver reads until every writer has closed its end
    if supervisor != 0:
        os.write(deciding, str(code).encode())
    os.close(deciding)
    if supervisor:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the supervisor is told too, and ends in order
        os.waitpid(supervisor, 0)
        kill_descendants()
    elif claim is not None:
        _supervise(order, folder, claim, umask)
    os._exit(0)


def _refuse(error: OSError) -> int:
    """Tell the driver why the job was not claimed, and return the exit code."""
    sys.stderr.write(f"{error}\n")
    return NO_ROOM_CODE if error.errno in files.NO_ROOM else 1


def is_locked(path: Path, lock: Any = fcntl.flock) -> bool:
    """Whether somebody holds a lock on this file; also true while that cannot be told."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        return error.errno in files.NO_ROOM
    try:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _claim() -> int | None:
    """Lock the supervisor's file and a new claim, both until this process and its children are dead.

    Returns the claim, or None if the job is claimed already.
    """
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, _MODE)
    deadline = time.monotonic() + _CLAIM_SECONDS
    while not (Path(CLAIM).exists() or Path(EXIT).exists()):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            claim = os.open(CLAIM, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:
            break
        except BlockingIOError:  # another supervisor is about to claim it, or a driver looks at this moment
            if time.monotonic() > deadline:
                raise TimeoutError(f"{LOCK} is locked, but there is no {CLAIM}") from None
            time.sleep(_LOOK_SECONDS)
        else:
            fcntl.flock(claim, fcntl.LOCK_EX)
            return claim
    os.close(lock)
    return None


def _fork_with(claim: int) -> int:
    """Fork the supervisor from its keeper, and return its process id, or 0 in the supervisor itself."""
    adopt_orphans()
    try:
        return os.fork()
    except OSError:
        Path(CLAIM).unlink()  # nobody else can have claimed the job: its supervisor's file is still locked
        os.close(claim)
        raise


def _supervise(order: Mapping[str, Any], folder: Path, claim: int, umask: int) -> None:
    """Run the job and write how it ended: its exit code, and what stopped it or kept it from running."""
    adopt_orphans()
    clock = SteadyClock(order["ordered"])
    started = clock.now()
    ended = {"code": None, "stopped": False, **_run(order, folder, claim, umask)}
    write_durably(
        Path(EXIT), json.dumps({**ended, "started": started, "ended": clock.now()}), shared=order.get("shared", False)
    )


def _run(order: Mapping[str, Any], folder: Path, claim: int, umask: int) -> dict[str, Any]:
    terminated: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: terminated.append(number))
    if os.path.lexists(STOP):
        return {"stopped": True}
    layout = Layout(folder / CONTAINER)
    try:
        _create(layout, order)
        shutil.copytree(order["code"], layout.code, symlinks=True)
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    except OSError as error:
        return {"interruption": f"the job could not be prepared: {error}"}
    words = [order["python"], order["script"], *arguments(order["hyperparameters"])]
    try:
        script = start(Command(words, layout.code, _environment(order, layout), umask, log, claim))
    except (OSError, ValueError) as error:
        unusable = isinstance(error, ValueError) or error.errno in _UNUSABLE
        return {"failure" if unusable else "interruption": f"the job could not be started: {error}"}
    ended = _wait(script, order["stop_grace_seconds"], claim, terminated)
    os.fsync(log)
    return ended


def _create(layout: Layout, order: Mapping[str, Any]) -> None:
    """Create the container's folders and files, with a copy of the checkpoints that the job continues.

    Hyperparameters among which is a secret are for their owner only.
    """
    before = os.umask(files.umask())
    try:
        layout.create(order["hyperparameters"], order["channels"])
        checkpoints = order.get("checkpoints")
        if checkpoints is not None and Path(checkpoints).is_dir():  # without them it trains from the start
            shutil.copytree(checkpoints, layout.checkpoints, symlinks=True, dirs_exist_ok=True, ignore=_special)
    finally:
        os.umask(before)
    if order.get("shared", False):
        hyperparameters = layout.config / "hyperparameters.json"
        set_modes(layout.base, shared=True, but=hyperparameters if order["private"] else None)


def _special(folder: str, names: list[str]) -> list[str]:
    """What cannot be copied: pipes, sockets and devices."""
    paths = {name: Path(folder, name) for name in names}
    return [name for name, it in paths.items() if not (it.is_symlink() or it.is_file() or it.is_dir())]


def _wait(script: int, grace: float, claim: int, terminated: list[int]) -> dict[str, Any]:
    """Wait for the script; terminate it if the user asks for a stop or this process gets SIGTERM."""
    stopped = False
    deadline = None
    while script not in (statuses := reap()):
        stopped = stopped or os.path.lexists(STOP)
        if not _is_ours(claim):
            signal_group(script, signal.SIGKILL)
        elif deadline is None and (stopped or terminated):
            deadline = time.monotonic() + grace
            signal_group(script, signal.SIGTERM)
        elif deadline is not None and time.monotonic() > deadline:
            signal_group(script, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)
    signal_group(script, signal.SIGKILL)  # like the end of a container, which kills all that it started
    kill_descendants()
    code = os.waitstatus_to_exitcode(statuses[script])
    if not _is_ours(claim):
        return {"interruption": f"the job's {CLAIM} was deleted or replaced"}
    ended: dict[str, Any] = {"code": code, "stopped": stopped}
    if terminated and not stopped and (deadline is not None or code != 0):
        ended["interruption"] = "its supervisor was terminated, as when the machine goes down"
    return ended


def _is_ours(claim: int) -> bool:
    """Whether the claim is still the one that this process has locked; if not, the job may be started again."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(claim), os.stat(CLAIM))  # noqa: PTH116 - of a descriptor
    return False


def _environment(order: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    cpus = order["cpus"]
    contract = environment(
        layout, order["job_name"], order["script"], order["hyperparameters"], order["channels"], cpus
    )
    threads = dict.fromkeys(THREAD_VARIABLES, str(cpus))
    known_by = {name: contract[name] for name in ("TRAINING_JOB_NAME", "SAGEMAKER_BASE_DIR")}
    return {**threads, **os.environ, **contract, "PYTHONUNBUFFERED": "1", **order["environment"], **known_by}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
