"""Simulated jobs: a function says how long each job takes and which metrics it prints."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.metrics import MetricScanner
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.job import Job, Metric
from byohpo_sagemaker_emulator.requests import compile_metrics, longest_runtime, metric_patterns, model_artifacts


@attrs.frozen
class SimulatedJob:
    """What a simulated training job does."""

    seconds: float = attrs.field(validator=attrs.validators.ge(0))
    """How long it trains, at least 0."""
    metrics: Mapping[str, float] | Sequence[Mapping[str, float]] = attrs.field(factory=dict)
    """Metrics that it prints at the end, or a sequence of them that it prints in equal intervals of time."""
    failure: str | None = None
    """Why the script fails at the end; None if it succeeds."""
    spot_interruptions: int = 0
    """How often a spot instance is reclaimed. The job then goes on where it was."""
    start_seconds: float = 0.0
    """Seconds from the request to the start of the container."""
    stop_seconds: float = 0.0
    """Seconds from the request to stop to the end of the container."""


Function = Callable[[dict[str, Any]], SimulatedJob]


class Simulations:
    """Simulate each job as *function* says.

    *function* gets the CreateTrainingJob request. If it raises an exception, the job fails with it.
    """

    def __init__(self, book: Book, function: Function) -> None:
        self._book = book
        self._function = function
        self._running: dict[str, _Run] = {}

    def start(self, job: Job) -> None:
        try:
            course = self._function(dict(job.request))
        except Exception as error:  # noqa: BLE001 - an exception in the function makes the job fail
            course = SimulatedJob(seconds=0, failure=f"{type(error).__name__}: {error}")
        run = _Run(self._book, job, course)
        self._running[job.name] = run
        self._go_on(run, run.live(), job.created)

    def stop(self, job: Job) -> None:
        """Plan the end of a job that is being stopped."""
        run = self._running[job.name]
        seconds = run.course.stop_seconds
        if "slow_stop" in job.faults:
            seconds += self._book.faults.seconds["slow_stop"]
        self._book.at(job.state.modified + seconds, lambda time: self._end_stopped(run, time))

    def close(self) -> None:
        """Do nothing: simulated jobs hold no resources."""

    def _end_stopped(self, run: "_Run", time: float) -> None:
        run.end("Stopped", time)
        self._running.pop(run.job.name, None)

    def _go_on(self, run: "_Run", life: Iterator[float], time: float) -> None:
        """Run a job up to the next moment that lies in the future, and plan the rest."""
        while not run.job.state.is_over:
            moment = next(life, None)
            if moment is None:
                break
            if moment > time:
                self._book.at(moment, lambda then: self._go_on(run, life, then))
                return
        self._running.pop(run.job.name, None)


class _Run:
    """The simulation of one job."""

    def __init__(self, book: Book, job: Job, course: SimulatedJob) -> None:
        self.job = job
        self.course = course
        self._book = book
        curve = [course.metrics] if isinstance(course.metrics, Mapping) else course.metrics
        self._scanner = MetricScanner(metric_patterns(job.request) or _by_name(curve), job.name)
        self._curve = curve
        self._times: dict[str, float] = {}

    def live(self) -> Iterator[float]:
        """Yield the time of each event, then perform the event when resumed."""
        book, job, course = self._book, self.job, self.course
        delay = course.start_seconds + (book.faults.seconds["slow_start"] if "slow_start" in job.faults else 0.0)
        time = job.created + delay
        yield time
        if job.state.status != "InProgress":
            return
        if "capacity" in job.faults:
            book.end(
                job,
                "Failed",
                time,
                reason="CapacityError: Unable to provision requested ML compute capacity. Please retry later.",
            )
            return
        book.train(job, time)
        stream = f"{job.name}/algo-1-{int(time)}"
        book.logs.open(stream)
        for moment, happening in self._happenings(time, delay):
            yield moment
            if isinstance(happening, Mapping):
                self._print(stream, moment, happening)
            elif happening in ("Interrupted", "Training") and job.state.status == "Stopping":
                continue
            elif happening == "Interrupted":
                book.interrupt(job, moment)
            elif happening == "Training":
                book.train(job, moment, again=True)
                stream = f"{job.name}/algo-1-{int(moment)}"
            elif happening == "InternalError":
                self.end(
                    "Failed", moment, reason="InternalServerError: We encountered an internal error. Please try again."
                )
                return
            elif happening == "MaxRuntimeExceeded":
                self.end("Stopped", moment, secondary="MaxRuntimeExceeded")
                return
            elif course.failure is not None:
                self.end("Failed", moment, reason=f"AlgorithmError: {course.failure}, exit code: 1")
            else:
                self.end("Completed", moment)

    def end(self, status: str, time: float, *, secondary: str | None = None, reason: str | None = None) -> None:
        """End the job with the metrics printed so far."""
        metrics = tuple(Metric(name, value, self._times[name]) for name, value in self._scanner.final.items())
        model = model_artifacts(self.job.request) if status == "Completed" else ""
        self._book.end(self.job, status, time, secondary=secondary, metrics=metrics, reason=reason, model=model)

    def _happenings(self, start: float, delay: float) -> list[tuple[float, Any]]:
        """All events after the container's start, as pairs of time and event, sorted by time."""
        job, seconds, points = self.job, self.course.seconds, len(self._curve)
        interruptions = self.course.spot_interruptions + ("spot" in job.faults) if job.spot else 0
        trained: list[tuple[float, Any]] = [
            ((number + 1) / points * seconds, point) for number, point in enumerate(self._curve)
        ]
        trained += [(number / (interruptions + 1) * seconds, "Interrupted") for number in range(1, interruptions + 1)]
        if "internal" in job.faults:
            trained.append((seconds / 2, "InternalError"))
        longest = longest_runtime(job.request)
        if seconds > longest:
            trained.append((longest, "MaxRuntimeExceeded"))
        trained.append((seconds, "End"))
        trained.sort(key=lambda one: one[0])
        happenings: list[tuple[float, Any]] = []
        for at, happening in trained:
            happenings.append((start + at, happening))
            if happening == "Interrupted":
                start += delay
                happenings.append((start + at, "Training"))
        return happenings

    def _print(self, stream: str, time: float, point: Mapping[str, float]) -> None:
        if "nan" in self.job.faults:
            point = dict.fromkeys(point, float("nan"))
        line = "".join(f"{name}={float(value)!r};" for name, value in point.items())
        self._book.log(self.job, stream, time, line)
        for name in self._scanner.feed(f"{line}\n".encode()):
            self._times[name] = time


def _by_name(curve: Sequence[Mapping[str, float]]) -> dict[str, re.Pattern[str]]:
    """Regexes for a request without metric definitions, such as one for a built-in algorithm."""
    return compile_metrics({name: f"(?:^|;){re.escape(name)}=(.*?);" for name in (curve[-1] if curve else ())})
