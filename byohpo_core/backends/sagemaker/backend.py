"""The training jobs of one study: created once, found again by the study's tag, and priced when they are over."""

import logging
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs

from byohpo_core.backends.sagemaker import index, logs
from byohpo_core.backends.sagemaker.aws import Refused
from byohpo_core.backends.sagemaker.prices import Prices, billable_seconds, longest_billed
from byohpo_core.backends.sagemaker.request import STUDY_TAG, metric_definitions, same_job
from byohpo_core.backendspecs import Ended, JobSettings, Outcome, Reported, Update
from byohpo_core.errors import ByohpoError
from byohpo_core.metrics import MetricScanner, as_float32, compile_metrics
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

if TYPE_CHECKING:
    from byohpo_core.backends.sagemaker.estimator import TrainingJob

_logger = logging.getLogger("byohpo")
LONGEST_INTERVAL = 30.0
INDEX_LAG_SECONDS = 120.0
"""How far back each Search looks again, since its index lags behind."""
ABSENT_SECONDS = 60.0
"""How long a new job may be absent from the index before it is described."""
UNSEEN_SECONDS = 600.0
"""After so long without a word of some job, one Search looks back to the beginning of those that run."""
LOG_SECONDS = 60.0
"""How long a log may take to be complete after its job's end."""
QUOTA_PAUSE_SECONDS = 60.0
"""How long after a first refusal a job is tried again, even though no job of ours has ended; then twice as long."""
LONGEST_QUOTA_PAUSE = 960.0
GROW_SECONDS = 300.0
_CREATORS = 8
_INFRASTRUCTURE = ("CapacityError", "InternalServerError")
_OVER = frozenset({"Completed", "Failed", "Stopped"})
_ABSENT = ("ValidationException", "ResourceNotFound")
"""How calls about one job say that there is none, or none that runs."""


@attrs.define
class _Watch:
    """What is known of a running job."""

    seen: float
    """When the index or a description last told of it."""
    in_index: bool = False
    job: Mapping[str, Any] | None = None
    """What was told last."""
    judged_at: float | None = None
    """When its log is complete, where its end did not tell the objective."""


