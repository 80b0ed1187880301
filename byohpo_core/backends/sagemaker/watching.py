"""Follow running jobs through SageMaker's index, job descriptions and logs, and tell how each job ended."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.backends.sagemaker import index, logs
from byohpo_core.backends.sagemaker.aws import Aws
from byohpo_core.backends.sagemaker.prices import billable_seconds, longest_billed
from byohpo_core.backends.sagemaker.request import STUDY_TAG, Template
from byohpo_core.backendspecs import Ended, Outcome, Reported
from byohpo_core.metrics import MetricScanner, as_float32, compile_metrics
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

INDEX_LAG_SECONDS = 120.0
"""How far each Search overlaps the one before it, since the index lags behind."""
ABSENT_SECONDS = 60.0
"""How long a new job may be missing in the index before DescribeTrainingJob is called for it."""
GONE_SECONDS = 30.0
"""How long after SageMaker first said that a job does not exist to ask again."""
UNSEEN_SECONDS = 120.0
"""After this long without news of a job, Search is asked for it by name, and DescribeTrainingJob if it is not there."""
LOG_SECONDS = 60.0
"""How long after a job's end its log may still be incomplete."""
READ_SECONDS = 1.0
"""How long one look may search logs, so that the driver soon hears of requests to stop."""
_INFRASTRUCTURE = ("CapacityError", "InternalServerError")
_OVER = frozenset({"Completed", "Failed", "Stopped"})


@attrs.define
class Watch:
    """What is known of a running job."""

    seen: float
    """When the index or a description last returned the job."""
    in_index: bool = False
    job: Mapping[str, Any] | None = None
    """The job as it was last returned."""
    missed: float | None = None
    """When SageMaker first said that it does not exist."""
    judged_at: float | None = None
    """When its log is complete and can be read, if the ended job's description lacks an objective."""
    log: tuple[MetricScanner, Iterator[bytes]] | None = None
    """That log while it is read."""
    read_at: float = 0.0
    """When the job's curve was last read."""


