"""Results to make tables of."""

import pytest
from studies import tuned

from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation, StaticParameter


@pytest.fixture
def tuner():
    """Of ten trials, some of which fail."""

    def simulated(hyperparameters):
        x = hyperparameters["x"]
        return Simulation({"loss": x, "time": 1.0}, 60, "out of\nmemory" if x > 0.7 else None)

    ranges = {
        "x": ContinuousParameter(0, 1),
        "Trial": IntegerParameter(1, 9),
        "batch": StaticParameter(100),
    }
    return tuned(Simulated(simulated), ranges, max_jobs=10, max_parallel_jobs=2, random_seed=3, journal=":memory:")


@pytest.fixture
def study(tuner):
    """Its study."""
    return tuner.study
