"""All training jobs of an emulator, their changes of status, and the events planned for later."""

import heapq
from collections.abc import Callable, Mapping
from itertools import count
from threading import RLock
from typing import Any

import attrs

from byohpo_sagemaker_emulator.clock import Clock
from byohpo_sagemaker_emulator.faults import Faults
from byohpo_sagemaker_emulator.job import ACCOUNT, REASON_LENGTH, Job, Metric, State, Transition
from byohpo_sagemaker_emulator.limits import Instances
from byohpo_sagemaker_emulator.logs import Logs
from byohpo_sagemaker_emulator.requests import instances
from byohpo_sagemaker_emulator.search import Index

_SPOT_PRICE = 0.3
"""Billed share of a spot job's training seconds: a typical value of the savings that the console shows."""


@attrs.define(eq=False)
class Book:
    """All jobs of an emulator, and an agenda of planned actions. Hold `lock` during every call."""

    clock: Clock
    faults: Faults
    lock: RLock = attrs.field(factory=RLock)
    jobs: dict[str, Job] = attrs.field(factory=dict)
    index: Index = attrs.field(factory=Index)
    instances: Instances = attrs.field(factory=Instances)
    logs: Logs = attrs.field(factory=Logs)
    _agenda: list[tuple[float, int, Callable[[float], None]]] = attrs.field(factory=list)
    _order: Any = attrs.field(factory=count)

    def at(self, time: float, action: Callable[[float], None]) -> None:
        """Plan an action. `settle` calls it with its time, in seconds since 1970, once that time has come."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def settle(self) -> float:
        """Run every action that is due, in the order of their times, and return the current time."""
        now = self.clock.now()
        agenda = self._agenda
        while agenda and agenda[0][0] <= now:
            time, _, action = heapq.heappop(agenda)
            action(time)
        return now

    def create(self, request: Mapping[str, Any], region: str, now: float) -> Job:
        """Add a new job with the secondary status Starting, and take its instances."""
        name = request["TrainingJobName"]
        transition = Transition("Starting", now, None, "Starting the training job")
        job = Job(
            name=name,
            arn=f"arn:aws:sagemaker:{region}:{ACCOUNT}:training-job/{name}",
            order=next(self._order),
            request=request,
            created=now,
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()},
            faults=self.faults.of_job(name, spot=bool(request.get("EnableManagedSpotTraining"))),
            state=State("InProgress", now, (transition,)),
        )
        self.jobs[name] = job
        self.instances.take(instances(request))
        self._show(job, now)
        return job

    def move(self, job: Job, secondary: str, time: float, message: str = "", **changes: Any) -> None:
        """Give a job its next secondary status. *changes* are other fields of its `State` that change with it."""
        last = job.state.transitions[-1]._replace(end=time)
        following = Transition(secondary, time, None, message)
        transitions = (*job.state.transitions[:-1], last, following)
        job.state = attrs.evolve(job.state, transitions=transitions, modified=time, **changes)
        self._show(job, time)

    def train(self, job: Job, time: float, *, again: bool = False) -> None:
        """Record that a job's container starts; *again* means after a spot interruption."""
        if again:
            job.spot_restarts += 1
        else:
            job.processes_started += 1
        job.training_since = time
        self.move(
            job,
            "Training",
            time,
            "Training image download completed. Training in progress.",
            started=job.state.started or time,
        )

    def interrupt(self, job: Job, time: float) -> None:
        """Record that a job has lost its spot instance and waits for another one."""
        self._count_seconds(job, time)
        if "spot" in job.faults:
            self.faults.hits["spot"] += 1
        self.move(job, "Interrupted", time, "Training job interrupted: spot capacity was reclaimed")
        self.move(job, "Starting", time, "Starting the training job again")

    def end(
        self,
        job: Job,
        status: str,
        time: float,
        *,
        secondary: str | None = None,
        metrics: tuple[Metric, ...] = (),
        reason: str | None = None,
        model: str = "",
    ) -> None:
        """End a job and give its instances back. Does nothing if the job is over.

        A job in status Stopping always ends as Stopped, whatever *status* says.
        """
        if job.state.is_over:
            return
        if job.state.status == "Stopping":
            status, secondary, reason = "Stopped", None, None  # however its code reacts to SIGTERM
        self._count_seconds(job, time)
        self.instances.give_back(instances(job.request))
        if "metric_missing" in job.faults and metrics:
            self.faults.hits["metric_missing"] += 1
            metrics = ()
        seconds = round(job.trained)
        self.move(
            job,
            secondary or status,
            time,
            "Training job completed" if status == "Completed" else reason or "",
            status=status,
            ended=time,
            metrics=metrics,
            reason=None if reason is None else reason[:REASON_LENGTH],
            model=model,
            seconds=seconds,
            billable_seconds=round(job.trained * _SPOT_PRICE) if job.spot else seconds,
        )

    def delete(self, job: Job) -> None:
        """Remove a job from the book and from Search."""
        del self.jobs[job.name]
        self.index.remove(job)

    def tag(self, job: Job, tags: dict[str, str]) -> None:
        """Replace a job's tags."""
        self.index.remove(job)
        job.tags = tags
        self.index.put(job, job.state)

    def log(self, job: Job, stream: str, time: float, message: str) -> None:
        """Add a line to a job's log; a `log_delay` fault makes it appear later."""
        if "log_delay" not in job.faults:
            self.logs.put(stream, time, message)
            return
        self.at(time + self.faults.seconds["log_delay"], lambda _: self.logs.put(stream, time, message))

    def _count_seconds(self, job: Job, time: float) -> None:
        if job.training_since is not None:
            job.trained += time - job.training_since
            job.training_since = None

    def _show(self, job: Job, now: float) -> None:
        """Show the job's present state to Search; a `search_lag` fault makes it appear later."""
        state = job.state
        if "search_lag" not in job.faults:
            self.index.put(job, state)
            return
        self.at(now + self.faults.seconds["search_lag"], lambda _: self._show_late(job, state))

    def _show_late(self, job: Job, state: State) -> None:
        if job.name in self.jobs:
            self.index.put(job, state)
