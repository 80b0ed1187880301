"""Read the log of a running job as it grows, and tell how the job ended."""

import json
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from byohpo_core.backends.local.supervisor import CONTAINER, EXIT, LOG
from byohpo_core.backendspecs import Ended, Outcome
from byohpo_core.container import Layout
from byohpo_core.metrics import MetricScanner
from byohpo_core.study.trial import Trial

_TAIL_BYTES = 4096


class Watch:
    """Follow one running job through the files in its folder."""

    def __init__(self, folder: Path, metrics: Mapping[str, re.Pattern[str]]) -> None:
        self.folder = folder
        self._scanner = MetricScanner(metrics)
        self._position = 0

    def read(self, *, ended: bool) -> Mapping[str, tuple[int, Sequence[float]]]:
        """Return the new points in the log."""
        try:
            with (self.folder / LOG).open("rb") as log:
                log.seek(self._position)
                content = log.read()
        except FileNotFoundError:
            content = b""
        self._position += len(content)
        return self._scanner.feed(content, ended=ended)

    def ended(self, trial: Trial) -> Ended:
        """The end of a job that has an exit status."""
        status = json.loads((self.folder / EXIT).read_text(encoding="utf-8"))
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
            return Outcome.Completed, f"its log ends with: {tail[-1]}" if tail else "its log is empty"
        if "failure" in status:
            return Outcome.Failed, status["failure"]
        return Outcome.Failed, self._failure(trial, code)

    def _failure(self, trial: Trial, code: int) -> str:
        told = Layout(self.folder / CONTAINER).failure()
        if told is not None:
            return told
        ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = self._tail()
        reason = f"{ended}: {tail[-1]}" if tail else ended
        negative = [name for name, value in trial.hyperparameters.items() if str(value).startswith("-")]
        if negative and any("expected one argument" in line for line in tail):
            reason += f" (argparse takes a value like {trial.hyperparameters[negative[0]]} for an option)"
        return reason

    def _tail(self) -> list[str]:
        """The last lines of the log that are not blank."""
        try:
            with (self.folder / LOG).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = log.read().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line.strip() for line in lines if line.strip()]

    def _details(self) -> dict[str, Any]:
        details = {"log": str(self.folder / LOG)}
        model = Layout(self.folder / CONTAINER).model
        if model.is_dir() and any(model.iterdir()):
            details["model_artifacts"] = str(model)
        return details
