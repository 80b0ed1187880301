"""A training job: its request, its state, and the view of it that tests read. Times are in seconds since 1970."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import attrs

from byohpo_sagemaker_emulator.requests import instances

ACCOUNT = "123456789012"
REASON_LENGTH = 1024


class Transition(NamedTuple):
    """One secondary status, its start and its end."""

    status: str
    start: float
    end: float | None
    message: str


class Metric(NamedTuple):
    """The final value of a metric, and the time when it was printed."""

    name: str
    value: float
    time: float


@attrs.frozen
class State:
    """The state of a job at one moment. Search may show an older one than Describe."""

    status: str
    modified: float
    transitions: tuple[Transition, ...]
    started: float | None = None
    ended: float | None = None
    metrics: tuple[Metric, ...] = ()
    reason: str | None = None
    model: str = ""
    seconds: int = 0
    billable_seconds: int = 0

    @property
    def secondary_status(self) -> str:
        return self.transitions[-1].status

    @property
    def is_over(self) -> bool:
        return self.status in ("Completed", "Failed", "Stopped")


@attrs.define(eq=False)
class Job:
    """A training job, which changes as time goes by."""

    name: str
    arn: str
    order: int
    request: Mapping[str, Any]
    created: float
    tags: dict[str, str]
    faults: frozenset[str]
    state: State
    processes_started: int = 0
    spot_restarts: int = 0
    trained: float = 0.0
    """Seconds of training, including interrupted attempts."""
    training_since: float | None = None

    @property
    def spot(self) -> bool:
        return bool(self.request.get("EnableManagedSpotTraining"))


@attrs.frozen
class JobView:
    """A read-only view of a job, for tests."""

    name: str
    status: str
    secondary_status: str
    created: float
    started: float | None
    ended: float | None
    request: Mapping[str, Any]
    processes_started: int
    """How often its container was started, not counting restarts after spot interruptions."""
    spot_restarts: int
    billable_seconds: int
    instance_count: int
    reason: str | None

    @classmethod
    def of(cls, job: Job) -> "JobView":
        state = job.state
        return cls(
            job.name,
            state.status,
            state.secondary_status,
            job.created,
            state.started,
            state.ended,
            job.request,
            job.processes_started,
            job.spot_restarts,
            state.billable_seconds,
            sum(number for _, number in instances(job.request)),
            state.reason,
        )
