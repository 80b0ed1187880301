"""The policy in docs/sagemaker allows exactly what the driver of a study calls, and its page explains all of it."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import REQUEST

from byohpo_core import hookimpl

PAGES = Path(__file__).parents[3] / "docs" / "sagemaker"
POLICY = json.loads((PAGES / "iam-policy.json").read_text())
WITH_A_JOB = {"sagemaker:AddTags", "iam:PassRole"}
"""What CreateTrainingJob needs besides itself, where it has tags and a role (IAM's service authorization reference)."""
ACTIONS = {"s3:ListObjectsV2": "s3:ListBucket"}


class Leave(BaseException):
    """The driver is gone."""


class LeavesOnce:
    gone = False

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def stop(self, study):
        if not self.gone and study.finished_count >= 4:
            LeavesOnce.gone = True
            raise Leave


def getting_worse(request):
    getting_worse.jobs += 1
    return SimulatedJob(3600, [{"loss": getting_worse.jobs + 1 / (step + 1)} for step in range(10)])


getting_worse.jobs = 0


def test_a_whole_run_calls_what_the_policy_allows_and_nothing_else(make_account, tmp_path, monkeypatch):
    """One study with every kind of call uses all actions of the policy and no other."""
    monkeypatch.setattr(LeavesOnce, "gone", False)
    faults = Faults(rates={"search_lag": 0.3, "metric_missing": 0.3}, seconds={"search_lag": 400.0})
    account = make_account(job=getting_worse, faults=faults)
    setting_up = len(account.emulator.calls)
    faults.inject("timeout", "CreateTrainingJob", times=2)
    faults.inject("timeout", "PutObject", times=2)
    tuner = account.tuner(early_stopping_type="Auto", extensions=[LeavesOnce], max_jobs=12)
    with pytest.raises(Leave):
        tuner.fit(job_name="study")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    study = account.attach().resume()
    calls = [call for call in account.emulator.calls[setting_up:] if call.outcome != "reset"]
    called = {f"{call.service}:{call.operation}" for call in calls}
    called = {ACTIONS.get(action, action) for action in called}
    allowed = {
        action
        for statement in POLICY["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert called | WITH_A_JOB == allowed
    for call in calls:
        if "TrainingJobName" in call.parameters:
            assert fnmatch(call.parameters["TrainingJobName"], "study-*")
        if "Key" in call.parameters:
            assert call.parameters["Key"].startswith(f"out/byohpo/{study.id}/")
    assert REQUEST["OutputDataConfig"]["S3OutputPath"] == "s3://bucket/out"


def test_every_action_of_the_policy_is_explained_and_no_other():
    """The page has one row for each action of the policy, and no action has a wildcard."""
    allowed = []
    for statement in POLICY["Statement"]:
        action = statement["Action"]
        allowed += [action] if isinstance(action, str) else action
    explained = re.findall(r"^\| `(\S+:\S+)` \|", (PAGES / "iam.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(allowed)
    assert not any("*" in action for action in allowed)