class Watching:
    """The running jobs of one study. *describe* gets a job by its name from the service, not from the index."""

    def __init__(
        self,
        aws: Aws,
        study: Study,
        template: Template,
        describe: Callable[[str], Mapping[str, Any] | None],
        now: Callable[[], float],
        *,
        curves: bool,
    ) -> None:
        self._aws = aws
        self._study = study
        self._template = template
        self._describe = describe
        self._now = now
        self._ceiling = template.ceiling() if template.prices.per_hour else 0.0
        self._metrics = compile_metrics(template.definitions)
        self._needed = study.problem.metrics
        self._curves = curves and bool(self._metrics)
        self._log = logs.LogReader(aws, f"{study.id}-")
        self._scanners: dict[str, MetricScanner] = {}
        self._printed: dict[str, list[bytes]] = {}
        """Lines of jobs that no poll has asked about yet, by job name."""
        self._told_metrics: set[str] = set()
        self.is_behind = False
        """Whether the last look left lines of logs unread."""
        self._watches: dict[str, Watch] = {}
        self._newest = 0.0
        """The latest change that a Search has returned."""

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, job_name: str) -> None:
        """Start following a job."""
        self._watches[job_name] = Watch(self._now())

    def forget(self, job_name: str) -> None:
        """Stop following a job."""
        del self._watches[job_name]

    def is_known(self, job_name: str) -> bool:
        """Whether a job that is followed was found, in the index or by a description."""
        return self._watches[job_name].job is not None

    def search(self, since: float | None = None) -> None:
        """Search the index once, for all jobs of the study or for those changed *since* a time."""
        conditions = [index.tagged(STUDY_TAG, self._study.id)]
        if since is not None:
            conditions.append(index.changed_since(since))
        for job in index.search(self._aws, conditions):
            self._newest = max(self._newest, job["LastModifiedTime"].timestamp())
            self.take_in(job, in_index=True)

    def take_in(self, job: Mapping[str, Any], *, in_index: bool = False) -> None:
        """Keep this state of a job, unless a newer one is known."""
        watch = self._watches.get(job["TrainingJobName"])
        if watch is None:  # its end was already reported
            return
        watch.in_index |= in_index
        watch.seen, watch.missed = self._now(), None
        if watch.job is None or watch.job["LastModifiedTime"] <= job["LastModifiedTime"]:
            watch.job = job

    def look(self, trials: Sequence[Trial]) -> tuple[list[Reported], list[Ended]]:
        """Return what is new about these running trials: reports and ends."""
        self.search(self._newest - INDEX_LAG_SECONDS if self._newest else None)
        self._search_unseen(trials)
        self._describe_absent(trials)
        deadline = time.monotonic() + READ_SECONDS
        self.is_behind = False
        return [*self._reports(trials, deadline)] if self._curves else [], [*self._ended(trials, deadline)]

    def _search_unseen(self, trials: Sequence[Trial]) -> None:
        """Search the index for jobs that have not changed for a long time, whether they are still there."""
        names = [str(trial.job_name) for trial in trials]
        unseen = [it for it in names if it in self._watches and self._watches[it].seen < self._now() - UNSEEN_SECONDS]
        for condition in index.named(unseen):
            for job in index.search(self._aws, [index.tagged(STUDY_TAG, self._study.id), condition]):
                self.take_in(job, in_index=True)

    def _describe_absent(self, trials: Sequence[Trial]) -> None:
        """Describe jobs that should be in the index but are not, or are no longer."""
        for trial in trials:
            watch = self._watches.get(str(trial.job_name))
            if watch is None or self._now() < watch.seen + (UNSEEN_SECONDS if watch.in_index else ABSENT_SECONDS):
                continue
            if watch.missed is not None and self._now() < watch.missed + GONE_SECONDS:
                continue
            if (job := self._describe(str(trial.job_name))) is not None:
                self.take_in(job)
            elif watch.missed is None:
                watch.missed = self._now()
            else:
                watch.job = {
                    "TrainingJobStatus": "Failed",
                    "FailureReason": "the training job was deleted; it counts as billed for as long as it may run",
                    "BillableTimeInSeconds": longest_billed(self._template.request),
                }

    def _reports(self, trials: Sequence[Trial], deadline: float) -> Iterator[Reported]:
        """New points of the curves of these running trials."""
        for name, line in self._log.read():
            if name in self._watches:
                self._printed.setdefault(name, []).append(line)
        asked = [str(trial.job_name) for trial in trials if trial.job_name in self._watches]
        # A log for which the last look had no time comes first.
        for name in sorted(asked, key=lambda name: self._watches[name].read_at):
            if self.is_behind and time.monotonic() >= deadline:
                return
            scanner = self._scanners.setdefault(name, self._scanner(name))
            printed = b"".join(self._printed.pop(name, ()))
            if points := scanner.feed(printed, seconds=deadline - time.monotonic()):
                yield Reported(name, points)
            self.is_behind |= scanner.is_behind
            self._watches[name].read_at = time.monotonic()

    def _ended(self, trials: Sequence[Trial], deadline: float) -> Iterator[Ended]:
        """The ends of jobs that are over and whose results are known."""
        for trial in trials:
            name = str(trial.job_name)
            watch = self._watches.get(name)
            if watch is None or watch.job is None or watch.job["TrainingJobStatus"] not in _OVER:
                continue
            outcome, reason = outcome_of(watch.job)
            metrics = _final_metrics(watch.job)
            missing = [metric for metric in self._needed if metric not in metrics]
            if outcome is Outcome.Completed and missing:
                if watch.judged_at is None:
                    watch.judged_at = self._now() + LOG_SECONDS
                if self._now() < watch.judged_at:
                    continue
                watch.log = watch.log or (self._scanner(name), logs.job_lines(self._aws, name))
                scanner, lines = watch.log
                if (self.is_behind and time.monotonic() >= deadline) or not _is_read(scanner, lines, deadline):
                    self.is_behind = True
                    continue
                metrics = {**scanner.final, **metrics}
                told = f"nor does its log tell it: {logs.place(name)}"
                reason = "; ".join(filter(None, (scanner.trouble, told)))
            yield Ended(
                name,
                outcome,
                metrics,
                reason,
                _time(watch.job, "TrainingStartTime") or _time(watch.job, "CreationTime"),
                _time(watch.job, "TrainingEndTime") or _time(watch.job, "LastModifiedTime"),
                self._details(name, watch.job),
            )
            del self._watches[name]
            self._scanners.pop(name, None)

    def _scanner(self, name: str) -> MetricScanner:
        return MetricScanner(self._metrics, name, self._told_metrics)

    def _details(self, name: str, job: Mapping[str, Any]) -> dict[str, Any]:
        details: dict[str, Any] = {"log": logs.place(name), "billable_seconds": billable_seconds(job)}
        cost = self._template.prices.paid(job, self._ceiling)
        if cost is not None:
            details["cost"] = cost
        if artifacts := job.get("ModelArtifacts", {}).get("S3ModelArtifacts"):
            details["model_artifacts"] = artifacts
        return details


def outcome_of(job: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    """The outcome of a job that is over, and the reason."""
    status, secondary, reason = job["TrainingJobStatus"], job.get("SecondaryStatus"), job.get("FailureReason")
    if status == "Completed":
        return Outcome.Completed, None
    if status == "Failed":
        passing = str(reason).startswith(_INFRASTRUCTURE)
        return Outcome.Interrupted if passing else Outcome.Failed, reason or "the training job failed"
    if secondary == "MaxWaitTimeExceeded":
        return Outcome.Interrupted, "no spot instance within MaxWaitTimeInSeconds"
    if secondary == "MaxRuntimeExceeded":
        return Outcome.Failed, "the training job ran longer than MaxRuntimeInSeconds"
    return Outcome.Stopped, "stopped"


def _final_metrics(job: Mapping[str, Any]) -> dict[str, float]:
    return {metric["MetricName"]: as_float32(metric["Value"]) for metric in job.get("FinalMetricDataList") or ()}


def _is_read(scanner: MetricScanner, lines: Iterator[bytes], deadline: float) -> bool:
    """Search lines until the *deadline*; True once all are searched."""
    while True:
        line = None if scanner.is_behind else next(lines, b"")
        scanner.feed(line or b"", seconds=deadline - time.monotonic())
        if line == b"":
            return True
        if time.monotonic() >= deadline:
            return False


def _time(job: Mapping[str, Any], name: str) -> float | None:
    time = job.get(name)
    return None if time is None else float(time.timestamp())
