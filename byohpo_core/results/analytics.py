"""Results in SageMaker's words: the data frame of its analytics, and its description of a tuning job."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from byohpo_core.errors import MissingExtra
from byohpo_core.results.table import TIMES, rows
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
        for column in TIMES:
            if column in frame:
                frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        return frame


def describe(study: Study) -> dict[str, Any]:
    """A study's state in the words of DescribeHyperParameterTuningJob (Amazon SageMaker API reference)."""
    best = study.best
    return {
        "HyperParameterTuningJobName": study.name,
        "HyperParameterTuningJobStatus": _status(study),
        "StopReason": study.stop_reason,
        "TrainingJobStatusCounters": dict(Counter(str(trial.status) for trial in study.trials)),
        "BestTrainingJob": None
        if best is None
        else {
            "TrainingJobName": best.job_name,
            "TunedHyperParameters": dict(best.proposal.hyperparameters),
            "FinalHyperParameterTuningJobObjectiveMetric": {
                "MetricName": study.problem.objectives[0].metric,
                "Value": best.value,
            },
        },
    }


def _status(study: Study) -> str:
    """A study's status in SageMaker's words. After Ctrl-C it is Stopped until somebody resumes it."""
    if study.stop_reason is None and not study.left_by_user:
        return "InProgress"
    if study.running:
        return "Stopping"
    return "Stopped" if study.left_by_user else "Completed"
