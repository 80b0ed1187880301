"""From a job's end to its trial's, as a table: what happened before, how the job ended, and what is journaled."""

from math import inf, nan

import pytest
from inside import policy, verdicts
from studies import story

from byohpo_core.backendspecs import Ended, Outcome

RUNS = "ask .1; run 0"
REPORTED = f"{RUNS}; report 0 3 2"
LOST = f"{RUNS}; retry 0; run 0"


def ended(outcome, loss=None, reason=None, **more):
    metrics = {} if loss is None else {"loss": loss}
    return Ended("s-0-0", Outcome(outcome), metrics, reason, **more)


VERDICTS = {
    "completed": (RUNS, ended("Completed", 0.5), "Completed", None),
    "completed without its metric": (RUNS, ended("Completed"), "Failed", "the job did not report 'loss'"),
    "the backend says where to look": (
        RUNS,
        ended("Completed", reason="its log is empty"),
        "Failed",
        "the job did not report 'loss'; its log is empty",
    ),
    "completed with nan": (RUNS, ended("Completed", nan), "Failed", "loss is nan"),
    "completed with infinity": (RUNS, ended("Completed", inf), "Failed", "loss is inf"),
    "completed although it was to stop": (f"{RUNS}; halt", ended("Completed", 0.5), "Completed", None),
    "completed although it was pruned": (f"{RUNS}; prune 0", ended("Completed", 0.5), "Completed", None),
    "failed": (RUNS, ended("Failed", reason="exit code 1"), "Failed", "exit code 1"),
    "failed, nobody knows why": (RUNS, ended("Failed"), "Failed", "the job failed"),
    "failed in several lines": (RUNS, ended("Failed", reason="bad\nnews"), "Failed", "bad news"),
    "failed when it was to stop": (f"{RUNS}; halt", ended("Failed", reason="exit code 1"), "Failed", "exit code 1"),
    "stopped by the user": (f"{RUNS}; halt", ended("Stopped", reason="stopped"), "Stopped", "stopped"),
    "stopped by itself": (RUNS, ended("Stopped"), "Stopped", "stopped"),
    "pruned": (f"{REPORTED}; prune 0", ended("Stopped", reason="stopped"), "Pruned", "too slow"),
    "pruned without a report": (f"{RUNS}; prune 0", ended("Stopped"), "Pruned", "too slow"),
    "pruned, its last value is nan": (
        f"{RUNS}; report 0 2 nan; prune 0",
        ended("Stopped"),
        "Failed",
        "loss is nan",
    ),
    "pruned, its final value is nan": (f"{REPORTED}; prune 0", ended("Stopped", nan), "Failed", "loss is nan"),
    "interrupted": (RUNS, ended("Interrupted", reason="spot"), "retried", "spot"),
    "interrupted in several lines": (RUNS, ended("Interrupted", reason="no\nroom"), "retried", "no room"),
    "lost, nobody knows why": (RUNS, ended("Lost"), "retried", "the job was lost"),
    "interrupted once too often": (
        LOST,
        ended("Interrupted", reason="spot"),
        "Failed",
        "2 attempts failed, the last: spot",
    ),
    "lost, which no limit counts": (f"{LOST}; retry 0; run 0", ended("Lost"), "retried", "the job was lost"),
    "interrupted after it was lost": (
        f"{RUNS}; again 0; run 0",
        ended("Interrupted", reason="spot"),
        "retried",
        "spot",
    ),
    "lost when it was to stop": (f"{RUNS}; halt", ended("Lost"), "Stopped", "stopped"),
    "interrupted when it was to stop": (f"{RUNS}; halt", ended("Interrupted", reason="spot"), "Stopped", "spot"),
    "interrupted when it was pruned": (f"{RUNS}; prune 0", ended("Interrupted", reason="spot"), "Pruned", "too slow"),
}


@pytest.mark.parametrize(("text", "end", "status", "reason"), VERDICTS.values(), ids=VERDICTS)
def test_what_becomes_of_a_trial_whose_job_has_ended(text, end, status, reason):
    """A trial has two attempts."""
    study = story(text)
    kind, body = verdicts.verdict(study, study.trials[0], end, policy.Policy(max_attempts=2))
    assert (body.get("status", kind), body.get("reason")) == (status, reason)
    assert body["trial"] == 0


@pytest.mark.parametrize(("outcome", "counted"), [("Interrupted", True), ("Lost", False)])
def test_only_what_the_infrastructure_did_counts_towards_the_attempts(outcome, counted):
    """A job that died with its driver does not."""
    study = story(RUNS)
    _, body = verdicts.verdict(study, study.trials[0], ended(outcome, details={"cost": 2.0}), policy.Policy())
    assert body["counted"] is counted
    assert body["details"] == {"cost": 2.0}


@pytest.mark.parametrize(
    ("text", "end", "metrics"),
    [
        (RUNS, ended("Completed", 0.5), {"loss": 0.5}),
        (RUNS, ended("Failed", 0.5), {"loss": 0.5}),
        (f"{REPORTED}; prune 0", ended("Stopped"), {"loss": 2.0}),
        (f"{REPORTED}; prune 0", ended("Stopped", 1.0), {"loss": 1.0}),
        (REPORTED, ended("Failed"), None),
    ],
    ids=["completed", "failed", "pruned: the last report", "pruned: its final value", "failed: no report counts"],
)
def test_metrics_are_the_final_ones_or_for_a_stopped_job_the_last(text, end, metrics):
    """The job's own final values go before what it reported."""
    study = story(text)
    body = verdicts.verdict(study, study.trials[0], end, policy.Policy())[1]
    assert body.get("metrics") == metrics


def test_times_and_details_are_the_backends():
    """They are kept as they are told."""
    study = story(RUNS)
    end = ended("Completed", 0.5, started=3.0, ended=7.0, details={"log": "log.txt"})
    body = verdicts.verdict(study, study.trials[0], end, policy.Policy())[1]
    assert (body["started"], body["ended"], body["details"]) == (3.0, 7.0, {"log": "log.txt"})


@pytest.mark.parametrize(
    ("end", "missing"),
    [(ended("Completed"), ["loss"]), (ended("Completed", 1.0), []), (ended("Failed"), [])],
    ids=["missing", "there", "a failed job"],
)
def test_only_a_job_that_ended_well_lacks_an_objective(end, missing):
    """Others are not expected to report one."""
    assert verdicts.missing_metrics(story(RUNS).problem, end) == missing
