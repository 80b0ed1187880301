"""Show progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TextIO

from byohpo_core.errors import one_line, shown
from byohpo_core.hookspecs import hookimpl
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial, TrialStatus

_HYPERPARAMETERS_SHOWN = 6


class Progress:
    """Report the progress of one study: finished, running and failed trials, the best result, and the time.

    A *note* is told first.
    """

    def __init__(self, stream: TextIO | None = None, note: str | None = None) -> None:
        self._stream: TextIO | None = stream or sys.stderr  # None if it is closed
        self._note = note
        self._bar: Any = None
        self._task: Any = None
        self._failed: int | None = None

    def __enter__(self) -> Self:
        if self._stream is not None and self._stream.closed:
            self._stream = None
        if self._note is not None:
            self._line(self._note)
        if self._stream is not None and self._stream.isatty():
            self._bar = _bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task("", total=None, story="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with suppress(OSError):  # the terminal has gone
                self._bar.stop()

    @hookimpl
    def happened(self, study: Study, event: Event) -> None:
        if self._failed is None:
            self._failed = sum(trial.status is TrialStatus.Failed for trial in study.trials)
        elif event.kind is EventKind.Finished:
            self._failed += event.body["status"] == TrialStatus.Failed
        if self._bar is not None:
            self._show(study)
        else:
            self._tell(study, event)

    def _show(self, study: Study) -> None:
        story = f"{len(study.running)} running, {self._failed} failed"
        self._bar.update(
            self._task,
            total=study.problem.max_jobs,
            completed=study.jobs - len(study.running),
            description=self._shown(study.name),
            story=self._shown(f"{story}  {_best(study)}"),
        )

    def _tell(self, study: Study, event: Event) -> None:
        if event.kind is EventKind.Opened:
            problem = study.problem
            self._line(
                f"study {study.name} ({study.id}): {study.finished_count} trials finished, up to {problem.max_jobs} "
                f"jobs, {problem.max_parallel_jobs} in parallel"
            )
        elif event.kind is EventKind.Finished:
            trial = study.trials[event.body["trial"]]
            done = f"[{study.jobs - len(study.running)}/{study.problem.max_jobs}]"
            counts = f"{len(study.running)} running, {self._failed} failed"
            self._line(f"{done} trial {trial.number} {_outcome(trial)}; {counts}; {_best(study)}")
        elif event.kind is EventKind.Retried:
            self._line(f"trial {event.body['trial']} lost an attempt and is retried: {event.body['reason']}")
        elif event.kind is EventKind.Stopped and event.body["reason"] is not None:
            self._line(f"study {study.name}: {event.body['reason']} after {_duration(study.elapsed_seconds)}")

    def _line(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(self._shown(one_line(text)) + "\n")
            self._stream.flush()

    def _shown(self, text: str) -> str:
        return shown(text, getattr(self._stream, "encoding", None))


def _bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[story]}", markup=False),
        console=Console(file=stream),
        get_time=time.monotonic,
    )


def _best(study: Study) -> str:
    best = study.best
    if best is None:
        return "no result yet"
    tuned = list(best.proposal.hyperparameters.items())
    shown = ", ".join(f"{name}={_short(value)}" for name, value in tuned[:_HYPERPARAMETERS_SHOWN])
    more = ", ..." if len(tuned) > _HYPERPARAMETERS_SHOWN else ""
    beyond = ", but beyond an outcome constraint" if best.violation > 0 else ""
    return f"best {study.problem.objectives[0].metric}={_short(best.value)} ({shown}{more}){beyond}"


def _outcome(trial: Trial) -> str:
    status = str(trial.status).lower()
    if trial.values is None:
        return f"{status}: {trial.reason}"
    values = ", ".join(_short(value) for value in trial.values)
    return f"{status} with {values}" + (f" ({trial.reason})" if trial.reason else "")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
