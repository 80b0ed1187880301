"""Studies on an emulated account behind a network that answers in AWS's place."""

import traceback
from functools import partial

import pytest
from byohpo_sagemaker_emulator import Emulator, VirtualClock
from sagemaker_account import Account, hour, outcomes
from sagemaker_between import GARBAGE, Between
from sagemaker_inside import aws

STRATEGIES = {"random": None, "sobol": None, "pso": {"population": 3, "mode": "generational"}}
JOBS = 6


def study(check_jobs, seed):
    """Counts of one study among garbage, or what was wrong with it."""
    try:
        return garbled(check_jobs, seed)
    except Exception:  # noqa: BLE001 - told with the seed
        return f"study {seed}: {traceback.format_exc()}"


def garbled(check_jobs, seed):
    strategy = [*STRATEGIES][seed % len(STRATEGIES)]
    settings = {"strategy": strategy, "strategy_options": STRATEGIES[strategy], "random_seed": seed, "max_jobs": JOBS}
    with pytest.MonkeyPatch.context() as patch, Emulator(clock=VirtualClock(), job=hour) as emulator:
        patch.setattr(aws, "READ_SECONDS", 0.2)
        account = Account(emulator, patch)
        undisturbed = account.tuner(journal=":memory:", **settings).fit(job_name="quiet")
        quiet = set(emulator.jobs)
        between = Between(emulator.url, seed)
        with between.serving() as url:
            patch.setenv("AWS_ENDPOINT_URL", url)
            between.garble_often()
            tuner = account.tuner(journal=":memory:", **settings)
            found = tuner.fit(job_name="study")
        assert outcomes(found) == outcomes(undisturbed)
        created = {name: job for name, job in emulator.jobs.items() if name not in quiet}
        check_jobs([*tuner._news.log.read()], created)
        assert len(created) == len(quiet)
    return {
        "studies among garbage that ended as without it": 1,
        **{
            f"garbage: {kind}": sum(between.hits[it, kind] for it, its in between.hits if its == kind)
            for kind in GARBAGE
        },
        **{
            f"garbage to {name}": sum(between.hits[it] for it in between.hits if it[0] == name)
            for name, _ in between.hits
        },
    }


@pytest.mark.usefixtures("quick_clients")
def test_whatever_the_network_answers_a_study_ends_as_without_it(spread, check_jobs, long, counts):
    """With half of all calls answered by somebody else, each trial has its result and no job is created twice."""
    found = list(spread(partial(study, check_jobs), range(300 if long else 4)))
    wrong = [told for told in found if isinstance(told, str)]
    assert not wrong, "\n".join([f"{len(wrong)} failed", *(text.splitlines()[-1] for text in wrong), wrong[0]])
    for told in found:
        counts.update(told)
    if long:
        assert not {kind: counts[f"garbage: {kind}"] for kind in GARBAGE if counts[f"garbage: {kind}"] < 50}