class SageMakerBackend:
    """Creates, polls and stops one study's jobs."""

    poll_seconds = 5.0
    jobs_survive = True
    slots: float = math.inf
    """How many jobs the account's quota lets run now, as far as it has been felt."""

    def __init__(self, estimator: "TrainingJob", study: Study, settings: JobSettings) -> None:
        self._clock = estimator.clock
        self._shortest_interval = estimator.poll_seconds
        self._aws = estimator.aws
        self._study = study
        self._template = estimator.template(settings)
        self._prices = Prices(estimator.prices)
        self._ceiling = estimator.ceiling() if estimator.prices else 0.0
        definitions = [*metric_definitions(self._template.request), *settings.metric_definitions]
        self._metrics = compile_metrics(definitions)
        self._objectives = [objective.metric for objective in study.problem.objectives]
        self._curves = settings.curves and bool(self._metrics)
        self._mirror = estimator.mirror(study.id)
        self._log = logs.LogReader(self._aws, f"{study.id}-")
        self._scanners: dict[str, MetricScanner] = {}
        self._watches: dict[str, _Watch] = {}
        self._queue: dict[str, Trial] = {}
        """Trials whose jobs the quota did not let start yet."""
        self._withdrawn: set[str] = set()
        """Those of them that are not to start any more."""
        self._unfit: set[str] = set()
        """The instance types of which the account may run none."""
        self._quota_pause = QUOTA_PAUSE_SECONDS
        self._stopping: set[str] = set()
        self._pool = ThreadPoolExecutor(_CREATORS, thread_name_prefix="byohpo-sagemaker")
        self._newest = 0.0
        """The latest change that a Search has told."""
        self._changed_at = self._search_at = self._try_at = self._grow_at = self.now()

    def now(self) -> float:
        return self._clock.now()

    def launch(self, trials: Sequence[Trial]) -> None:
        """Create the jobs; those beyond the quota wait for a place, and the number of slots shrinks."""
        refused = [trial for trial, made in self._create(trials) if not made]
        if refused:
            self._queue |= {str(trial.job_name): trial for trial in refused}
            self._shrink()
        self._changed_at = self.now()
        self._look_soon()

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Find the jobs of an earlier driver; create those that it did not come to create, unless they are to stop."""
        self._watches |= {str(trial.job_name): _Watch(self.now()) for trial in trials}
        self._search(None)
        missing = {name: trial for trial in trials if self._watches[name := str(trial.job_name)].job is None}
        for name in missing.keys() & self._stopping:
            if (job := self._describe(name)) is not None:
                self._told(job, in_index=False)
                del missing[name]
        for name in missing:
            del self._watches[name]
        self._queue |= {name: trial for name, trial in missing.items() if name in self._stopping}
        self.launch([trial for name, trial in missing.items() if name not in self._stopping])
        return ()

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        deadline = self.now() + wait_seconds
        while True:
            updates = self._look(trials)
            if updates or self.now() >= deadline:
                return updates
            self._clock.sleep_until(min(deadline, max(self._search_at, self.now() + 0.01)))

    def stop(self, trials: Sequence[Trial]) -> None:
        """Ask for each stop once; a job that has ended meanwhile is told by the next poll."""
        fresh = [str(trial.job_name) for trial in trials if trial.job_name not in self._stopping]
        self._stopping.update(fresh)
        list(self._pool.map(self._stop, [name for name in fresh if name not in self._queue]))
        self._look_soon()

    def withdraw(self) -> None:
        """Give up the jobs that wait for a place under the quota."""
        self._withdrawn |= self._queue.keys()

    def close(self) -> None:
        """Jobs go on without a driver; calls that still wait are given up."""
        self._aws.close()
        self._pool.shutdown()

    def _look_soon(self) -> None:
        self._search_at = min(self._search_at, self.now() + self._shortest_interval)

    def _create(self, trials: Iterable[Trial]) -> list[tuple[Trial, bool]]:
        return list(self._pool.map(lambda trial: (trial, self._create_one(trial)), trials))

    def _create_one(self, trial: Trial) -> bool:
        """Whether the job exists now; False if the quota is used up."""
        request = self._template.of_trial(self._study, trial, self._unfit)
        name = str(trial.job_name)
        try:
            self._aws.call("sagemaker", "create_training_job", **request)
        except Refused as refusal:
            if refusal.code not in ("ResourceInUse", "ResourceLimitExceeded"):
                raise
            # An earlier try may have made it, whose answer was lost; the quota is then used up by the job itself.
            job = self._describe(name)
            if job is None:
                if refusal.code == "ResourceInUse":
                    raise
                if _never_fits(str(refusal)):
                    self._do_without(request, refusal)
                    return self._create_one(trial)
                return False
            if not same_job(request, job):
                raise ByohpoError(
                    f"the training job {name} exists and is not this study's: choose another job_name"
                ) from refusal
        self._watches[name] = _Watch(self.now())
        return True

    def _do_without(self, request: Mapping[str, Any], refusal: Refused) -> None:
        """Leave out an instance type of which the account may run none; raises `ByohpoError` if there is no other."""
        instance_type = request.get("ResourceConfig", {}).get("InstanceType")
        if not {*self._template.instance_types} - {*self._unfit, instance_type}:
            raise ByohpoError(f"the account may run no such job: {refusal}; ask AWS for a quota") from refusal
        self._unfit.add(instance_type)
        _logger.warning("the account may run no job on %s, so the other instance types are used", instance_type)

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        """What the service itself says of a job, None if there is no such job."""
        try:
            return self._aws.call("sagemaker", "describe_training_job", TrainingJobName=name)
        except Refused as refusal:
            if refusal.code not in _ABSENT:
                raise
            return None

    def _stop(self, name: str) -> None:
        try:
            self._aws.call("sagemaker", "stop_training_job", TrainingJobName=name)
        except Refused as refusal:
            if refusal.code not in _ABSENT:  # it has ended already, or was never created
                raise

    def _shrink(self) -> None:
        """As many slots as there are jobs now, at least one; more are tried from time to time."""
        before, self.slots = self.slots, max(1, len(self._watches))
        self._try_at = self.now() + self._quota_pause * random.uniform(1, 1.2)  # noqa: S311 - jitter
        self._quota_pause = min(LONGEST_QUOTA_PAUSE, 2 * self._quota_pause)
        self._grow_at = self.now() + GROW_SECONDS
        if self.slots != before:
            _logger.warning(
                "the account's quota is used up: %d jobs run, %d wait for a place", len(self._watches), len(self._queue)
            )

    def _use_quota(self) -> None:
        """Start what waits when its time has come; when nothing waits, try one slot more."""
        now = self.now()
        while self._queue and now >= self._try_at:
            name, trial = next(iter(self._queue.items()))
            self._mirror.check_newest(self._study.sequence)  # long after the commit that intended it
            ((_, made),) = self._create([trial])
            if not made:
                self._shrink()
                return
            del self._queue[name]
            self._quota_pause = QUOTA_PAUSE_SECONDS
            self._grow_at = now + GROW_SECONDS
            self.slots = max(self.slots, len(self._watches))
        if not self._queue and self.slots < self._study.problem.max_parallel_jobs and now >= self._grow_at:
            self.slots += max(1, self.slots // 2)
            self._grow_at = now + GROW_SECONDS

    def _look(self, trials: Sequence[Trial]) -> list[Update]:
        """What is new, if it is time to look."""
        updates: list[Update] = [*self._given_up()]
        self._use_quota()
        if self.now() < self._search_at:
            return updates
        self._search(self._since(trials))
        self._describe_absent(trials)
        if self._curves:
            updates += self._reports()
        ended = list(self._ended(trials))
        if ended:
            self._changed_at = self._try_at = self.now()
        quiet = self.now() - self._changed_at
        interval = max(self._shortest_interval, min(LONGEST_INTERVAL, quiet / 10))
        self._search_at = self.now() + interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        return [*updates, *ended]

    def _given_up(self) -> Iterator[Ended]:
        """The jobs that had no place and get none any more."""
        for name in [*self._queue]:
            if name in self._stopping:
                yield Ended(name, Outcome.Stopped, reason="stopped before it had a place")
            elif name in self._withdrawn:
                yield Ended(name, Outcome.Lost, reason="it had no place under the account's quota")
            else:
                continue
            del self._queue[name]
            self._stopping.discard(name)
            self._withdrawn.discard(name)

    def _since(self, trials: Sequence[Trial]) -> float | None:
        """From which change on a Search must tell."""
        unseen = [self._watches[str(t.job_name)].seen for t in trials if str(t.job_name) in self._watches]
        if unseen and min(unseen) < self.now() - UNSEEN_SECONDS:
            started = [trial.started or 0.0 for trial in trials]
            return min(started) - INDEX_LAG_SECONDS
        return self._newest - INDEX_LAG_SECONDS if self._newest else None

    def _search(self, since: float | None) -> None:
        """One look into the index of jobs."""
        conditions = [index.tagged(STUDY_TAG, self._study.id)]
        if since is not None:
            conditions.append(index.changed_since(since))
        for job in index.search(self._aws, conditions):
            self._told(job, in_index=True)

    def _told(self, job: Mapping[str, Any], *, in_index: bool) -> None:
        name, now = job["TrainingJobName"], self.now()
        if in_index:
            self._newest = max(self._newest, job["LastModifiedTime"].timestamp())
        watch = self._watches.get(name)
        if watch is None:  # it is over, and its trial knows
            return
        watch.in_index |= in_index
        watch.seen = now
        if watch.job is None or watch.job["LastModifiedTime"] <= job["LastModifiedTime"]:
            watch.job = job

    def _describe_absent(self, trials: Sequence[Trial]) -> None:
        """Look at jobs that the index does not know, or not any more, though it should."""
        for trial in trials:
            watch = self._watches.get(str(trial.job_name))
            if watch is None or self.now() < watch.seen + (UNSEEN_SECONDS if watch.in_index else ABSENT_SECONDS):
                continue
            job = self._describe(str(trial.job_name))
            if job is None:
                watch.job = {
                    "TrainingJobStatus": "Failed",
                    "FailureReason": "the training job was deleted; it counts as billed for as long as it may run",
                    "BillableTimeInSeconds": longest_billed(self._template.request),
                }
            else:
                self._told(job, in_index=False)

    def _reports(self) -> Iterator[Reported]:
        """New points of the curves of running jobs."""
        lines: dict[str, list[str]] = {}
        for name, line in self._log.read():
            if name in self._watches:
                lines.setdefault(name, []).append(line)
        for name, printed in lines.items():
            scanner = self._scanners.setdefault(name, MetricScanner(self._metrics))
            if points := scanner.feed("".join(f"{line}\n" for line in printed).encode()):
                yield Reported(name, points)

    def _ended(self, trials: Sequence[Trial]) -> Iterator[Ended]:
        """The running trials whose jobs are over and whose results are known."""
        for trial in trials:
            name = str(trial.job_name)
            watch = self._watches.get(name)
            if watch is None or watch.job is None or watch.job["TrainingJobStatus"] not in _OVER:
                continue
            outcome, reason = verdict(watch.job)
            metrics = _final_metrics(watch.job)
            missing = [metric for metric in self._objectives if metric not in metrics]
            if outcome is Outcome.Completed and missing:
                if watch.judged_at is None:
                    watch.judged_at = self.now() + LOG_SECONDS
                if self.now() < watch.judged_at:
                    continue
                metrics = {**self._from_log(name), **metrics}
                reason = f"nor does its log tell it: {logs.place(name)}"
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
            self._stopping.discard(name)
            self._scanners.pop(name, None)

    def _from_log(self, name: str) -> dict[str, float]:
        scanner = MetricScanner(self._metrics)
        scanner.feed("".join(f"{line}\n" for line in logs.job_lines(self._aws, name)).encode())
        return scanner.final

    def _details(self, name: str, job: Mapping[str, Any]) -> dict[str, Any]:
        details: dict[str, Any] = {"log": logs.place(name), "billable_seconds": billable_seconds(job)}
        cost = self._prices.paid(job, self._ceiling)
        if cost is not None:
            details["cost"] = cost
        if artifacts := job.get("ModelArtifacts", {}).get("S3ModelArtifacts"):
            details["model_artifacts"] = artifacts
        return details


def verdict(job: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    """How a job ended that is over."""
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


def _time(job: Mapping[str, Any], name: str) -> float | None:
    time = job.get(name)
    return None if time is None else float(time.timestamp())


def _never_fits(message: str) -> bool:
    """Whether the limit that a ResourceLimitExceeded tells of is too small for a single job."""
    limit, needed = re.search(r" is ([\d.]+) \w+, with", message), re.search(r"delta of ([\d.]+) \w+", message)
    return limit is not None and float(limit[1]) < (1 if needed is None else float(needed[1]))
