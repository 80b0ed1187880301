"""Every trial a training job: created once, watched, priced, stopped, whatever the service does."""

import logging
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import METRICS, REQUEST

from byohpo_core import ByohpoError, TrialStatus, Tuner, hookimpl
from byohpo_core.backends.sagemaker.aws import Aws, WallClock
from byohpo_core.backends.sagemaker.backend import SageMakerBackend
from byohpo_core.backends.sagemaker.quota import never_fits
from byohpo_core.backends.sagemaker.watching import outcome_of
from byohpo_core.backendspecs import Outcome
from byohpo_core.cli import main
from byohpo_core.results.table import rows

SPOT = {
    **REQUEST,
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 9000},
}


def outcomes(study):
    return [(str(trial.status), trial.value) for trial in study.trials]


def test_every_trial_is_a_training_job(account):
    """Eight jobs, three at a time, each created by one call, and the results of all."""
    tuner = account.tuner(account.training_job(prices={"ml.m5.large": 0.5}))
    study = tuner.fit(job_name="study")
    assert study.stop_reason == "max_jobs (8) reached"
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert account.emulator.peak_instances == 3
    counts = Counter(account.operations())
    assert counts.keys() == {"CreateTrainingJob", "Search"}
    assert counts["CreateTrainingJob"] == len(account.emulator.jobs) == 8
    for trial in study.trials:
        assert trial.job_name == f"{study.id}-{trial.number}-0"
        assert trial.value == pytest.approx(
            (trial.hyperparameters["x"] - 1) ** 2 + trial.hyperparameters["n"], rel=1e-6
        )
        assert trial.billable_seconds == pytest.approx(1800 + 600 * trial.hyperparameters["n"], abs=1)
        assert trial.cost == pytest.approx(0.5 * trial.billable_seconds / 3600)
        assert trial.model_artifacts == f"s3://bucket/out/{trial.job_name}/output/model.tar.gz"
    assert study.cost == pytest.approx(sum(trial.cost for trial in study.trials))
    table = rows(study)
    assert [row["FinalObjectiveValue"] for row in table] == sorted(trial.value for trial in study.trials)
    assert {"TrainingJobName", "BillableTimeInSeconds", "Cost", "ModelArtifacts"} <= table[0].keys()
    assert tuner.best_training_job() == table[0]["TrainingJobName"]
    with pytest.raises(ByohpoError, match=r"cannot be attached to a job: the model of trial .* is s3://bucket/out/"):
        tuner.best_estimator()


def test_a_resumed_study_finds_its_jobs_again(account, monkeypatch):
    """What ran goes on to its end, and nothing is created twice."""
    with pytest.raises(KeyboardCrash):
        account.tuner(extensions=[Crash]).fit(job_name="study")
    running = account.attach().study.running
    assert len(running) == 3
    monkeypatch.setattr(Crash, "after", 99)
    study = account.attach().resume()
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert all(trial.attempt == 0 for trial in study.trials)
    assert Counter(account.operations())["CreateTrainingJob"] == len(account.emulator.jobs) == 8


class Crash:
    """The driver's process dies, as far as the study can tell, when some trials are over."""

    after = 2

    def __init__(self, problem):
        self.seen = 0

    @hookimpl
    def stop(self, study):
        if study.finished_count - len(study.unobserved) >= self.after and len(study.running) == 3:
            raise KeyboardCrash


class KeyboardCrash(BaseException):
    """Nobody catches it."""


