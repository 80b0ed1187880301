"""Create the training jobs of one study exactly once, adopt them after a crash, poll and stop them."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from byohpo_core.backends.quota import Quota
from byohpo_core.backends.sagemaker import index
from byohpo_core.backends.sagemaker.aws import Aws, Refused
from byohpo_core.backends.sagemaker.continuing import Continuing
from byohpo_core.backends.sagemaker.quota import never_fits
from byohpo_core.backends.sagemaker.request import STUDY_TAG, Template, same_job
from byohpo_core.backends.sagemaker.service_model import check_request
from byohpo_core.backends.sagemaker.watching import Watching
from byohpo_core.backendspecs import Backend, Update
from byohpo_core.clock import SteadyClock
from byohpo_core.errors import ByohpoError
from byohpo_core.logger import logger as _logger
from byohpo_core.metrics import end_helper
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

LONGEST_INTERVAL = 30.0
_CREATORS = 8
_ABSENT = ("ValidationException", "ResourceNotFound")
"""Error codes of calls about one job which mean that it does not exist or does not run."""


class SageMakerBackend(Backend):
    """Creates, polls and stops one study's jobs."""

    poll_seconds = 5.0

    def __init__(self, aws: Aws, template: Template, study: Study, shortest_interval: float, *, curves: bool) -> None:
        self._aws = aws
        self._clock = aws.clock
        if isinstance(self._clock, SteadyClock):
            self._clock.advance_to(study.now)
        self._template = template
        self._study = study
        self._shortest_interval = shortest_interval
        self._watching = Watching(aws, study, template, self._describe, self.now, curves=curves)
        self._continuing = Continuing(aws, template, study)
        self._quota = Quota(self.now, "the account's quota")
        self._unfit: set[str] = set()
        """The instance types for which the account's quota is too small for a single job."""
        self._stopping: set[str] = set()
        self._pool = ThreadPoolExecutor(_CREATORS, thread_name_prefix="byohpo-sagemaker")
        self._changed_at = self._look_at = self.now()

    @property
    def slots(self) -> float:  # type: ignore[override]
        """How many jobs the account's quota allows now, as learnt from refusals."""
        return self._quota.slots

    def now(self) -> float:
        return self._clock.now()

    def launch(self, trials: Sequence[Trial]) -> None:
        """Create the jobs. Those that exceed the quota wait for a free slot, and the number of slots shrinks."""
        refused = [trial for trial, made in self._create(trials) if not made]
        if refused:
            self._quota.wait(refused)
            self._quota.shrink(len(self._watching))
        self._changed_at = self.now()
        self._look_soon()

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        """Find the jobs of an earlier driver; create those that it did not create, unless they are to stop."""
        for trial in trials:
            self._watching.watch(str(trial.job_name))
        self._watching.search()
        missing = {str(trial.job_name): trial for trial in trials if not self._watching.is_known(str(trial.job_name))}
        for name in missing.keys() & self._stopping:
            if (job := self._describe(name)) is not None:
                self._watching.take_in(job)
                del missing[name]
        for name in missing:
            self._watching.forget(name)
        self._quota.wait([trial for name, trial in missing.items() if name in self._stopping])
        self.launch([trial for name, trial in missing.items() if name not in self._stopping])
        return ()

    def poll(self, trials: Sequence[Trial], wait_seconds: float) -> Sequence[Update]:
        deadline = self.now() + wait_seconds
        while True:
            updates = self._look(trials)
            if updates or self.now() >= deadline:
                return updates
            self._clock.sleep_until(min(deadline, max(self._look_at, self.now() + 0.01)))

    def stop(self, trials: Sequence[Trial]) -> None:
        """Ask for each stop once. The next poll reports a job that has ended in the meantime."""
        fresh = [str(trial.job_name) for trial in trials if trial.job_name not in self._stopping]
        self._stopping.update(fresh)
        list(self._pool.map(self._stop, [name for name in fresh if name not in self._quota]))
        self._look_soon()

    def stop_strays(self, trials: Sequence[Trial]) -> None:
        """Find the study's jobs by their tag, and stop those that no driver waits for."""
        ours = re.compile(rf"{re.escape(self._study.id)}-\d+-\d+")
        names = {trial.job_name for trial in trials}
        for job in index.search(self._aws, [index.tagged(STUDY_TAG, self._study.id), index.IN_PROGRESS]):
            name = job["TrainingJobName"]
            if ours.fullmatch(name) and name not in names:
                _logger.warning("stopping the training job %s, which a driver started after it had been replaced", name)
                self._stop(name)

    def withdraw(self) -> None:
        """Give up the jobs that wait for a free slot in the quota."""
        self._quota.withdraw()

    def close(self) -> None:
        """Cancel the calls that still wait. Jobs keep running without a driver."""
        self._aws.close()
        self._pool.shutdown()
        end_helper()

    def _look_soon(self) -> None:
        self._look_at = min(self._look_at, self.now() + self._shortest_interval)

    def _look(self, trials: Sequence[Trial]) -> list[Update]:
        """Return the updates, if it is time to look for them."""
        updates: list[Update] = [*self._quota.given_up(self._stopping)]
        most = self._study.problem.max_parallel_jobs
        self._quota.use(self._start_late, self._watching.__len__, most)
        if self.now() < self._look_at:
            return updates
        reported, ended = self._watching.look(trials)
        if ended:
            self._stopping -= {it.job_name for it in ended}
            self._changed_at = self.now()
            self._quota.try_now()
        quiet = self.now() - self._changed_at
        interval = max(self._shortest_interval, min(LONGEST_INTERVAL, quiet / 10))
        self._look_at = self.now() + interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        if self._watching.is_behind:
            self._look_soon()
        return [*updates, *reported, *ended]

    def _create(self, trials: Iterable[Trial]) -> list[tuple[Trial, bool]]:
        """Create jobs. After an error begin no further one, and wait for those that have begun."""
        creating = [(trial, self._pool.submit(self._create_one, trial)) for trial in trials]
        futures = [future for _, future in creating]
        wait(futures, return_when=FIRST_EXCEPTION)
        wait([future for future in futures if not future.cancel()])
        return [(trial, future.result()) for trial, future in creating]

    def _start_late(self, trial: Trial) -> bool:
        """Create a job that waited for a free slot; raises `StudyBusy` if another driver has taken over since."""
        ((_, made),) = self._create([trial])
        self.check_driven()
        return made

    def _create_one(self, trial: Trial) -> bool:
        """Create a job, and return True if it exists now or False if the quota is used up."""
        request = self._template.of_trial(self._study, trial, self._unfit)
        name = str(trial.job_name)
        sent = self._template.revealed(request, self.reveal)
        if sent != request:
            check_request(sent)  # AWS would repeat the values that it refuses
        self._continuing.prepare(trial, self.check_driven)
        try:
            self._aws.call("sagemaker", "create_training_job", self.check_driven, **sent)
        except Refused as refusal:
            if refusal.code not in ("ResourceInUse", "ResourceLimitExceeded"):
                raise
            # An earlier call may have created the job and lost its answer; the job itself then uses up the quota.
            job = self._describe(name)
            if job is None:
                if refusal.code == "ResourceInUse":
                    raise
                if never_fits(str(refusal)):
                    self._do_without(request, refusal)
                    return self._create_one(trial)
                return False
            if not same_job(request, job):
                raise ByohpoError(
                    f"the training job {name} exists and does not belong to this study: choose another job_name"
                ) from refusal
        self._watching.watch(name)
        return True

    def _do_without(self, request: Mapping[str, Any], refusal: Refused) -> None:
        """Stop using an instance type that exceeds the account's quota; raises `ByohpoError` if no other is left."""
        instance_type = request.get("ResourceConfig", {}).get("InstanceType")
        if not {*self._template.instance_types} - {*self._unfit, instance_type}:
            raise ByohpoError(
                f"the account's quota is too small for one such job: {refusal}; ask AWS to raise the quota"
            ) from refusal
        self._unfit.add(instance_type)
        _logger.warning("the account's quota allows no job on %s; using the other instance types", instance_type)

    def _describe(self, name: str) -> Mapping[str, Any] | None:
        """Describe a job by a call to the service; None if the job does not exist."""
        try:
            return self._aws.call("sagemaker", "describe_training_job", TrainingJobName=name)
        except Refused as refusal:
            if not refusal.is_absence:
                raise
            return None

    def _stop(self, name: str) -> None:
        try:
            self._aws.call("sagemaker", "stop_training_job", TrainingJobName=name)
        except Refused as refusal:
            if refusal.code not in _ABSENT:  # it has already ended, or was never created
                raise
