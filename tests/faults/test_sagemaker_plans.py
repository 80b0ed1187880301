"""Studies on an emulated account where much goes wrong: by seeded plans, and against a budget."""

import json
import os
import random
import traceback
from collections import Counter
from contextlib import contextmanager
from functools import cache, partial

import pytest
from byohpo_sagemaker_emulator import Emulator, Faults, SimulatedJob, VirtualClock
from sagemaker_account import METRICS, RANGES, REQUEST
from sagemaker_inside import Prices

from byohpo_core import ContinuousParameter, InvalidInput, TrainingJob, Tuner

SPOT = {
    **REQUEST,
    "EnableManagedSpotTraining": True,
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
}
TYPES = ("ml.m5.large", "ml.m5.xlarge", "ml.c5.xlarge")
JOBS = 6
STRATEGIES = {"random": None, "sobol": None, "pso": {"population": 3, "mode": "generational"}}


def training(request):
    """A job of some minutes with a curve."""
    x, n = (json.loads(request["HyperParameters"][name]) for name in ("x", "n"))
    loss = (x - 1) ** 2 + n
    return SimulatedJob(120 + 30 * n + 10 * abs(x), [{"loss": loss + 2}, {"loss": loss + 1}, {"loss": loss}])


@contextmanager
def account(job, faults=None, **settings):
    """An emulator with a bucket, which is made before anything goes wrong."""
    with Emulator(clock=VirtualClock(), job=job, **settings) as emulator:
        os.environ.update(emulator.environment)
        emulator.client("s3").create_bucket(Bucket="bucket")
        if faults is not None:
            emulator.faults = emulator._book.faults = faults
        yield emulator


def make_tuner(emulator, strategy, seed, *, types=(), early_stopping="Off"):
    return Tuner(
        TrainingJob(SPOT, clock=emulator.clock, instance_types=types, poll_seconds=20),
        "loss",
        RANGES,
        METRICS,
        strategy,
        "Minimize",
        JOBS,
        3,
        early_stopping_type=early_stopping,
        random_seed=seed,
        strategy_options=STRATEGIES[strategy],
        journal=":memory:",
        progress=False,
    )


@cache
def undisturbed(strategy, seed):
    """What comes out where nothing goes wrong."""
    with account(training) as emulator:
        study = make_tuner(emulator, strategy, seed).fit(job_name="study")
    assert study.stop_reason == f"max_jobs ({JOBS}) reached"
    assert {str(trial.status) for trial in study.trials} <= {"Completed", "Reused"}
    return [(dict(trial.hyperparameters), trial.values) for trial in study.trials]


def plan(check_jobs, seed):
    """Counts of one study under its plan of faults, or what was wrong with it."""
    try:
        return disturbed(check_jobs, seed)
    except Exception:  # noqa: BLE001 - told with the seed
        return f"plan {seed}: {traceback.format_exc()}"


def disturbed(check_jobs, seed):
    draw = random.Random(seed)
    faults = Faults.draw(seed)
    assert len(faults.rates) >= 3
    pruning = draw.random() < 0.25
    # What a swarm proposes depends on results, so on those that are lost to it.
    strategy = draw.choice(["random", "sobol"] if pruning or "nan" in faults.rates else ["random", "sobol", "pso"])
    types = draw.choice([(), TYPES[:2], TYPES])
    quota = draw.choice([None, None, 2])
    expected = undisturbed(strategy, seed % 5)
    with account(training, faults, quota=quota) as emulator:
        tuner = make_tuner(emulator, strategy, seed % 5, types=types, early_stopping="Auto" if pruning else "Off")
        study, tries = begin(tuner, emulator)
        faults.rates = {}
        check_jobs(events(tuner), emulator.jobs)
        check_mirror(tuner, emulator)
    statuses = Counter(str(trial.status) for trial in study.trials)
    assert statuses["Failed"] <= faults.hits["nan"]
    gave_up = study.stop_reason.startswith("the first 3 trials all failed, the last with: loss is nan")
    if gave_up:
        assert statuses["Failed"] >= 3
    else:
        assert study.stop_reason == f"max_jobs ({JOBS}) reached"
        assert len(study.trials) == len(expected)
    for trial, (hyperparameters, values) in zip(study.trials, expected, strict=not gave_up):
        assert trial.hyperparameters == hyperparameters
        if trial.status in ("Completed", "Reused"):
            assert trial.values == values
        elif trial.status == "Failed":
            assert trial.reason == "loss is nan"
        elif trial.status == "Stopped":
            assert gave_up
        else:
            assert pruning
            assert trial.status == "Pruned"
            assert "median" in trial.reason
    return {
        "fault plans whose study ended as without faults, or for the reason they give": 1,
        "fault plans that began only when tried again, as their credentials had expired": int(tries > 0),
        "fault plans whose first three trials came to nothing, which ended them": int(gave_up),
        "fault plans with early stopping": int(pruning),
        "fault plans with a list of instance types": int(bool(types)),
        "fault plans with a quota of two instances": int(quota is not None),
        "training jobs under fault plans": len(emulator._book.jobs),
        **{f"trials {status} under fault plans": count for status, count in statuses.items()},
        **{f"faults: {kind}": count for kind, count in faults.hits.items()},
    }


