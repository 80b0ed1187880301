"""Start, call and kill the process of one evaluation, from the driver's side."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from byohpo_core.backendspecs import Outcome


class Worker:
    """A process that evaluates the function once and exchanges JSON with the driver over two pipes.

    It runs in its own session, so that Ctrl-C on the terminal does not reach it. It ends itself when its request pipe
    is closed, which happens when the driver dies.
    """

    def __init__(self, function: str) -> None:
        self._killed = False
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
        self._descriptors.close()

    def call(self, hyperparameters: Mapping[str, Any]) -> tuple[Outcome, Any]:
        """Return the outcome, and the function's answer or the reason for the failure."""
        # The descriptors stay open: the process ends itself once its pipe for requests is closed.
        with suppress(BrokenPipeError), open(self._requests, "w", encoding="utf-8", closefd=False) as requests:
            requests.write(json.dumps(dict(hyperparameters)) + "\n")
        with open(self._answers, encoding="utf-8", closefd=False) as answers:
            line = answers.readline()
        if line:
            answer = json.loads(line)
            if "failure" in answer:
                return Outcome.Failed, answer["failure"]
            return Outcome.Completed, answer["answer"]
        code = self._process.wait()
        if self._killed:
            return Outcome.Stopped, "stopped"
        return Outcome.Failed, f"the evaluation's process died with exit code {code}"

    def kill(self) -> None:
        """Kill the evaluation and every process that it has started."""
        self._killed = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Make a pipe, each of whose ends is closed with a stack."""
    ends = os.pipe()
    reader.callback(os.close, ends[0])
    writer.callback(os.close, ends[1])
    return ends