def test_an_answer_that_never_came_makes_no_second_job(make_account):
    """The call took effect: the name tells, and the job is adopted."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("timeout", "CreateTrainingJob", times=2)
    study = account.tuner(max_jobs=3).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 3
    assert len(account.emulator.jobs) == 3
    told = Counter(call.outcome for call in account.emulator.calls if call.operation == "CreateTrainingJob")
    assert told["timeout"] == 2  # of two jobs, or twice of one
    assert Counter(account.operations())["DescribeTrainingJob"] == told["ResourceInUse"] > 0
    assert all(job.processes_started == 1 for job in account.emulator.jobs.values())


def test_a_job_whose_answer_was_lost_is_ours_even_if_it_used_up_the_quota(make_account, monkeypatch):
    """The second try is refused for want of a place, which the job itself has taken: it is watched, billed, stopped."""
    account = make_account(faults=Faults())
    account.emulator.faults.inject("timeout", "CreateTrainingJob", times=1)
    wait = Aws._wait

    def others_take_the_rest(aws, *arguments):
        account.emulator.faults.inject("quota", "CreateTrainingJob")
        wait(aws, *arguments)

    monkeypatch.setattr(Aws, "_wait", others_take_the_rest)
    tuner = account.tuner(max_jobs=1, max_parallel_jobs=1)
    poll, polls = SageMakerBackend.poll, []

    def stopping(backend, *arguments):
        polls.append(backend)
        if len(polls) == 2:
            tuner.stop_tuning_job()
        return poll(backend, *arguments)

    monkeypatch.setattr(SageMakerBackend, "poll", stopping)
    study = tuner.fit(job_name="study")
    (job,) = account.emulator.jobs.values()
    assert job.status == "Stopped"
    assert study.trials[0].billable_seconds == pytest.approx(job.billable_seconds, abs=1)


def refusing(account, monkeypatch, after):
    """Let CreateTrainingJob be denied after so many."""
    check, made = account.emulator._check_permission, []

    def deny(call):
        if call.operation == "CreateTrainingJob":
            if len(made) >= after:
                account.emulator.faults.denied = {"sagemaker:CreateTrainingJob"}
            made.append(call)
        return check(call)

    monkeypatch.setattr(account.emulator, "_check_permission", deny)


def test_what_runs_can_be_stopped_although_another_job_cannot_be_created(account, monkeypatch):
    """A stop creates nothing."""
    refusing(account, monkeypatch, after=2)
    with pytest.raises(ByohpoError, match="does not allow sagemaker:CreateTrainingJob"):
        account.tuner(max_jobs=4).fit(job_name="study")
    assert sorted(job.status for job in account.emulator.jobs.values()) == ["InProgress"] * 2
    tries = account.operations().count("CreateTrainingJob")
    tuner = account.attach()
    assert tuner.stop_tuning_job() is True
    assert account.operations().count("CreateTrainingJob") == tries
    assert {job.status for job in account.emulator.jobs.values()} == {"Stopped"}
    assert [trial.reason for trial in tuner.study.trials].count("stopped before it had a place") == 1


def test_a_job_that_waits_for_a_place_does_not_start_after_the_study_s_end(make_account):
    """Its trial ends without one."""
    # So short that the first result is known, and ends the study, before a place is tried for again.
    account = make_account(quota=2, job=lambda request: SimulatedJob(300, {"loss": 1.0}))
    target = ("target-value", {"value": 1000.0})
    study = account.tuner(max_jobs=12, max_parallel_jobs=12, extensions=[target]).fit(job_name="study")
    assert len(account.emulator.jobs) == 2
    assert {str(trial.status) for trial in study.trials} == {"Completed", "Stopped"}
    assert study.stop_reason.startswith("target")


def test_a_job_that_waits_for_a_place_does_not_start_after_ctrl_c(make_account, monkeypatch):
    """It starts when somebody goes on."""
    account = make_account(quota=2)
    poll, polls = SageMakerBackend.poll, []

    def interrupted(backend, *arguments):
        polls.append(len(account.emulator.jobs))
        if len(polls) == 3:
            signal.raise_signal(signal.SIGINT)
        return poll(backend, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SageMakerBackend, "poll", interrupted)
        job = account.training_job(instance_types=["ml.m5.large", "ml.m5.xlarge"])
        with pytest.raises(KeyboardInterrupt):
            account.tuner(job, max_jobs=12, max_parallel_jobs=12).fit(job_name="study")
    assert len(account.emulator.jobs) == polls[2] == 2
    study = account.attach().resume()
    used = {job.request["ResourceConfig"]["InstanceType"] for job in account.emulator.jobs.values()}
    assert used == {"ml.m5.large"}  # nothing has failed
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 12
    assert len(account.emulator.jobs) == 12


def test_a_job_that_no_quota_of_ours_can_hold_is_an_error(make_account):
    """Two instances each, and one is allowed: it would wait for ever."""
    account = make_account(quota=1)
    request = {**REQUEST, "ResourceConfig": {**REQUEST["ResourceConfig"], "InstanceCount": 2}}
    with pytest.raises(ByohpoError, match="the account may run no such job"):
        account.tuner(account.training_job(request)).fit(job_name="study")
    assert not account.emulator.jobs


def test_what_failed_attempts_cost_is_in_the_results(make_account):
    """All seconds that were billed, of every attempt."""
    account = make_account(faults=Faults(rates={"internal": 0.4}))
    job = account.training_job(prices={"ml.m5.large": 1.0})
    study = account.tuner(job, max_attempts=9).fit(job_name="study")
    assert any(trial.attempt for trial in study.trials)
    billed = sum(job.billable_seconds for job in account.emulator.jobs.values())
    assert sum(trial.billable_seconds for trial in study.trials) == pytest.approx(billed, abs=len(study.trials) * 3)
    assert sum(trial.cost for trial in study.trials) == pytest.approx(study.cost)


def test_somebody_elses_job_of_that_name_is_not_taken(account, monkeypatch):
    """Nor is it stopped; the study can go on under another name."""
    monkeypatch.setattr("byohpo_core.journal.studies.draw_id", lambda name: f"{name}-abcd")
    other = {**REQUEST, "TrainingJobName": "study-abcd-1-0", "HyperParameters": {"x": "7", "n": "1"}}
    account.emulator.client("sagemaker").create_training_job(**other)
    with pytest.raises(ByohpoError, match="study-abcd-1-0 exists and is not this study's: choose another job_name"):
        account.tuner().fit(job_name="study")
    assert "StopTrainingJob" not in account.operations()


def test_the_quota_shrinks_the_slots_and_lets_them_grow_again(make_account, caplog):
    """Nothing fails; fewer jobs run at once, which is said, and more when the quota allows it."""
    account = make_account(quota=2)
    most = []

    class Raise:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def stop(self, study):
            most.append(account.emulator.peak_instances)
            if study.finished_count == 6:
                account.emulator.quota = 10

    study = account.tuner(extensions=[Raise], max_jobs=30, max_parallel_jobs=5).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 30
    assert all(trial.attempt == 0 for trial in study.trials)
    assert any("quota is used up: 2 jobs run, 3 wait" in record.getMessage() for record in caplog.records)
    assert 2 in most
    assert account.emulator.peak_instances == 5
    refused = [call for call in account.emulator.calls if call.outcome == "ResourceLimitExceeded"]
    assert 3 <= len(refused) < 60


def test_a_quota_of_none_is_an_error(make_account):
    """Waiting would be in vain."""
    account = make_account(quota=0)
    with pytest.raises(ByohpoError, match=r"the account may run no such job: .* 0 Instances"):
        account.tuner().fit(job_name="study")
    assert not account.emulator.jobs


def test_an_instance_type_of_which_the_account_may_run_none_is_left_out(make_account, caplog):
    """The other types go on; a new one often has no quota yet."""
    faults = Faults()
    account = make_account(faults=faults, quota={"ml.m5.large": 10, "ml.c5.xlarge": 0})
    faults.inject("capacity", times=1)
    job = account.training_job(instance_types=["ml.m5.large", "ml.c5.xlarge"])
    study = account.tuner(job).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert "the account may run no job on ml.c5.xlarge" in caplog.text


@pytest.mark.parametrize(
    ("limit", "needed", "never"),
    [
        ("0 Instances", "1 Instances", True),
        ("432000 Seconds", "604800 Seconds", True),
        ("2 Instances", "1 Instances", False),
    ],
)
def test_a_limit_of_whatever_unit_that_is_too_small_for_one_job_is_known(limit, needed, never):
    """Waiting for it would be in vain."""
    message = f"The account-level service limit 'x' is {limit}, with current use of 0 and a request delta of {needed}."
    assert never_fits(message) is never


def test_a_job_that_was_deleted_is_a_failed_trial_that_counts_as_paid(account, monkeypatch):
    """However it went, nobody tells any more: no slot waits for it, and its money does not come back."""
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
    """It is not the trial's failure."""
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
    """What the infrastructure fails again and again ends as a failed trial with the reason."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("capacity", times=99)
    study = account.tuner(max_jobs=1, max_parallel_jobs=1, max_attempts=2).fit(job_name="study")
    (trial,) = study.trials
    assert trial.status is TrialStatus.Failed
    assert "2 attempts failed, the last: CapacityError" in trial.reason


def test_expired_credentials_are_waited_for(make_account, caplog):
    """The user is told, nothing is journaled as failed, and the study goes on."""
    faults = Faults(seconds={"expired": 3600.0})
    account = make_account(faults=faults)
    undisturbed = outcomes(account.tuner(journal=":memory:").fit(job_name="study"))
    faults.inject("expired", "Search", times=1)
    study = account.tuner().fit(job_name="study")
    assert outcomes(study) == undisturbed
    assert faults.hits["expired"] > 1
    assert any("credentials have expired" in record.getMessage() for record in caplog.records)


def test_a_job_that_the_index_does_not_know_is_described(make_account):
    """The index lags; after a minute the job itself is asked."""
    faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 5000.0})
    account = make_account(faults=faults)
    study = account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 2
    assert Counter(account.operations())["DescribeTrainingJob"] >= 2
    assert max(trial.seconds for trial in study.trials) < 5000


def test_a_metric_that_the_service_lost_is_read_from_the_log(make_account):
    """Even when the log is late."""
    faults = Faults(rates={"metric_missing": 1.0, "log_delay": 1.0})
    account = make_account(faults=faults)
    study = account.tuner(max_jobs=3).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 3
    assert all(trial.value is not None for trial in study.trials)
    assert "FilterLogEvents" in account.operations("logs")


def test_a_metric_that_is_nowhere_fails_the_trial(make_account):
    """The job and its log are named."""
    account = make_account(job=lambda request: SimulatedJob(60, {"other": 1.0}))
    study = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    (trial,) = study.trials
    assert trial.status is TrialStatus.Failed
    assert "the job did not report 'loss'" in trial.reason
    assert f"CloudWatch /aws/sagemaker/TrainingJobs {trial.job_name}/" in trial.reason


def test_a_failing_script_is_a_failed_trial(make_account):
    """With what the service says of it; it is not tried again."""
    account = make_account(job=lambda request: SimulatedJob(60, {"loss": 1.0}, failure="diverged"))
    study = account.tuner(max_jobs=2, max_parallel_jobs=2, failure_limit=False).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Failed"] * 2
    assert "AlgorithmError" in study.trials[0].reason
    assert "diverged" in study.trials[0].reason
    assert [trial.attempt for trial in study.trials] == [0, 0]


def test_a_job_that_runs_too_long_is_a_failed_trial(make_account):
    """MaxRuntimeInSeconds ends it."""
    account = make_account(job=lambda request: SimulatedJob(90_000, {"loss": 1.0}))
    study = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    assert study.trials[0].status is TrialStatus.Failed
    assert "MaxRuntimeInSeconds" in study.trials[0].reason


def worse_and_worse(request):
    """Curves of ten points; each trial is worse than the one before."""
    worse_and_worse.calls += 1
    return SimulatedJob(3600, [{"loss": worse_and_worse.calls + 1 / (step + 1)} for step in range(10)])


worse_and_worse.calls = 0


def test_bad_jobs_are_stopped_early(make_account):
    """By SageMaker's own rule, on the curves in the logs; one call reads the logs of all jobs."""
    account = make_account(job=worse_and_worse)
    study = account.tuner(early_stopping_type="Auto", max_jobs=8, max_parallel_jobs=2).fit(job_name="study")
    statuses = [str(trial.status) for trial in study.trials]
    assert statuses.count("Completed") >= 3
    assert "Pruned" in statuses
    for trial in study.trials:
        if trial.status is TrialStatus.Pruned:
            assert account.emulator.jobs[trial.job_name].status == "Stopped"
            assert "worse than the median" in trial.reason
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
    """The index has a job running after its last line; the stop comes too late, and the result is not lost."""
    faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 60.0})
    account = make_account(job=lambda request: SimulatedJob(3600, {"loss": 1.0}), faults=faults)
    study = account.tuner(extensions=[EarlyStops]).fit(job_name="study")
    assert [(trial.status, trial.value) for trial in study.trials] == [(TrialStatus.Completed, 1.0)] * 8
    assert account.operations().count("StopTrainingJob") > 0
    assert_stopped_once(account, study)


