"""Trials that are worse than others were at the same step are stopped early."""

from studies import tune

from byohpo_core import Simulated, Simulation


def test_running_trials_are_stopped_early_by_the_median_rule():
    """`early_stopping_type="Auto"` stops what is worse than the median at the same step."""

    def curve(hyperparameters):
        return Simulation([{"loss": hyperparameters["x"] + 10.0 / step} for step in range(1, 11)], 100)

    study = tune(Simulated(curve), max_jobs=30, early_stopping_type="Auto")
    pruned = [trial for trial in study.trials if trial.status == "Pruned"]
    assert 3 < len(pruned) < 27
    assert all("is worse than the median of" in trial.reason for trial in pruned)
    assert all(len(study.curve(trial.number)) < 10 and trial.value == study.curve(trial.number)[-1] for trial in pruned)
    completed = [trial for trial in study.trials if trial.status == "Completed"]
    assert all(len(study.curve(trial.number)) == 10 for trial in completed)
    assert study.best in completed
