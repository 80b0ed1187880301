"""`max_cost`: what a job may cost is set aside before it is launched, and returned when it is billed."""

import re
from pathlib import Path

import attrs
import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import EVERYTHING, REQUEST
from sagemaker_inside import Prices

from byohpo_core import (
    ContinuousParameter,
    InvalidInput,
    TrialStatus,
    Tuner,
)

PRICES = {"ml.m5.large": 1.0}
RESERVED = (7200 + 300) / 3600


def spent(account):
    return sum(job.billable_seconds * job.instance_count / 3600 for job in account.emulator.jobs.values())


def test_what_failed_attempts_cost_is_in_the_results(make_account):
    """The billed seconds and the cost of all attempts are in the results."""
    account = make_account(faults=Faults(rates={"internal": 0.4}))
    job = account.training_job(prices={"ml.m5.large": 1.0})
    study = account.tuner(job, max_attempts=9).fit(job_name="study")
    assert any(trial.attempt for trial in study.trials)
    billed = sum(job.billable_seconds for job in account.emulator.jobs.values())
    assert sum(trial.billable_seconds for trial in study.trials) == pytest.approx(billed, abs=len(study.trials) * 3)
    assert sum(trial.cost for trial in study.trials) == pytest.approx(study.cost)


def test_money_is_set_aside_for_the_dearest_case():
    """A reservation uses the highest price, all instances, the longest run, the time to stop and the warm pool."""
    prices = Prices({"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0})
    assert prices.reservation(EVERYTHING, []) == pytest.approx(2 * 1.0 * (3600 + 300 + 600) / 3600)
    assert prices.reservation(EVERYTHING, ["ml.m5.large", "ml.m5.xlarge"]) == pytest.approx(2 * 2.0 * 4500 / 3600)
    groups = {
        "InstanceGroups": [
            {"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 2},
            {"InstanceGroupName": "b", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        ]
    }
    assert prices.highest({"ResourceConfig": groups}) == 4.0
    preferences = {"InstancePreferences": [{"InstanceType": "ml.m5.large"}, {"InstanceType": "ml.m5.xlarge"}]}
    assert prices.highest({"ResourceConfig": {**preferences, "InstanceCount": 3}}) == 6.0
    with pytest.raises(InvalidInput, match=r"price.*ml\.m5\.large"):
        Prices({}).highest(EVERYTHING)


def test_each_instance_preference_counts_its_own_instances():
    """Eight instances of a cheap type can cost more than one of an expensive type."""
    prices = Prices({"ml.m5.large": 1.0, "ml.m5.xlarge": 2.0})
    preferences = [
        {"InstanceType": "ml.m5.large", "InstanceCount": 8},
        {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    ]
    request = {**REQUEST, "ResourceConfig": {"InstancePreferences": preferences, "VolumeSizeInGB": 10}}
    assert prices.highest(request) == 8.0
    assert prices.reservation(request, []) == pytest.approx(8.0 * (7200 + 300) / 3600)


def test_a_study_ends_when_the_next_job_may_cost_too_much(account):
    """The study stays below max_cost and ends when less than one job's reservation is left."""
    tuner = account.tuner(account.training_job(prices=PRICES), max_jobs=50, max_cost=9.0)
    study = tuner.fit(job_name="study")
    assert study.stop_reason.startswith("budget: ")
    assert spent(account) <= 9.0 < spent(account) + RESERVED
    assert study.cost == pytest.approx(spent(account), abs=0.01)


def test_lost_attempts_cost_money_too(make_account):
    """Failed attempts count towards max_cost, and a retry is launched only if its reservation is left."""
    faults = Faults(rates={"internal": 0.6})
    account = make_account(faults=faults, job=lambda request: SimulatedJob(5000, {"loss": 1.0}))
    tuner = account.tuner(account.training_job(prices=PRICES), max_jobs=50, max_cost=9.0, max_attempts=9)
    study = tuner.fit(job_name="study")
    assert faults.hits["internal"] > 0
    assert spent(account) <= 9.0
    assert study.cost == pytest.approx(spent(account), abs=0.01)
    assert all(trial.finished for trial in study.trials)


def test_a_retry_that_cannot_be_paid_ends_the_study(make_account):
    """If the money is not enough for a retry, its trial is stopped and the study ends."""
    faults = Faults()
    account = make_account(faults=faults, job=lambda request: SimulatedJob(7000, {"loss": 1.0}))
    faults.inject("internal", times=1)
    job = account.training_job(prices=PRICES)
    study = account.tuner(job, max_jobs=1, max_parallel_jobs=1, max_cost=RESERVED + 0.01).fit(job_name="study")
    (trial,) = study.trials
    if study.cost > 0.01:
        assert study.stop_reason.startswith("budget: ")
        assert trial.status is TrialStatus.Stopped
    else:
        assert trial.status is TrialStatus.Completed


def test_fewer_slots_are_used_when_money_is_short(account):
    """If two reservations fit into max_cost, two jobs run at once."""
    tuner = account.tuner(account.training_job(prices=PRICES), max_jobs=6, max_cost=2.5 * RESERVED)
    tuner.fit(job_name="study")
    assert account.emulator.peak_instances == 2


@pytest.mark.parametrize(
    ("prices", "cost", "message"),
    [
        (PRICES, 2.0, r"max_cost.*2\.00.*2\.08"),
        ({}, 9.0, r"price.*ml\.m5\.large"),
        ({"ml.m5.xlarge": 1.0}, 9.0, r"price.*ml\.m5\.large"),
        (PRICES, 0, r"max_cost.*\b0\b"),
        (PRICES, "much", r"max_cost.*'much'"),
        (PRICES, float("nan"), r"max_cost.*\bnan\b"),
    ],
)
def test_money_that_cannot_be_counted_is_refused_at_the_start(account, prices, cost, message):
    """A max_cost that is too low or invalid, or an unknown price, is refused before any job."""
    with pytest.raises(InvalidInput, match=message):
        account.tuner(account.training_job(prices=prices), max_cost=cost).fit(job_name="study")
    assert not account.emulator.jobs


def test_a_price_must_be_a_number(account):
    """The error names the instance type and its price."""
    with pytest.raises(InvalidInput, match=r"price.*ml\.m5\.large.*-1"):
        account.training_job(prices={"ml.m5.large": -1})


def test_jobs_of_this_machine_have_no_price():
    """max_cost is refused for a function, whose evaluations cost nothing."""
    tuner = Tuner(lambda _: 1.0, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_cost=1.0)
    with pytest.raises(InvalidInput, match="max_cost"):
        tuner.fit(job_name="study")


def test_the_price_of_a_warm_pool_counts(account):
    """A warm pool counts as kept to its end, since nobody knows whether another job uses it."""
    request = {**REQUEST, "ResourceConfig": {**REQUEST["ResourceConfig"], "KeepAlivePeriodInSeconds": 3600}}
    tuner = account.tuner(account.training_job(request, prices=PRICES), max_jobs=1, max_parallel_jobs=1)
    study = tuner.fit(job_name="study")
    assert study.cost == pytest.approx(spent(account) + 1.0, abs=0.01)


def test_the_lines_of_the_page_run(account):
    """The page's code about money runs with a request as its estimator."""
    page = (Path(__file__).parents[3] / "docs" / "sagemaker" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Money.*?```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names = {"estimator": REQUEST}
    exec(block, names)
    job = attrs.evolve(names["job"], clock=account.clock)
    study = account.tuner(job, max_jobs=1, max_parallel_jobs=1, max_cost=25).fit(job_name="study")
    assert study.cost == pytest.approx(spent(account) * 0.115, abs=0.01)
