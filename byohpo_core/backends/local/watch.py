"""Read the log of a running job as it grows, and tell how the job ended."""

import io
import os
import re
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from byohpo_core.backends.local.supervisor import CONTAINER, LOG
from byohpo_core.backendspecs import Ended, Outcome
from byohpo_core.container import Layout
from byohpo_core.files import open_plain
from byohpo_core.metrics import MetricScanner
from byohpo_core.study.trial import Trial

_TAIL_BYTES = 4096
_READ_BYTES = 65536


class Watch:
    """Follow one running job through the files in its folder."""

    def __init__(self, folder: Path, metrics: Mapping[str, re.Pattern[str]], told: set[str]) -> None:
        self.folder = folder
        self.read_at = 0.0
        """When the log was last read."""
        self.is_behind = False
        """Whether the last read found no time for all of the log."""
        self._scanner = MetricScanner(metrics, folder.name, told)
        self._position = 0
        self._over_at: float | None = None
        """When the job was first seen to be over."""

    def has_waited(self, seconds: float, *, over: bool) -> bool:
        """Whether the job is *over*, and has been seen to be for longer than this."""
        if over and self._over_at is None:
            self._over_at = time.monotonic()
        return self._over_at is not None and time.monotonic() > self._over_at + seconds

    def read(self, deadline: float, *, ended: bool) -> Mapping[str, tuple[int, list[float]]]:
        """Return the new points that are found in the log until the *deadline*."""
        points: dict[str, tuple[int, list[float]]] = {}
        with self._log() as log:
            log.seek(self._position)
            self.is_behind = True
            while self.is_behind:
                content = b"" if self._scanner.is_behind else log.read(_READ_BYTES)
                at_end = not (content or self._scanner.is_behind)
                self._position += len(content)
                found = self._scanner.feed(content, ended=ended and at_end, seconds=deadline - time.monotonic())
                for name, (start, values) in found.items():
                    points.setdefault(name, (start, []))[1].extend(values)
                self.is_behind = self._scanner.is_behind or not at_end
                if time.monotonic() >= deadline:
                    break
        self.read_at = time.monotonic()
        return points

    def _log(self) -> IO[bytes]:
        try:
            return open_plain(self.folder / LOG)
        except FileNotFoundError:
            return io.BytesIO()

    def ended(self, trial: Trial, status: Mapping[str, Any]) -> Ended:
        """The end of a job that has this exit status."""
        outcome, reason = self._verdict(trial, status)
        return Ended(
            str(trial.job_name),
            outcome,
            dict(self._scanner.final),
            reason,
            status["started"],
            status["ended"],
            self._details(),
        )

    def died(self, trial: Trial) -> Ended:
        """The end of a job whose supervisor has died."""
        reason = "its supervisor died"
        return Ended(
            str(trial.job_name), Outcome.Interrupted, dict(self._scanner.final), reason, details=self._details()
        )

    def _verdict(self, trial: Trial, status: Mapping[str, Any]) -> tuple[Outcome, str | None]:
        code = status["code"]
        if status["stopped"]:  # also with exit code 0: a script may save its state and exit normally
            return Outcome.Stopped, "stopped"
        if "interruption" in status:
            return Outcome.Interrupted, status["interruption"]
        if code == 0:
            tail = self._tail()
            told = f"its log ends with: {tail[-1]}" if tail else "its log is empty"
            return Outcome.Completed, "; ".join(filter(None, (self._scanner.trouble, told)))
        if "failure" in status:
            return Outcome.Failed, status["failure"]
        return Outcome.Failed, self._failure(trial, code)

    def _failure(self, trial: Trial, code: int) -> str:
        told = Layout(self.folder / CONTAINER).failure()
        if told is not None:
            return told
        ended = f"killed by {_signal(-code)}" if code < 0 else f"exit code {code}"
        tail = self._tail()
        reason = f"{ended}: {tail[-1]}" if tail else ended
        negative = [name for name, value in trial.hyperparameters.items() if str(value).startswith("-")]
        if negative and any("expected one argument" in line for line in tail):
            reason += f" (argparse takes a value like {trial.hyperparameters[negative[0]]} for an option)"
        return reason

    def _tail(self) -> list[str]:
        """The last lines of the log that are not blank."""
        with self._log() as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read(_TAIL_BYTES).decode("utf-8", errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def _details(self) -> dict[str, Any]:
        details = {"log": str(self.folder / LOG)}
        model = Layout(self.folder / CONTAINER).model
        if model.is_dir() and any(model.iterdir()):
            details["model_artifacts"] = str(model)
        return details


def _signal(number: int) -> str:
    """The name of a signal; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
