"""Each trial has one training job: it is created once, found again after a crash, and stopped."""

import logging
import os
import re
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from byohpo_sagemaker_emulator import Faults
from sagemaker_account import REQUEST
from sagemaker_inside import Aws, SageMakerBackend, WallClock

from byohpo_core import ByohpoError, TrialStatus, hookimpl
from byohpo_core.cli import main


def test_every_trial_is_a_training_job(account):
    """Eight trials are eight jobs, three at a time, each created by one call; the results have all their details."""
    tuner = account.tuner(account.training_job(prices={"ml.m5.large": 0.5}))
    study = tuner.fit(job_name="study")
    assert study.stop_reason == "max_jobs (8) reached"
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert account.emulator.peak_instances == 3
    counts = Counter(account.operations())
    # A machine that stalls may see the index later than a minute after a job's start, and describes the job then.
    assert counts.keys() - {"DescribeTrainingJob"} == {"CreateTrainingJob", "Search"}
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
    table = tuner.analytics().dataframe().to_dict("records")
    assert [row["FinalObjectiveValue"] for row in table] == sorted(trial.value for trial in study.trials)
    assert {"TrainingJobName", "BillableTimeInSeconds", "Cost", "ModelArtifacts"} <= table[0].keys()
    assert tuner.best_training_job() == table[0]["TrainingJobName"]
    with pytest.raises(ByohpoError, match=r"trial \d.*s3://bucket/out/"):
        tuner.best_estimator()


def test_a_resumed_study_finds_its_jobs_again(account, monkeypatch):
    """Jobs that ran when the driver died run on to their end, and no job is created twice."""
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
    """If the answer to CreateTrainingJob is lost, the job is found by its name and adopted."""
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
    """If the second try fails because the job itself has used up the quota, the job is watched, billed and stopped."""
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
    """Stopping a study does not create the jobs that it still intends."""
    refusing(account, monkeypatch, after=2)
    with pytest.raises(ByohpoError, match="sagemaker:CreateTrainingJob"):
        account.tuner(max_jobs=4).fit(job_name="study")
    assert sorted(job.status for job in account.emulator.jobs.values()) == ["InProgress"] * 2
    tries = account.operations().count("CreateTrainingJob")
    tuner = account.attach()
    assert tuner.stop_tuning_job() is True
    assert account.operations().count("CreateTrainingJob") == tries
    assert {job.status for job in account.emulator.jobs.values()} == {"Stopped"}
    assert [trial.reason for trial in tuner.study.trials].count("stopped before it had a place") == 1


def test_somebody_elses_job_of_that_name_is_not_taken(account, monkeypatch):
    """A job with our name and without our tags is not stopped, and the error asks for another job_name."""
    monkeypatch.setattr("byohpo_core.journal.studies.draw_id", lambda name: f"{name}-abcd")
    other = {**REQUEST, "TrainingJobName": "study-abcd-1-0", "HyperParameters": {"x": "7", "n": "1"}}
    account.emulator.client("sagemaker").create_training_job(**other)
    with pytest.raises(ByohpoError, match=r"study-abcd-1-0.*job_name"):
        account.tuner().fit(job_name="study")
    assert "StopTrainingJob" not in account.operations()


def test_a_study_can_be_stopped_with_its_jobs(account, capsys):
    """Without a driver, `stop_tuning_job` stops the jobs and ends the study; `byohpo stop` then has nothing to do."""
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
    assert "study" in capsys.readouterr().out
    assert study_id in tuner.study.id


def test_who_leaves_tells_what_still_runs(account, caplog):
    """A driver that leaves names the jobs that still run and the command that stops them."""
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardCrash):
        account.tuner(extensions=[Crash]).fit(job_name="study")
    (told,) = [record.getMessage() for record in caplog.records if "byohpo stop" in record.getMessage()]
    assert re.search(r"\b3\b", told)
    assert len(re.findall(r"study-\w{4}-\d-0", told)) == 3
    assert "`byohpo stop study --journal studies.db`" in told


def test_a_third_ctrl_c_waits_for_no_call(make_account, caplog):
    """CreateTrainingJob calls that wait for new credentials are given up at the third Ctrl-C."""
    account = make_account(clock=WallClock())
    create, launched = SageMakerBackend._create_one, threading.Event()

    def expired(backend, trial):
        account.emulator.faults.rates = {"expired": 1}
        launched.set()
        return create(backend, trial)

    def leave():
        launched.wait()
        for presses in (1, 2, 3):
            os.kill(os.getpid(), signal.SIGINT)
            while presses < 3 and sum(it.module == "interrupts" for it in caplog.records) < presses:
                time.sleep(0.05)  # two signals that a busy process has not looked at yet are one

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(SageMakerBackend, "_create_one", expired)
        leaving = pool.submit(leave)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            account.tuner(max_jobs=3).fit(job_name="study")
        leaving.result()
    assert time.monotonic() - began < 20
    assert not account.emulator.jobs
