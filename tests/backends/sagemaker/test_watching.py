"""What the service says of a job decides how its trial ends: with a result, failed, pruned, or tried again."""

from collections import Counter

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import REQUEST
from sagemaker_inside import SageMakerBackend, outcome_of

from byohpo_core import TrialStatus, hookimpl
from byohpo_core.backendspecs import Outcome

SPOT = {
    **REQUEST,
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 9000},
}


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ({"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}, Outcome.Completed),
        ({"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: no"}, Outcome.Failed),
        ({"TrainingJobStatus": "Failed", "FailureReason": "CapacityError: none"}, Outcome.Interrupted),
        ({"TrainingJobStatus": "Failed", "FailureReason": "InternalServerError: retry"}, Outcome.Interrupted),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"}, Outcome.Interrupted),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}, Outcome.Failed),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "Stopped"}, Outcome.Stopped),
    ],
    ids=lambda it: it.get("FailureReason") or it["TrainingJobStatus"] if isinstance(it, dict) else str(it),
)
def test_only_the_infrastructure_is_tried_again(told, outcome):
    """The status and the reason of a job decide whether its trial has failed, was stopped, or is tried again."""
    assert outcome_of(told)[0] is outcome


def test_a_job_that_was_deleted_is_a_failed_trial_that_counts_as_paid(account, monkeypatch):
    """A deleted job frees its slot, and its whole reservation counts as spent."""
    poll, polls = SageMakerBackend.poll, []

    def deleting(backend, *arguments):
        polls.append(backend)
        if len(polls) == 5:
            account.clock.sleep(5000)
            (job,) = account.emulator.jobs.values()
            assert job.status == "Completed"
            account.emulator.client("sagemaker").delete_training_job(TrainingJobName=job.request["TrainingJobName"])
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", deleting)
    job = account.training_job(prices={"ml.m5.large": 1.0})
    study = account.tuner(job, max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert study.trials[0].reason.startswith("the training job was deleted")
    assert study.trials[0].cost == pytest.approx(7500 / 3600)
    assert study.trials[1].status == "Completed"


def test_no_capacity_is_another_attempt_on_the_next_instance_type(make_account):
    """After a CapacityError the trial is tried again on the next type of the list."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("capacity", times=2)
    job = account.training_job(instance_types=["ml.m5.large", "ml.m5.xlarge"])
    study = account.tuner(job, max_parallel_jobs=1, max_jobs=3).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 3
    assert sum(trial.attempt for trial in study.trials) == 2
    types = {name: job.request["ResourceConfig"]["InstanceType"] for name, job in account.emulator.jobs.items()}
    for name, instance_type in types.items():
        assert instance_type == ("ml.m5.large" if name.endswith(("-0", "-2")) else "ml.m5.xlarge")


def test_attempts_are_limited(make_account):
    """A trial whose attempts all fail by the infrastructure is a failed trial with the last reason."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("capacity", times=99)
    study = account.tuner(max_jobs=1, max_parallel_jobs=1, max_attempts=2).fit(job_name="study")
    (trial,) = study.trials
    assert trial.status is TrialStatus.Failed
    assert "2 attempts failed, the last: CapacityError" in trial.reason


def test_a_job_that_the_index_does_not_know_is_described(make_account):
    """A job that Search does not show within a minute is looked up by DescribeTrainingJob."""
    faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 5000.0})
    account = make_account(faults=faults)
    study = account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 2
    assert Counter(account.operations())["DescribeTrainingJob"] >= 2
    assert max(trial.seconds for trial in study.trials) < 5000


def test_a_metric_that_the_service_lost_is_read_from_the_log(make_account):
    """A metric that is missing in the job's description is read from its log, even if the log is late."""
    faults = Faults(rates={"metric_missing": 1.0, "log_delay": 1.0})
    account = make_account(faults=faults)
    study = account.tuner(max_jobs=3).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 3
    assert all(trial.value is not None for trial in study.trials)
    assert "FilterLogEvents" in account.operations("logs")


def test_a_metric_that_is_nowhere_fails_the_trial(make_account):
    """The reason names the metric, the job and its log."""
    account = make_account(job=lambda request: SimulatedJob(60, {"other": 1.0}))
    study = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    (trial,) = study.trials
    assert trial.status is TrialStatus.Failed
    assert "the job did not report 'loss'" in trial.reason
    assert f"CloudWatch /aws/sagemaker/TrainingJobs {trial.job_name}/" in trial.reason