def begin(tuner, emulator):
    """Run the study to its end; credentials that do not work at the beginning are told, and its name is left free."""
    tries = 0
    while True:
        try:
            return tuner.fit(job_name="study"), tries
        except InvalidInput as error:
            assert "credentials" in str(error)  # noqa: PT017 - only at the beginning
            assert not emulator.jobs
            tries += 1
            emulator.clock.sleep(emulator.faults.seconds["expired"])


def check_mirror(tuner, emulator):
    """S3 holds what the journal holds."""
    commits = dict(emulator._training_jobs._storage.read(f"s3://bucket/out/byohpo/{tuner.study.id}/events/"))
    copied = [row for name in sorted(commits) for row in json.loads(commits[name])["events"]]
    written = [[it.sequence, it.kind.value, it.version, it.time, it.body] for it in events(tuner)]
    assert json.dumps(copied) == json.dumps(written)  # as texts, as nan equals nothing


def events(tuner):
    return [*tuner._news.log.read()]


def told_all(wrong):
    """What failed in a line each, and the first whole."""
    lines = [f"{text.partition(':')[0]}: {text.splitlines()[-1]}" for text in wrong]
    return "\n".join([f"{len(wrong)} failed", *lines, wrong[0]])


@pytest.mark.usefixtures("quick_clients")
def test_whatever_goes_wrong_on_the_account_a_study_ends_as_it_would_have(spread, check_jobs, long, counts):
    """Under three or more kinds of faults no job is created twice or left running, and no result is lost."""
    plans = 1000 if long else 16
    found = list(spread(partial(plan, check_jobs), range(plans)))
    wrong = [told for told in found if isinstance(told, str)]
    assert not wrong, told_all(wrong)
    for told in found:
        counts.update(told)
    if long:
        rare = {kind: counts[f"faults: {kind}"] for kind in Faults.KINDS if counts[f"faults: {kind}"] < 50}
        assert not rare


def timed(request):
    """A job that takes up to a quarter longer than it may."""
    share = json.loads(request["HyperParameters"]["share"])
    return SimulatedJob(share * request["StoppingCondition"]["MaxRuntimeInSeconds"], {"loss": share})


def budget(seed):
    """Counts of one study that has only so much to spend, or what was wrong with it."""
    try:
        return spend(seed)
    except Exception:  # noqa: BLE001 - told with the seed
        return f"study {seed}: {traceback.format_exc()}"


def spend(seed):
    draw = random.Random(seed)
    prices = {name: draw.uniform(0.05, 5) for name in TYPES}
    types = draw.choice([(), TYPES[1:], TYPES])
    spot = draw.random() < 0.5
    runtime, instances, kept = draw.randint(300, 7200), draw.choice([1, 1, 3]), draw.choice([0, 0, 900])
    resources = {**REQUEST["ResourceConfig"], "InstanceCount": instances}
    request = {
        **SPOT,
        "EnableManagedSpotTraining": spot,
        "StoppingCondition": {
            "MaxRuntimeInSeconds": runtime,
            **({"MaxWaitTimeInSeconds": 2 * runtime} if spot else {}),
        },
        "ResourceConfig": resources if spot or not kept else {**resources, "KeepAlivePeriodInSeconds": kept},
    }
    faults = Faults(seed, {"capacity": 0.1, "internal": 0.2, "spot": 0.3, "slow_start": 0.2, "metric_missing": 0.1})
    with account(timed, faults) as emulator:
        job = TrainingJob(request, instance_types=types, prices=prices, clock=emulator.clock, poll_seconds=runtime / 6)
        reservation = Prices(prices).reservation(request, types)
        max_cost = reservation * draw.uniform(1, 10)
        study = Tuner(
            job,
            "loss",
            {"share": ContinuousParameter(0.02, 1.25)},
            METRICS,
            "random",
            "Minimize",
            draw.randint(8, 25),
            draw.randint(1, 8),
            random_seed=seed,
            failure_limit=False,
            max_cost=max_cost,
            journal=":memory:",
            progress=False,
        ).fit(job_name="study")
        jobs = emulator.jobs.values()
    billed = sum(
        prices[job.request["ResourceConfig"]["InstanceType"]] * instances * job.billable_seconds / 3600 for job in jobs
    )
    assert billed <= max_cost
    assert billed <= study.cost + 1e-9
    assert spot or not kept or study.cost > billed
    assert study.cost <= max_cost
    short = study.stop_reason.startswith("budget")
    assert short or study.stop_reason == f"max_jobs ({study.problem.max_jobs}) reached"
    if short:
        assert max_cost - study.cost < reservation
    return {
        "studies with a budget, none of which spent more": 1,
        "of these, ended by the budget with less than one reservation left": int(short),
        "jobs billed against a budget": len(jobs),
        "attempts that the infrastructure failed, billed against a budget": sum(
            job.status == "Failed" and job.billable_seconds > 0 for job in jobs
        ),
        "jobs that ran as long as they may": sum(job.secondary_status == "MaxRuntimeExceeded" for job in jobs),
    }


@pytest.mark.usefixtures("quick_clients")
def test_no_study_spends_more_than_its_budget(spread, long, counts):
    """With random durations, prices, slots, retries and spot, the billed sum stays below `max_cost`."""
    studies = 1000 if long else 8
    found = list(spread(budget, range(studies)))
    wrong = [told for told in found if isinstance(told, str)]
    assert not wrong, told_all(wrong)
    for told in found:
        counts.update(told)
    ended = counts["of these, ended by the budget with less than one reservation left"]
    assert 0 < ended < studies
