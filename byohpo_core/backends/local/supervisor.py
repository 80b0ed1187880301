"""The process that runs one local training job and outlives the driver that started it.

It claims the job with a file that can be created only once, and locks that file as long as it lives. If the lock is
free and there is no exit status, the job has died with its supervisor. The driver starts this module with the path of
the job's order, a JSON file. The started process exits once it is clear who has the claim; its child runs the job, in
the session that the driver made for it.
"""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from byohpo_core.container import Layout, arguments, environment

CLAIM = "claim"
EXIT = "exit.json"
LOG = "log.txt"
STOP = "stop"
CONTAINER = "ml"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LOOK_SECONDS = 0.1
_UNUSABLE = frozenset({errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.E2BIG})
"""Errors of the interpreter or the arguments, which would fail the next attempt too."""


def main(order_file: str) -> None:
    """Claim the job of an order and run it; do nothing if another supervisor has claimed it."""
    order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    folder = Path(order["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    decided, deciding = os.pipe()
    if os.fork():
        os.close(deciding)
        sys.exit(0 if os.read(decided, 1) else 1)
    os.close(decided)
    claim = _claim(folder)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, sys.stderr.fileno())  # the driver reads until every writer has closed its end
    os.write(deciding, b"!")
    os.close(deciding)
    if claim is not None:
        with claim:
            _supervise(order, folder)
    os._exit(0)


def is_abandoned(folder: Path) -> bool:
    """Whether the job's supervisor has died before the job ended."""
    try:
        with (folder / CLAIM).open("r+b") as claim:
            fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return not (folder / EXIT).exists()


def write_durably(path: Path, text: str) -> None:
    """Write a file atomically and flush it to disk."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _claim(folder: Path) -> IO[bytes] | None:
    """Create the claim, locked before others can see it; None if the job is claimed already."""
    temporary = folder / f"{CLAIM}.{os.getpid()}"
    claim = temporary.open("wb")
    fcntl.lockf(claim, fcntl.LOCK_EX)
    try:
        os.link(temporary, folder / CLAIM)
    except FileExistsError:
        claim.close()
        return None
    finally:
        temporary.unlink()
    return claim


def _supervise(order: Mapping[str, Any], folder: Path) -> None:
    """Run the job and write how it ended: its exit code, and what stopped it or kept it from running."""
    started = time.time()
    ended = {"code": None, "stopped": False, **_run(order, folder)}
    write_durably(folder / EXIT, json.dumps({**ended, "started": started, "ended": time.time()}))


def _run(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    terminated: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: terminated.append(number))
    if (folder / STOP).exists():
        return {"stopped": True}
    layout = Layout(folder / CONTAINER)
    try:
        layout.create(order["hyperparameters"], order["channels"])
        shutil.copytree(order["code"], layout.code, symlinks=True)
        log = (folder / LOG).open("wb")
    except OSError as error:
        return {"interruption": f"the job could not be prepared: {error}"}
    with log:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own script, no shell
                [order["python"], order["script"], *arguments(order["hyperparameters"])],
                cwd=layout.code,
                env=_environment(order, layout),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except (OSError, ValueError) as error:
            unusable = isinstance(error, ValueError) or error.errno in _UNUSABLE
            return {"failure" if unusable else "interruption": f"the job could not be started: {error}"}
        ended = _wait(process, order["stop_grace_seconds"], folder / STOP, terminated)
        os.fsync(log.fileno())
    return ended


def _wait(process: subprocess.Popen[bytes], grace: float, stop: Path, terminated: list[int]) -> dict[str, Any]:
    """Wait for the script; terminate it if the user asks for a stop or this process gets SIGTERM."""
    stopped = False
    deadline = None
    while True:
        try:
            code = process.wait(_LOOK_SECONDS)
            break
        except subprocess.TimeoutExpired:
            stopped = stopped or stop.exists()
            if deadline is None and (stopped or terminated):
                deadline = time.monotonic() + grace
                _signal_group(process.pid, signal.SIGTERM)
            elif deadline is not None and time.monotonic() > deadline:
                _signal_group(process.pid, signal.SIGKILL)
    _signal_group(process.pid, signal.SIGKILL)  # like the end of a container, which kills all that it started
    ended: dict[str, Any] = {"code": code, "stopped": stopped}
    if terminated and not stopped and (deadline is not None or code != 0):
        ended["interruption"] = "its supervisor was terminated, as when the machine goes down"
    return ended


def _environment(order: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    cpus = order["cpus"]
    contract = environment(
        layout, order["job_name"], order["script"], order["hyperparameters"], order["channels"], cpus
    )
    threads = dict.fromkeys(THREAD_VARIABLES, str(cpus))
    return {**threads, **os.environ, **contract, "PYTHONUNBUFFERED": "1", **order["environment"]}


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(sys.argv[1])