def test_a_metric_whose_regex_is_too_slow_fails_the_trial(make_account):
    """It is given up by the service, here the emulator, and by the driver that reads the log after it."""
    account = make_account(job=lambda request: SimulatedJob(60, [{"loss": 1.0, "a" * 40: 0.0}] * 3))
    definitions = [{"Name": "loss", "Regex": r"(?:a+)+b|loss=(.*?);"}]
    tuner = account.tuner(max_jobs=1, max_parallel_jobs=1, metric_definitions=definitions)
    (trial,) = tuner.fit(job_name="study").trials
    assert trial.status is TrialStatus.Failed
    assert "the job did not report 'loss'; the regex of 'loss' took over a second on line 1, 2, 3" in trial.reason


def test_a_failing_script_is_a_failed_trial(make_account):
    """The trial has the service's reason, and is not tried again."""
    account = make_account(job=lambda request: SimulatedJob(60, {"loss": 1.0}, failure="diverged"))
    study = account.tuner(max_jobs=2, max_parallel_jobs=2, failure_limit=False).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Failed"] * 2
    assert "AlgorithmError" in study.trials[0].reason
    assert "diverged" in study.trials[0].reason
    assert [trial.attempt for trial in study.trials] == [0, 0]


def test_a_job_that_runs_too_long_is_a_failed_trial(make_account):
    """A job that MaxRuntimeInSeconds ends is a failed trial."""
    account = make_account(job=lambda request: SimulatedJob(90_000, {"loss": 1.0}))
    study = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert study.trials[0].status is TrialStatus.Failed
    assert "MaxRuntimeInSeconds" in study.trials[0].reason


def test_an_interrupted_spot_job_goes_on_by_itself(make_account):
    """The service restarts an interrupted spot job, so the trial has one attempt."""
    account = make_account(faults=Faults(rates={"spot": 1.0}))
    study = account.tuner(account.training_job(SPOT), max_jobs=2, max_parallel_jobs=2).fit(job_name="study")
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 0)] * 2
    assert all(job.spot_restarts > 0 for job in account.emulator.jobs.values())


def worse_and_worse(request):
    """Curves of ten points; each trial is worse than the one before."""
    worse_and_worse.calls += 1
    return SimulatedJob(3600, [{"loss": worse_and_worse.calls + 1 / (step + 1)} for step in range(10)])


worse_and_worse.calls = 0


def test_bad_jobs_are_stopped_early(make_account):
    """The median rule stops jobs by the curves in their logs; one call reads the logs of all jobs."""
    account = make_account(job=worse_and_worse)
    study = account.tuner(early_stopping_type="Auto", max_jobs=8, max_parallel_jobs=2).fit(job_name="study")
    statuses = [str(trial.status) for trial in study.trials]
    assert statuses.count("Completed") >= 3
    assert "Pruned" in statuses
    for trial in study.trials:
        if trial.status is TrialStatus.Pruned:
            assert account.emulator.jobs[trial.job_name].status == "Stopped"
            assert "median" in trial.reason
            assert trial.value is not None
    calls = Counter(call.operation for call in account.emulator.calls)
    assert calls["FilterLogEvents"] <= calls["Search"] + 8
    assert_stopped_once(account, study)


class EarlyStops:
    """Has every job stopped that has reported."""

    def __init__(self, problem):
        """As extensions are made; it has nothing to keep."""

    @hookimpl
    def prune(self, study, trial):
        return "that will do" if study.curve(trial.number) else None


def test_a_job_that_ends_before_its_stop_is_completed(make_account):
    """If the stop comes after the job's end, the trial keeps its result."""
    faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 60.0})
    account = make_account(job=lambda request: SimulatedJob(3600, {"loss": 1.0}), faults=faults)
    study = account.tuner(extensions=[EarlyStops]).fit(job_name="study")
    assert [(trial.status, trial.value) for trial in study.trials] == [(TrialStatus.Completed, 1.0)] * 8
    assert account.operations().count("StopTrainingJob") > 0
    assert_stopped_once(account, study)


def assert_stopped_once(account, study):
    """No job was asked to stop twice, and the stops that succeeded are those of the pruned trials."""
    stops = [call for call in account.emulator.calls if call.operation == "StopTrainingJob"]
    asked = [call.parameters["TrainingJobName"] for call in stops]
    assert len(asked) == len(set(asked))
    pruned = {trial.job_name for trial in study.trials if trial.status is TrialStatus.Pruned}
    assert {name for name, call in zip(asked, stops, strict=True) if call.outcome == "ok"} == pruned
