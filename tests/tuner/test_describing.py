"""A study is described in SageMaker's words."""

import pytest
from studies import tuned

from byohpo_core import ContinuousParameter, Simulated, Simulation, Tuner, hookimpl


def test_the_settings_that_are_described_are_those_in_force():
    """What `fit` learns, such as the backend, is there too."""
    tuner = tuned()
    assert tuner.describe()["Manifest"]["backend"]["kind"] == "function"


@pytest.mark.parametrize("cut_short", [False, True], ids=["to its end", "stopped"])
def test_the_words_for_a_state_are_sagemakers(cut_short):
    """Completed is what has come to its end by itself, when nothing runs any more."""
    states = []

    class Watching:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            if cut_short and study.finished_count == 1:
                tuner.stop_tuning_job()
            states.append(tuner.describe()["HyperParameterTuningJobStatus"])

        @hookimpl
        def stop(self, study):
            return "enough" if study.finished_count and not cut_short else None

    tuner = Tuner(
        Simulated(lambda h: Simulation({"loss": 1.0}, 1000 * h["x"])),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=9,
        max_parallel_jobs=3,
        extensions=[Watching],
        progress=False,
    )
    tuner.fit()
    assert list(dict.fromkeys(states)) == ["InProgress", "Stopping", "Stopped" if cut_short else "Completed"]


def test_describe_tells_the_state_and_the_settings():
    """The words are those of SageMaker's DescribeHyperParameterTuningJob."""
    tuner = tuned()
    described = tuner.describe()
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"] == {"Completed": 12}
    assert described["BestTrainingJob"]["TrainingJobName"] == tuner.best_training_job() == tuner.study.best.job_name
