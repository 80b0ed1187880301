"""Jobs that exceed the account's quota wait for a place, and the study has fewer slots meanwhile."""

import re
import signal

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import REQUEST
from sagemaker_inside import SageMakerBackend, never_fits

from byohpo_core import ByohpoError, hookimpl


def test_the_quota_shrinks_the_slots_and_lets_them_grow_again(make_account, caplog):
    """With a small quota fewer jobs run at once, a warning says so, no trial fails, and a larger quota is used."""
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
    assert any(re.search(r"quota.*\b2\b.*\b3\b", message) for message in caplog.messages)
    assert 2 in most
    assert account.emulator.peak_instances == 5
    refused = [call for call in account.emulator.calls if call.outcome == "ResourceLimitExceeded"]
    assert 3 <= len(refused) < 60


def test_a_job_that_waits_for_a_place_does_not_start_after_the_study_s_end(make_account):
    """If the study ends while a job waits for a place, its trial is stopped and no job is created."""
    # So short that the first result is known, and ends the study, before a place is tried for again.
    account = make_account(quota=2, job=lambda request: SimulatedJob(300, {"loss": 1.0}))
    target = ("target-value", {"value": 1000.0})
    study = account.tuner(max_jobs=12, max_parallel_jobs=12, extensions=[target]).fit(job_name="study")
    assert len(account.emulator.jobs) == 2
    assert {str(trial.status) for trial in study.trials} == {"Completed", "Stopped"}
    assert study.stop_reason.startswith("target")


def test_a_job_that_waits_for_a_place_does_not_start_after_ctrl_c(make_account, monkeypatch):
    """After Ctrl-C a waiting job is created only when the study is resumed."""
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
    """A job of two instances under a quota of one is an error, since it would wait for ever."""
    account = make_account(quota=1)
    request = {**REQUEST, "ResourceConfig": {**REQUEST["ResourceConfig"], "InstanceCount": 2}}
    with pytest.raises(ByohpoError, match=r"\b1 Instances\b.*\b2 Instances\b"):
        account.tuner(account.training_job(request)).fit(job_name="study")
    assert not account.emulator.jobs


def test_a_quota_of_none_is_an_error(make_account):
    """With a quota of zero instances the study fails at once."""
    account = make_account(quota=0)
    with pytest.raises(ByohpoError, match=r"\b0 Instances\b"):
        account.tuner().fit(job_name="study")
    assert not account.emulator.jobs


def test_an_instance_type_of_which_the_account_may_run_none_is_left_out(make_account, caplog):
    """A type with a quota of zero is left out with a warning, and the other types are used."""
    faults = Faults()
    account = make_account(faults=faults, quota={"ml.m5.large": 10, "ml.c5.xlarge": 0})
    faults.inject("capacity", times=1)
    job = account.training_job(instance_types=["ml.m5.large", "ml.c5.xlarge"])
    study = account.tuner(job).fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert any("ml.c5.xlarge" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("limit", "needed", "never"),
    [
        ("0 Instances", "1 Instances", True),
        ("432000 Seconds", "604800 Seconds", True),
        ("2 Instances", "1 Instances", False),
    ],
)
def test_a_limit_of_whatever_unit_that_is_too_small_for_one_job_is_known(limit, needed, never):
    """A limit in instances or seconds that is smaller than one job needs is recognised."""
    message = f"The account-level service limit 'x' is {limit}, with current use of 0 and a request delta of {needed}."
    assert never_fits(message) is never
