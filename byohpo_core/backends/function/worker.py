"""The process behind `PythonFunction(f, processes=True)`: read hyperparameters and write the answer, as JSON."""

import json
import os
import signal
import sys
import threading
from typing import Any

from byohpo_core.importable import load_function
from byohpo_core.validate import plain


def main(function: str, request: int, answer: int) -> None:
    """Evaluate the function once. What it prints goes to standard error."""
    os.dup2(2, 1)
    _forget_the_drivers_signals()
    line = os.fdopen(os.dup(request), "rb", buffering=0).readline()
    if not line:
        return
    threading.Thread(target=_leave_with_the_driver, args=(request,), daemon=True).start()
    reply: dict[str, Any]
    try:
        reply = {"answer": _as_json(load_function(function)(json.loads(line)))}
    except BaseException as error:  # noqa: BLE001 - the driver reports it
        reply = {"failure": f"{type(error).__name__}: {error}"}
    with os.fdopen(answer, "w", encoding="utf-8") as answers:
        answers.write(json.dumps(reply) + "\n")


def _forget_the_drivers_signals() -> None:
    """Handle signals as a new program does: what the driver's program ignores or blocks would stay so here."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _leave_with_the_driver(request: int) -> None:
    """Kill this process group once the driver has died, which closes the other end of the pipe."""
    os.read(request, 1)
    os.killpg(0, signal.SIGKILL)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return plain(value)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
