"""A study's results as a data frame."""

import pandas as pd
import pytest
from studies import tuned

from byohpo_core import (
    ContinuousParameter,
    IntegerParameter,
    MissingExtra,
    Simulated,
    Simulation,
    StaticParameter,
)


def test_a_data_frame_needs_pandas(monkeypatch):
    """Without the extra there is a sentence, not an ImportError of somebody else's."""
    tuner = tuned()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pandas"):
        tuner.analytics().dataframe()


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


def test_the_data_frame_has_times_and_numbers(tuner):
    """One row a trial."""
    frame = tuner.analytics().dataframe()
    assert len(frame) == 10
    assert isinstance(frame["TrainingStartTime"].dtype, pd.DatetimeTZDtype)
    assert frame["FinalObjectiveValue"].min() == tuner.study.best.value
