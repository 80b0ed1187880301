"""The process behind `PythonFunction(f, processes=True)`: read hyperparameters and write the answer, as JSON.

Its child evaluates the function. This process runs none of the function's code, so it can kill the child's process
group at any moment: when the driver tells it to, or dies. Code that never lets another thread run cannot prevent that.
"""

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

from byohpo_core.backends.orphans import die_with_parent, signal_group
from byohpo_core.importable import load_function
from byohpo_core.validate import plain


def main(function: str, request: int, answer: int) -> None:
    """Evaluate the function once. What it prints goes to standard error."""
    os.dup2(2, 1)
    _forget_the_drivers_signals()
    line = os.fdopen(os.dup(request), "rb", buffering=0).readline()
    if not line.strip():
        return
    watcher = os.getpid()
    try:
        evaluation = os.fork()
    except OSError as error:
        _tell(answer, {"interruption": f"the evaluation's process could not be started: {error}"})
        return
    if evaluation:
        _watch(evaluation, request, answer)
        return
    os.close(request)
    os.setpgid(0, 0)
    die_with_parent()
    if os.getppid() == watcher:
        _evaluate(function, line, answer)


def _evaluate(function: str, line: bytes, answer: int) -> None:
    reply: dict[str, Any]
    try:
        reply = {"answer": _as_json(load_function(function)(json.loads(line)))}
    except BaseException as error:  # noqa: BLE001 - the driver reports it
        reply = {"failure": f"{type(error).__name__}: {error}"}
    _tell(answer, reply)


def _watch(evaluation: int, request: int, answer: int) -> None:
    """Wait for the end of the evaluation, kill what it has started, and tell its exit code if it has not answered."""
    with suppress(OSError):  # it does the same, and may have ended
        os.setpgid(evaluation, evaluation)
    threading.Thread(target=_kill_when_told, args=(evaluation, request), daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(evaluation, 0)[1])
    signal_group(evaluation, signal.SIGKILL)
    _tell(answer, {"code": code})  # the driver reads the first line only


def _kill_when_told(evaluation: int, request: int) -> None:
    """Kill the evaluation's process group once the driver writes to the pipe, or dies, which closes its other end."""
    os.read(request, 1)
    signal_group(evaluation, signal.SIGKILL)


def _tell(answer: int, reply: dict[str, Any]) -> None:
    with suppress(BrokenPipeError), os.fdopen(answer, "w", encoding="utf-8") as answers:
        answers.write(json.dumps(reply) + "\n")


def _forget_the_drivers_signals() -> None:
    """Handle signals as a new program does: what the driver's program ignores or blocks would stay so here."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return plain(value)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
