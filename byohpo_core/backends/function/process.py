"""Start, call and kill the process of one evaluation, from the driver's side."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from byohpo_core.backendspecs import Outcome


class Worker:
    """A process that evaluates the function once and exchanges JSON with the driver over two pipes.

    It runs in its own session, so that Ctrl-C on the terminal does not reach it. It kills the evaluation and ends when
    another line comes through its request pipe, or when that is closed, which happens when the driver dies.
    """

    def __init__(self, function: str) -> None:
        self._killed = False
        self._closing = threading.Lock()
        """Held while the request pipe is closed, or written to by another thread than the one that evaluates."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        module = "byohpo_core.backends.function.worker"
        with ExitStack() as ours, ExitStack() as theirs:
            request, self._requests = _pipe(theirs, ours)
            self._answers, answer = _pipe(ours, theirs)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                [sys.executable, "-P", "-m", module, function, str(request), str(answer)],
                pass_fds=(request, answer),
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._descriptors = ours.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._process.wait()
        with self._closing:
            self._descriptors.close()

    def call(self, hyperparameters: Mapping[str, Any]) -> tuple[Outcome, Any]:
        """Return the outcome, and the function's answer or the reason for the failure."""
        # The descriptors stay open: the process kills the evaluation once its pipe for requests is closed.
        with suppress(BrokenPipeError), open(self._requests, "w", encoding="utf-8", closefd=False) as requests:
            requests.write(json.dumps(dict(hyperparameters)) + "\n")
        with open(self._answers, encoding="utf-8", closefd=False) as answers:
            line = answers.readline()
        answer = json.loads(line) if line else {"code": self._process.wait()}
        if "answer" in answer:
            return Outcome.Completed, answer["answer"]
        if self._killed:
            return Outcome.Stopped, "stopped"
        if "failure" in answer:
            return Outcome.Failed, answer["failure"]
        if "interruption" in answer:
            return Outcome.Interrupted, answer["interruption"]
        return Outcome.Failed, f"the evaluation's process died with exit code {answer['code']}"

    def kill(self) -> None:
        """Kill the evaluation and every process that it has started."""
        self._killed = True
        self._kill()

    def _kill(self) -> None:
        with self._closing, suppress(BrokenPipeError):
            if self._process.returncode is None:
                os.write(self._requests, b"\n")


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Make a pipe, each of whose ends is closed with a stack."""
    ends = os.pipe()
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends
