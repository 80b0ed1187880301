"""Start, call and kill the process of one evaluation, from the driver's side."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from byohpo_core.backendspecs import Outcome


class Worker:
    """A process that evaluates the function once and exchanges JSON with the driver over two pipes.

    It runs in its own session, so that Ctrl-C on the terminal does not reach it. It ends itself when its request pipe
    is closed, which happens when the driver dies.
    """

    def __init__(self, function: str) -> None:
        request, self._requests = os.pipe()
        self._answers, answer = os.pipe()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        self._killed = False
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "byohpo_core.backends.function.worker",
                    function,
                    str(request),
                    str(answer),
                ],
                pass_fds=(request, answer),
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            os.close(self._requests)
            os.close(self._answers)
            raise
        finally:
            os.close(request)
            os.close(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._process.wait()
        os.close(self._requests)
        os.close(self._answers)

    def call(self, hyperparameters: Mapping[str, Any]) -> tuple[Outcome, Any]:
        """Return the outcome, and the function's answer or the reason for the failure."""
        with suppress(BrokenPipeError), os.fdopen(os.dup(self._requests), "w", encoding="utf-8") as requests:
            requests.write(json.dumps(dict(hyperparameters)) + "\n")
        with os.fdopen(os.dup(self._answers), encoding="utf-8") as answers:
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
