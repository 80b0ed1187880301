"""Count a study's calls to SageMaker, and check that a large study does not slow down.

Studies run on the emulator, in virtual time. It has its own process, so only the driver is measured. The script exits
with 1 if a target is missed.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
from bookkeeping import Row, show
from byohpo_sagemaker_emulator import Emulator, SimulatedJob

from byohpo_core import ContinuousParameter, TrainingJob, Tuner, hookimpl
from byohpo_core.study.events import EventKind

FORK = get_context("fork")
RATES = {"Search": 2, "ListTrainingJobs": 2}
REQUEST = {
    "AlgorithmSpecification": {
        "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1",
        "TrainingInputMode": "File",
    },
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
}
FLAT = 1.3
MOST_PER_TRIAL = 2.1
MOST_PER_POLL, FEW = 2, 200
MOST_PER_SECOND = 2
STEP = 1_000


class SharedClock:
    """Virtual time that the driver moves and the emulator's process reads."""

    def __init__(self) -> None:
        self._time = FORK.RawValue("d", 1.8e9)
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._time.value

    def sleep_until(self, time: float) -> None:
        with self._lock:
            self._time.value = max(self._time.value, time)


def training(request: Mapping[str, Any]) -> SimulatedJob:
    """A job of half an hour to an hour and a half, with a curve of three points."""
    x = json.loads(request["HyperParameters"]["x"])
    loss = (x - 0.3) ** 2
    return SimulatedJob(1800 + 3600 * random.Random(x).random(), [{"loss": loss + 2 - it} for it in range(3)])  # noqa: S311


@attrs.frozen
class Call:
    """A call that the emulator received."""

    service: str
    operation: str
    time: float
    outcome: str
    since: float | None
    """For the first page of a Search: the time from which it asks for changes."""


@attrs.frozen
class Seen:
    """All calls and jobs that the emulator received."""

    calls: Sequence[Call]
    jobs: Sequence[tuple[float, float]]
    """The times at which each job was created and ended."""

    def of(self, service: str) -> Counter[str]:
        return Counter(call.operation for call in self.calls if call.service == service)

    def times(self, operation: str) -> list[float]:
        return [call.time for call in self.calls if call.operation == operation]

    def polls(self) -> Iterator[tuple[float, int, int]]:
        """For each poll: its time, its number of calls, and the number of jobs that changed in the time it asks for."""
        searches = [call for call in self.calls if call.operation == "Search"]
        firsts = [*(at for at, call in enumerate(searches) if call.since is not None), len(searches)]
        for at, following in pairwise(firsts):
            time, since = searches[at].time, searches[at].since or 0.0
            changed = sum(
                created <= time and (ended if ended <= time else created) >= since for created, ended in self.jobs
            )
            yield time, following - at, changed


@contextmanager
def account() -> Iterator[tuple[SharedClock, Any]]:
    """Run an emulator; give its clock, and a function that returns what it received."""
    clock = SharedClock()
    pipe, other = FORK.Pipe()
    process = FORK.Process(target=serve, args=(clock, other), daemon=True)
    process.start()
    before = dict(os.environ)
    os.environ.update(pipe.recv())

    def ask() -> Seen:
        pipe.send("calls")
        return Seen(*pipe.recv())

    yield clock, ask
    os.environ.clear()
    os.environ.update(before)
    pipe.send(None)
    process.join()


def serve(clock: SharedClock, pipe: Any) -> None:
    with Emulator(clock=clock, job=training, calls_per_second=RATES) as emulator:
        emulator.client("s3").create_bucket(Bucket="bucket")
        pipe.send(emulator.environment)
        while pipe.recv():
            calls = [
                Call(call.service, call.operation, call.time, call.outcome, asked_since(call.parameters))
                for call in emulator.calls
            ]
            pipe.send((calls, [(job.created, job.ended) for job in emulator.jobs.values()]))


def asked_since(parameters: Mapping[str, Any]) -> float | None:
    if "SearchExpression" not in parameters or "NextToken" in parameters:
        return None
    times = [it["Value"] for it in parameters["SearchExpression"]["Filters"] if it["Name"] == "LastModifiedTime"]
    return datetime.fromisoformat(times[0]).timestamp() if times else 0.0


def make_tuner(clock: SharedClock, journal: Path, jobs: int, parallel: int, **settings: Any) -> Tuner:
    return Tuner(
        TrainingJob(REQUEST, clock=clock, poll_seconds=settings.pop("poll_seconds", 5)),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        [{"Name": "loss", "Regex": r"loss=(\S+);"}],
        "random",
        "Minimize",
        jobs,
        parallel,
        random_seed=1,
        journal=journal,
        progress=False,
        **settings,
    )