def assert_stopped_once(account, study):
    """No job was asked to stop twice, and those that were still running are the pruned ones."""
    stops = [call for call in account.emulator.calls if call.operation == "StopTrainingJob"]
    asked = [call.parameters["TrainingJobName"] for call in stops]
    assert len(asked) == len(set(asked))
    pruned = {trial.job_name for trial in study.trials if trial.status is TrialStatus.Pruned}
    assert {name for name, call in zip(asked, stops, strict=True) if call.outcome == "ok"} == pruned


def test_a_study_can_be_stopped_with_its_jobs(account, capsys):
    """`byohpo stop` in place of a driver that is gone: the jobs are stopped, and nothing runs any more."""
    with pytest.raises(KeyboardCrash):
        account.tuner(extensions=[Crash]).fit(job_name="study")
    study_id = account.attach().study.id
    assert sum(job.status == "InProgress" for job in account.emulator.jobs.values()) == 3
    tuner = account.attach()
    assert tuner.stop_tuning_job() is True
    assert all(job.status in ("Completed", "Stopped") for job in account.emulator.jobs.values())
    assert sum(trial.status is TrialStatus.Stopped for trial in tuner.study.trials) == 3
    assert tuner.study.stop_reason
    assert main(["stop", "study", "--journal", "studies.db", "--no-progress"]) == 0
    assert "no job of it runs" in capsys.readouterr().out
    assert study_id in tuner.study.id


