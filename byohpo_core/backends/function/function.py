"""Tune a Python function: call it in threads of this process or in separate processes."""

import inspect
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import attrs

from byohpo_core.backends.function.process import Worker
from byohpo_core.backendspecs import NOTHING, Backend, Ended, Estimator, JobSettings, Outcome, Update
from byohpo_core.clock import SteadyClock
from byohpo_core.errors import InvalidInput
from byohpo_core.importable import (
    folder_of,
    is_importable,
    kept_name,
    load_function,
    not_imported,
    qualified_name,
    restore_function,
    study_name,
)
from byohpo_core.logger import logger as _logger
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import flag, frozen_mapping, nearest, plain

_LOOK_SECONDS = 1.0
"""How long an evaluation that waits for room waits at most before it tries again, or sees that it is stopped."""
_TARGET = '"work:train" for train in work.py'


@attrs.frozen
class PythonFunction(Estimator):
    """A function from a dict of hyperparameters to a number, or to a dict of metrics by name.

    It is called in threads or, with `processes=True`, in separate processes that import it by name. If it raises an
    exception, the trial fails.
    """

    function: Callable[[dict[str, Any]], Any]
    processes: bool = attrs.field(default=False, kw_only=True)
    hyperparameters: Mapping[str, Any] = attrs.field(default=NOTHING, kw_only=True, converter=frozen_mapping)
    folder: str | None = attrs.field(default=None, kw_only=True)
    """The folder of the function's module, if it is not on Python's import path."""
    kind: ClassVar[str] = "function"
    reports: ClassVar[bool] = False
    keeps_secrets: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInput(f"{self.function!r} is not a function")
        if self.processes and not is_importable(self.function):
            raise InvalidInput(
                "processes=True needs a function that a new process can import, and it cannot import "
                f"{qualified_name(self.function)}: move it to the top level of a module"
            )

    @property
    def name(self) -> str:
        return study_name(self.function)

    @property
    def functions(self) -> Sequence[Callable[..., Any]]:
        return (self.function,)

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["PythonFunction", JobSettings]:
        if inputs:
            raise InvalidInput("a Python function has no input channels: leave out fit's inputs")
        if settings.metric_definitions:
            raise InvalidInput("a Python function returns its metrics by name: leave out metric_definitions")
        return self, settings

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "function": kept_name(self.function),
            "processes": self.processes,
            "folder": self.folder or folder_of(self.function),
        }

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        folder = description.get("folder")
        return given or cls(
            restore_function(description["function"], folder), processes=description["processes"], folder=folder
        )

    @classmethod
    def to_stop(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        return given or cls(not_imported)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Path) -> "PythonFunction":
        """Keys: *target*, such as "work:train" for train in work.py next to the TOML file, and *processes*."""
        for key in table:
            if key not in cls.table_keys():
                raise InvalidInput(f"unknown key {key}{nearest(key, cls.table_keys(), 'known')}")
        if "target" not in table:
            raise InvalidInput(f"target is missing: name a function, such as {_TARGET}")
        target, processes = table["target"], flag("processes", table.get("processes", False))
        if not isinstance(target, str) or not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", target):
            raise InvalidInput(f"target is {target!r}, which is not the name of a function, such as {_TARGET}")
        folder = str(beside)
        try:
            function = load_function(target, folder)
        except InvalidInput as error:
            raise InvalidInput(f"target is {target!r}: {error}") from error
        return cls(function, processes=processes, folder=folder)

    @classmethod
    def table_keys(cls) -> Mapping[str, inspect.Parameter]:
        arguments = inspect.signature(cls).parameters
        return {"target": arguments["function"].replace(name="target"), "processes": arguments["processes"]}

    @classmethod
    def in_code(cls, function: str) -> str:
        """The function's name alone, since a `Tuner` accepts a function as it is."""
        return function

    def connect(self, study: Study, settings: JobSettings) -> "FunctionBackend":
        return FunctionBackend(self, study)