def calls(folder: Path, jobs: int, parallel: int, early_stopping: str) -> Iterator[Row]:
    """Count the calls of a study, compared with one Describe for each running job at each poll."""
    with account() as (clock, ask):
        tuner = make_tuner(clock, folder / "calls.db", jobs, parallel, early_stopping_type=early_stopping)
        study = tuner.fit(job_name="calls")
        seen = ask()
    asked = seen.of("sagemaker")
    statuses = Counter(str(trial.status) for trial in study.trials)
    yield Row("trials", ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
    besides = sum(count for operation, count in asked.items() if operation != "Search") / jobs
    told = ", ".join(f"{count} {operation}" for operation, count in sorted(asked.items()) if operation != "Search")
    yield Row(
        "SageMaker calls per trial besides polls",
        f"{besides:.2f}",
        told,
        bar=f"<= {MOST_PER_TRIAL}",
        met=besides <= MOST_PER_TRIAL,
    )
    polls = [*seen.polls()]
    yield Row("Search calls", asked["Search"], f"{len(polls)} polls", asked["Search"] / len(polls))
    few = max(calls for _, calls, changed in polls if changed <= FEW)
    yield Row(
        f"Search calls of one poll, at most {FEW} jobs changed",
        few,
        bar=f"<= {MOST_PER_POLL}",
        met=few <= MOST_PER_POLL,
    )
    many = [calls for _, calls, changed in polls if changed > FEW]
    yield Row("  of one poll, more jobs changed", max(many, default="-"), f"{len(many)} polls")
    describing = sum(created <= time < ended for time, *_ in polls for created, ended in seen.jobs)
    yield Row("the same polls by one Describe per running job", describing, ratio=describing / asked["Search"])
    for operation in RATES:
        rate = most_in_a_second(seen.times(operation))
        yield Row(
            f"{operation} calls in one second, the most", rate, bar=f"<= {MOST_PER_SECOND}", met=rate <= MOST_PER_SECOND
        )
    throttled = sum(call.outcome == "ThrottlingException" for call in seen.calls)
    unhandled = statuses["Failed"] + (study.stop_reason != f"max_jobs ({jobs}) reached")
    yield Row("calls throttled by an account with these limits", throttled, bar="0", met=throttled == 0)
    yield Row("trials or studies that failed", unhandled, bar="0", met=unhandled == 0)
    for service, name in (("s3", "S3 calls per trial"), ("logs", "Logs calls per poll")):
        count = seen.of(service).total() - (service == "s3")  # the study did not create the bucket
        yield Row(name, f"{count / (jobs if service == 's3' else len(polls)):.2f}", f"{count} calls")


def most_in_a_second(times: Sequence[float]) -> int:
    """The most calls within a second that begins with a call; 1e-6 s are cut off against rounding errors."""
    return max(
        (sum(time <= other < time + 1 - 1e-6 for other in times[at : at + 20]) for at, time in enumerate(times)),
        default=0,
    )


def scale(folder: Path, jobs: int, parallel: int) -> Iterator[Row]:
    """Measure time and memory while *parallel* jobs run; *parallel* more jobs than *jobs* keep the slots full."""
    marks: list[tuple[float, float, int]] = []

    class Marks:
        """Records processor time, time and memory at each thousandth result."""

        def __init__(self, problem: Any) -> None:
            self.finished = 0

        @hookimpl
        def happened(self, event: Any) -> None:
            if event.kind is EventKind.Finished:
                if self.finished % STEP == 0:
                    marks.append((time.process_time(), time.perf_counter(), resident()))
                self.finished += 1

    with account() as (clock, ask):
        tuner = make_tuner(clock, folder / "scale.db", jobs + parallel, parallel, poll_seconds=30, extensions=[Marks])
        study = tuner.fit(job_name="scale")
        seen = ask()
    marks = marks[: jobs // STEP + 1]
    processor = [(later[0] - earlier[0]) / STEP * 1e3 for earlier, later in pairwise(marks)]
    clock_time = [(later[1] - earlier[1]) / STEP * 1e3 for earlier, later in pairwise(marks)]
    memory = [mark[2] / 2**20 for mark in marks[1:]]
    completed = sum(trial.status == "Completed" for trial in study.trials)
    yield Row("trials completed", completed, bar=str(jobs + parallel), met=completed == jobs + parallel)
    at_once = most_at_once(seen.jobs)
    yield Row("jobs at once, the most", at_once, bar=str(parallel), met=at_once == parallel)
    for name, values, unit, barred in (
        ("driver's processor time per trial", processor, "ms", True),
        ("time per trial, the emulator's included", clock_time, "ms", False),
        ("driver's memory at its most", memory, "MiB", True),
    ):
        ratio = values[-1] / values[0]
        yield Row(
            f"{name}, last thousand",
            f"{values[-1]:.1f} {unit}",
            f"first thousand: {values[0]:.1f} {unit}",
            ratio,
            f"<= {FLAT} x" if barred else "",
            ratio <= FLAT if barred else None,
        )
    yield Row("held per trial", f"{(memory[-1] - memory[0]) * 2**20 / (jobs - STEP):.0f} bytes")
    rate = most_in_a_second(seen.times("Search"))
    yield Row("Search calls in one second, the most", rate, bar=f"<= {MOST_PER_SECOND}", met=rate <= MOST_PER_SECOND)


def most_at_once(jobs: Sequence[tuple[float, float]]) -> int:
    running = most = 0
    for _, change in sorted([(ended, -1) for _, ended in jobs] + [(created, 1) for created, _ in jobs]):
        running += change
        most = max(most, running)
    return most


def resident() -> int:
    """The peak memory of this process, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="measure a tenth of it")
    parser.add_argument("--folder", type=Path, default=Path(), help="a folder for the journals (default: here)")
    options = parser.parse_args()
    small = 10 if options.quick else 1
    missed = 0
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=options.folder) as name:
        for stopping in ("Off", "Auto"):
            folder = Path(name, stopping)
            folder.mkdir()
            rows = [*calls(folder, 500 // small, 100 // small, stopping)]
            show(f"Calls: {500 // small} trials, {100 // small} at a time, early stopping {stopping}", rows)
            missed += sum(row.met is False for row in rows)
        jobs = 10_000 if small == 1 else 2_000
        rows = [*scale(Path(name), jobs, 1_000 // small)]
        show(f"Scale: {jobs:,} trials, {1_000 // small:,} at a time", rows)
        missed += sum(row.met is False for row in rows)
    print(f"\n{missed} bars missed")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
