"""A study's results as a data frame."""

import pandas as pd
import pytest
from studies import tuned

from byohpo_core import MissingExtra


def test_a_data_frame_needs_pandas(monkeypatch):
    """Without the extra there is a sentence, not an ImportError of somebody else's."""
    tuner = tuned()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pandas"):
        tuner.analytics().dataframe()


def test_the_data_frame_has_times_and_numbers(tuner):
    """One row a trial."""
    frame = tuner.analytics().dataframe()
    assert len(frame) == 10
    assert isinstance(frame["TrainingStartTime"].dtype, pd.DatetimeTZDtype)
    assert frame["FinalObjectiveValue"].min() == tuner.study.best.value
