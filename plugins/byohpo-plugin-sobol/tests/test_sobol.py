"""Sobol search: the points of SciPy's scrambled sequence, in order."""

import pytest
from scipy.stats import qmc

from byohpo_core import ContinuousParameter, InvalidInput, Tuner


def tune(**settings):
    """A study in a square."""
    return Tuner(
        lambda h: h["x"],
        "loss",
        {"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1)},
        strategy="sobol",
        max_parallel_jobs=4,
        journal=":memory:",
        progress=False,
        **settings,
    ).fit()


def test_a_trial_has_the_point_of_its_number():
    """Beyond the first block too, and after configurations of the user's own."""
    study = tune(max_jobs=150, random_seed=7, initial_configurations=[{"x": 0.5, "y": 0.5}])
    points = qmc.Sobol(2, rng=7).random(256).tolist()
    made = [list(trial.hyperparameters.values()) for trial in study.trials]
    assert made[0] == [0.5, 0.5]
    assert made[1:] == points[1:150]


def test_a_seed_below_zero_is_refused():
    """SciPy takes none."""
    with pytest.raises(InvalidInput, match="-1"):
        tune(max_jobs=2, random_seed=-1)
