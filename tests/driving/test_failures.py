"""A failed trial is a result, a lost attempt is not."""

import logging

import pytest
from studies import tune

from byohpo_core import Simulated, Simulation, hookimpl


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (float("nan"), "loss is nan"),
        (float("inf"), "loss is inf"),
        ({"accuracy": 1.0}, "the job did not report 'loss'"),
        (None, "the function returned None for 'loss', not a number"),
        ("0.5", "the function returned '0.5' for 'loss', not a number"),
    ],
    ids=["nan", "inf", "missing", "none", "text"],
)
def test_an_objective_that_is_no_finite_number_fails_the_trial(answer, reason):
    """The reason says which metric, and what it was."""
    study = tune(lambda _: answer, max_jobs=1, max_parallel_jobs=1)
    (trial,) = study.trials
    assert (str(trial.status), trial.values, trial.losses, trial.reason) == ("Failed", None, None, reason)


def test_no_algorithm_computes_with_the_last_value_of_a_stopped_job_that_is_no_number():
    """A job that is stopped early and reported nan or infinity last has failed."""
    seen = []

    class Watching:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def observe(self, study, trials):
            seen.extend((str(trial.status), trial.losses, trial.reason) for trial in trials)

        @hookimpl
        def prune(self, study, trial):
            return "long enough" if study.reports(trial) else None

    values = iter([float("nan"), float("inf"), 1.0])
    estimator = Simulated(lambda _: Simulation([{"loss": next(values)}, {"loss": 0.0}], 1000))
    tune(estimator, max_jobs=3, max_parallel_jobs=1, extensions=[Watching])
    assert seen == [
        ("Failed", None, "loss is nan"),
        ("Failed", None, "loss is inf"),
        ("Pruned", (1.0,), "long enough"),
    ]


def test_a_missing_metric_is_warned_about_once(caplog):
    """The first job that does not report its objective says so at once."""
    tune(lambda _: {"accuracy": 1.0}, max_jobs=5, failure_limit=False)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].endswith("-0: the job did not report 'loss'")


def test_system_exit_in_the_function_is_a_failed_trial():
    """A function that exits fails its trial, not the study."""

    def leave(hyperparameters):
        raise SystemExit("enough")

    study = tune(leave, max_jobs=1, max_parallel_jobs=1)
    assert study.trials[0].reason == "SystemExit: enough"


def test_interrupted_attempts_are_tried_again_as_the_same_trial():
    """An infrastructure failure costs an attempt, not a job of the budget."""
    study = tune(Simulated(lambda h: Simulation({"loss": h["x"]}, 100, interruptions=2)), max_jobs=4)
    assert study.jobs == 4
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 2)] * 4
    assert all(trial.job_name == f"{study.id}-{trial.number}-2" for trial in study.trials)


def test_too_many_interruptions_fail_the_trial():
    """`max_attempts` is the limit."""
    study = tune(
        Simulated(lambda h: Simulation({"loss": 1.0}, 1, interruptions=9)),
        max_jobs=1,
        max_parallel_jobs=1,
        max_attempts=2,
    )
    (trial,) = study.trials
    assert (trial.attempt, str(trial.status)) == (1, "Failed")
    assert trial.reason == "2 attempts failed, the last: simulated interruption"


def test_a_reason_is_one_line():
    """Listings and messages have one line a study and a trial."""

    class Wordy:
        def __init__(self, problem):
            pass

        @hookimpl
        def stop(self, study):
            return "first line\n  second line" if study.trials else None

    def failing(hyperparameters):
        raise RuntimeError("bad\nnews")

    study = tune(failing, extensions=[Wordy], max_jobs=2, max_parallel_jobs=2)
    assert study.stop_reason == "first line second line"
    assert {trial.reason for trial in study.trials} == {"RuntimeError: bad news"}
