"""Simulated jobs run on a virtual clock."""

from studies import simulated, tune

from byohpo_core import Simulated


def test_ten_thousand_simulated_hours_take_seconds():
    """The virtual clock jumps from event to event."""
    study = tune(Simulated(simulated), max_jobs=1000, max_parallel_jobs=10)
    assert sum(trial.seconds for trial in study.trials) / 3600 > 3000
    assert study.now / 3600 > 300
