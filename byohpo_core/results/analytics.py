"""Results in SageMaker's words: the data frame of its analytics, and its description of a tuning job."""

from typing import TYPE_CHECKING

from byohpo_core.errors import MissingExtra
from byohpo_core.results.table import _TIMES, rows
from byohpo_core.study.study import Study

if TYPE_CHECKING:
    import pandas as pd


class Analytics:
    """The results of a study, as SageMaker's `HyperparameterTuningJobAnalytics` gives them."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def dataframe(self) -> "pd.DataFrame":
        """One row a trial, the best first. Raises `MissingExtra` without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtra("a data frame needs pandas: pip install 'byohpo-core[pandas]'") from error
        frame = pd.DataFrame([dict(row) for row in rows(self._study)])
        for column in _TIMES:
            if column in frame:
                frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        return frame