class FunctionBackend(Backend):
    """Evaluate in one thread per slot. Evaluations die with the driver."""

    jobs_survive = False

    def __init__(self, estimator: PythonFunction, study: Study) -> None:
        self.clock = SteadyClock(study.now)
        self._estimator = estimator
        self._objective = study.problem.objectives[0].metric
        self._pool = ThreadPoolExecutor(study.problem.max_parallel_jobs, thread_name_prefix="byohpo-evaluation")
        self._news: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._untold: list[Ended] = []
        """News of jobs that no poll has asked about yet."""
        self._launched: set[str] = set()
        self._workers: dict[str, Worker] = {}
        self._starting = threading.Lock()
        """Held while a process starts, which for a moment needs more descriptors than it keeps."""
        self._room = threading.Event()
        """Set when a process has ended."""
        self._stopped: set[str] = set()

    def launch(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            job_name = str(trial.job_name)
            if job_name not in self._launched:
                self._launched.add(job_name)
                self._pool.submit(self._evaluate, job_name, self.reveal(dict(trial.hyperparameters)))

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Report every job as lost, since the evaluations of an earlier driver died with it."""
        return [Ended(str(trial.job_name), Outcome.Lost, reason="lost with its driver") for trial in trials]

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        asked = {trial.job_name for trial in trials}
        deadline = time.monotonic() + wait_seconds
        while True:
            while not self._news.empty():
                self._untold.append(self._news.get())
            updates = [ended for ended in self._untold if ended.job_name in asked]
            left = deadline - time.monotonic()
            if updates or left <= 0:
                self._untold = [ended for ended in self._untold if ended.job_name not in asked]
                return updates
            with suppress(queue.Empty):
                self._untold.append(self._news.get(timeout=left))

    def stop(self, trials: Sequence[Trial]) -> None:
        """Kill processes and cancel evaluations that have not begun; threads run to their end."""
        for trial in trials:
            job_name = str(trial.job_name)
            self._stopped.add(job_name)  # before the next line: a worker that starts later checks this set
            worker = self._workers.get(job_name)
            if worker is not None:
                worker.kill()

    def close(self) -> None:
        """Wait for the running evaluations."""
        self._pool.shutdown()

    def _evaluate(self, job_name: str, hyperparameters: dict[str, Any]) -> None:
        started = self.now()
        try:
            outcome, answer = self._call(job_name, hyperparameters)
        except BaseException as error:  # noqa: BLE001 - whatever the function raises fails the trial
            outcome, answer = Outcome.Failed, f"{type(error).__name__}: {error}"
        metrics: Mapping[str, float] = NOTHING
        reason = None
        if outcome is not Outcome.Completed:
            reason = str(answer)
        else:
            try:
                metrics = as_metrics(answer, self._objective)
            except Exception as error:  # noqa: BLE001 - reading the returned object may raise anything
                outcome, reason = Outcome.Failed, str(error) or type(error).__name__
        self._news.put(Ended(job_name, outcome, metrics, reason, started, self.now()))

    def _call(self, job_name: str, hyperparameters: dict[str, Any]) -> tuple[Outcome, Any]:
        if job_name in self._stopped:
            return Outcome.Stopped, "stopped"
        if not self._estimator.processes:
            return Outcome.Completed, self._estimator.function(hyperparameters)
        try:
            worker = self._start(job_name)
        except OSError as error:
            return Outcome.Interrupted, f"the evaluation's process could not be started: {error}"
        if worker is None:
            return Outcome.Stopped, "stopped"
        try:
            with worker:
                if job_name in self._stopped:
                    worker.kill()
                return worker.call(hyperparameters)
        finally:
            del self._workers[job_name]
            self._room.set()

    def _start(self, job_name: str) -> Worker | None:
        """Start a process; None if the job is stopped first. While others run, wait for room and use fewer slots."""
        while job_name not in self._stopped:
            self._room.clear()
            try:
                with self._starting:
                    worker = self._workers[job_name] = Worker(qualified_name(self._estimator.function))
            except OSError as error:
                if (running := len(self._workers)) == 0:
                    raise
                if running < self.slots:
                    self.slots = running
                    _logger.warning(
                        "no room for another process (%s): %d evaluate at a time from now on", error, running
                    )
                self._room.wait(_LOOK_SECONDS)
            else:
                return worker
        return None


def as_metrics(answer: Any, objective: str) -> dict[str, float]:
    """Convert what a function returned to metrics by name; a bare number is the (first) objective."""
    if not isinstance(answer, Mapping):
        answer = {objective: answer}
    return {str(name): _as_float(name, value) for name, value in answer.items()}


def _as_float(name: object, value: Any) -> float:
    given = plain(value)
    if isinstance(given, bool) or not isinstance(given, (int, float)):  # nan or inf fails the trial later
        raise TypeError(f"the function returned {value!r} for {name!r}, not a number")
    return float(given)