def test_who_leaves_tells_what_still_runs(account, caplog):
    """And the command that stops it."""
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardCrash):
        account.tuner(extensions=[Crash]).fit(job_name="study")
    (told,) = [
        record.getMessage()
        for record in caplog.records
        if "still running, as far as is known: study-" in record.getMessage()
    ]
    assert "(3 in all)" in told
    assert "`byohpo stop study --journal studies.db` stops what runs" in told


def test_an_interrupted_spot_job_goes_on_by_itself(make_account):
    """The service restarts it; it is the same job, billed for what it ran."""
    account = make_account(faults=Faults(rates={"spot": 1.0}))
    study = account.tuner(account.training_job(SPOT), max_jobs=2, max_parallel_jobs=2).fit(job_name="study")
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 0)] * 2
    assert all(job.spot_restarts > 0 for job in account.emulator.jobs.values())


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
    """What the service says of a job that is over."""
    assert outcome_of(told)[0] is outcome


def test_the_same_search_as_on_this_machine(account):
    """Same seed, same values: where a job runs changes nothing for the algorithm."""
    from sagemaker_account import RANGES

    from byohpo_core import Simulated, Simulation
    from byohpo_core.metrics import as_float32

    def here(hyperparameters):
        loss = (hyperparameters["x"] - 1) ** 2 + hyperparameters["n"]
        return Simulation({"loss": as_float32(loss)}, 60)

    settings = {"strategy": "pso", "max_jobs": 12, "max_parallel_jobs": 1, "strategy_options": {"population": 4}}
    there = account.tuner(**settings).fit(job_name="study")
    tuner = Tuner(
        Simulated(here), "loss", RANGES, METRICS, objective_type="Minimize", random_seed=1, progress=False, **settings
    )
    study = tuner.fit(job_name="here")
    assert [dict(t.proposal.hyperparameters) for t in there.trials] == [
        dict(t.proposal.hyperparameters) for t in study.trials
    ]
    assert [trial.value for trial in there.trials] == [trial.value for trial in study.trials]


def test_a_third_ctrl_c_waits_for_no_call(make_account):
    """Creations that wait for new credentials are given up."""
    account = make_account(clock=WallClock())
    create, launched = SageMakerBackend._create_one, threading.Event()

    def expired(backend, trial):
        account.emulator.faults.rates = {"expired": 1}
        launched.set()
        return create(backend, trial)

    def leave():
        launched.wait()
        for _ in range(3):
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(SageMakerBackend, "_create_one", expired)
        leaving = pool.submit(leave)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            account.tuner(max_jobs=3).fit(job_name="study")
        leaving.result()
    assert time.monotonic() - began < 20
    assert not account.emulator.jobs
