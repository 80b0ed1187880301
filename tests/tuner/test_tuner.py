"""A study from the user's line of code to the result."""

import pytest
from studies import attach, objective, tune, tuned

from byohpo_core import ContinuousParameter, InvalidInput, StaticParameter, Tuner, UnknownStudy


def test_the_lines_of_the_readme_run():
    """A function, an algorithm's name, and the result: 60 jobs, no more."""
    tuner = tuned(strategy="pso", max_jobs=60, max_parallel_jobs=6, strategy_options={"population": 12}, job_name="toy")
    study = tuner.study
    assert study.best.value == objective(study.best.hyperparameters)["loss"] < 0.01
    assert study.stop_reason == "max_jobs (60) reached"
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    assert sum(trial.status != "Reused" for trial in study.trials) == 60
    assert len(tuner.analytics().dataframe()) == len(study.trials)
    again = attach("toy", objective).resume()
    assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]


def test_static_hyperparameters_reach_the_jobs():
    """A static parameter is no dimension of the search, and every job has it."""
    seen = []
    ranges = {"x": ContinuousParameter(0, 1), "batch": StaticParameter(100)}
    study = tune(lambda hyperparameters: seen.append(hyperparameters) or 0.0, ranges, max_jobs=3)
    assert all(hyperparameters["batch"] == 100 for hyperparameters in seen)
    assert all(set(trial.proposal.hyperparameters) == {"x"} for trial in study.trials)
    assert all(trial.hyperparameters["batch"] == 100 for trial in study.trials)


def test_maximising_and_minimising_turn_the_sign_of_the_loss_only():
    """`value` is what the job reported; `losses` are smaller for the better."""
    study = tune(objective, objective_type="Maximize")
    assert study.best.value == max(trial.value for trial in study.trials)
    assert all(trial.losses == (-trial.value,) for trial in study.trials)


def test_a_study_needs_no_file():
    """`:memory:` keeps the journal in this process alone."""
    study = tune(journal=":memory:")
    assert study.jobs == 12
    with pytest.raises(UnknownStudy):
        Tuner.attach("s", journal=":memory:")


def test_fit_takes_what_programs_say_to_sagemakers_own_tuner():
    """The third argument is not `wait`."""
    tuner = Tuner(lambda h: h["x"], "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", progress=False)
    with pytest.raises(InvalidInput, match=r"include_cls_metadata.*SageMaker"):
        tuner.fit(None, "one", include_cls_metadata=True)
    assert tuner.fit(None, "two", False).jobs == 1


def test_an_argument_that_is_none_counts_as_not_given():
    """So programs say to SageMaker's own tuner."""
    study = tune(max_jobs=None, max_parallel_jobs=None, early_stopping_type=None, objective_type=None)
    assert (study.jobs, study.problem.objectives[0].direction) == (1, "Maximize")
