"""Every argument of the installed SDK's HyperparameterTuner has a meaning or a sentence."""

import inspect
import warnings
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from sagemaker_inside import kind_of

from byohpo_core import InvalidInput, Tuner
from byohpo_core.tuner import drop_in

VERSION = metadata.version("sagemaker").split(".")[0]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    if VERSION == "2":
        from sagemaker import Session
        from sagemaker.estimator import Estimator
        from sagemaker.parameter import ContinuousParameter
        from sagemaker.tuner import (
            HyperparameterTuner,
            TuningJobCompletionCriteriaConfig,
            WarmStartConfig,
            WarmStartTypes,
        )
    else:
        from sagemaker.core import shapes
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.parameter import ContinuousParameter
        from sagemaker.train import ModelTrainer
        from sagemaker.train.tuner import HyperparameterTuner

if VERSION == "2":
    pytestmark = pytest.mark.filterwarnings("ignore::sagemaker.deprecations.SageMakerV2DeprecationWarning")

PAGE = Path(__file__).parents[2] / "docs" / "sagemaker" / "drop-in.md"
ARGUMENTS = [name for name in inspect.signature(HyperparameterTuner).parameters if name != "self"]
OURS = [*inspect.signature(Tuner).parameters]
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/an-image:1"
ROLE = "arn:aws:iam::123456789012:role/a-role"
RANGES = {"rate": ContinuousParameter(0.001, 0.1)}
TAGS = [{"Key": "team", "Value": "blue"}]


def argument(name, value):
    return drop_in.sdk_argument(name, value, OURS)


def settings_of(tuner):
    return drop_in.tuner_settings(tuner, OURS)


@pytest.fixture
def job(service):
    """What this SDK tunes."""
    session = Session(boto_session=service.boto_session, default_bucket="a-bucket")
    if VERSION == "2":
        return Estimator(IMAGE, ROLE, 1, "ml.m5.large", sagemaker_session=session)
    return ModelTrainer(role=ROLE, training_image=IMAGE, sagemaker_session=session)


def criteria(trials=None, target=None, converged=None):
    if VERSION == "2":
        return TuningJobCompletionCriteriaConfig(trials, converged, target)
    given = {"target_objective_metric_value": target} if target is not None else {}
    if trials is not None:
        given["best_objective_not_improving"] = shapes.BestObjectiveNotImproving(
            max_number_of_training_jobs_not_improving=trials
        )
    if converged is not None:
        given["convergence_detected"] = shapes.ConvergenceDetected(
            complete_on_convergence="Enabled" if converged else "Disabled"
        )
    return shapes.TuningJobCompletionCriteria(**given)


def parents(*names):
    if VERSION == "2":
        return WarmStartConfig(WarmStartTypes.IDENTICAL_DATA_AND_ALGORITHM, set(names))
    jobs = [shapes.ParentHyperParameterTuningJob(hyper_parameter_tuning_job_name=name) for name in names]
    return shapes.HyperParameterTuningJobWarmStartConfig(
        parent_hyper_parameter_tuning_jobs=jobs, warm_start_type="IdenticalDataAndAlgorithm"
    )


GIVEN = {
    "model_trainer": "the trainer",
    "warm_start_config": parents("b", "a"),
    "completion_criteria_config": criteria(7, 0.0, converged=False),
}
MEANINGS = {
    "model_trainer": {"estimator": "the trainer"},
    "warm_start_config": {"warm_start_from": ["a", "b"]},
    "completion_criteria_config": {"extensions": [("no-improvement", {"trials": 7}), ("target-value", {"value": 0.0})]},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_known(name):
    """Each argument is one of `Tuner`'s, is translated, or is refused by its name."""
    if name in OURS:
        assert name not in MEANINGS
    elif name in MEANINGS:
        assert argument(name, GIVEN[name]) == MEANINGS[name]
    else:
        with pytest.raises(InvalidInput, match=rf"\b{name}\b"):
            argument(name, "something")


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in OURS])
@pytest.mark.parametrize("value", [None, False, []], ids=str)
def test_what_is_not_given_means_nothing(name, value):
    """The SDK's default of an argument sets nothing."""
    assert argument(name, value) == {}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_in_the_documentation(name):
    """The page has a row for each argument: the SDKs that have it, and whether it is refused."""
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{name}` |")]
    assert VERSION in row.split("|")[2]
    refused = name not in OURS and name not in MEANINGS
    assert row.split("|")[3].startswith(" an error: ") == refused


def test_the_first_arguments_are_in_the_same_order():
    """A call with positional arguments means the same for both tuners."""
    ours = list(inspect.signature(Tuner).parameters)[:11]
    assert ours == ["estimator", *ARGUMENTS[1:11]]


def test_completion_on_convergence_is_refused():
    """The error names the setting and the argument to use instead, since the rule is inside SageMaker's tuner."""
    with pytest.raises(InvalidInput, match=r"complete_on_convergence.*extensions="):
        argument("completion_criteria_config", criteria(converged=True))


def test_a_misspelt_argument_is_told():
    """The error suggests the argument with the nearest name."""
    with pytest.raises(InvalidInput, match=r"'max_job'.*'max_jobs'"):
        argument("max_job", 3)


def test_a_tuner_object_gives_its_settings(job):
    """All arguments of the SDK's tuner are taken over, except its strategy."""
    tuner = HyperparameterTuner(
        job,
        "loss",
        RANGES,
        [{"Name": "loss", "Regex": "loss=(.*);"}],
        objective_type="Minimize",
        max_jobs=9,
        max_parallel_jobs=3,
        max_runtime_in_seconds=3600,
        tags=TAGS,
        base_tuning_job_name="a-name",
        warm_start_config=parents("a"),
        completion_criteria_config=criteria(7),
        early_stopping_type="Auto",
        random_seed=0,
    )
    assert kind_of(tuner) == f"v{VERSION} tuner"
    settings = settings_of(tuner)
    assert settings == {
        "estimator": job,
        "objective_metric_name": "loss",
        "hyperparameter_ranges": RANGES,
        "metric_definitions": [{"Name": "loss", "Regex": "loss=(.*);"}],
        "objective_type": "Minimize",
        "max_jobs": 9,
        "max_parallel_jobs": 3,
        "max_runtime_in_seconds": 3600,
        "tags": TAGS,
        "base_tuning_job_name": "a-name",
        "warm_start_from": ["a"],
        "extensions": [("no-improvement", {"trials": 7})],
        "early_stopping_type": "Auto",
        "random_seed": 0,
    }
    assert set(settings) <= set(OURS)


def test_what_a_tuner_object_was_not_given_is_left_out(job):
    """Arguments that were not given are left to `Tuner`'s defaults; one named estimator counts as one estimator."""
    name = "estimator_name" if VERSION == "2" else "model_trainer_name"
    plain = settings_of(HyperparameterTuner(job, "loss", RANGES))
    assert plain == {
        "estimator": job,
        "objective_metric_name": "loss",
        "hyperparameter_ranges": RANGES,
        "objective_type": "Maximize",
        "max_jobs": 1,
        "max_parallel_jobs": 1,
        "early_stopping_type": "Off",
    }
    assert settings_of(HyperparameterTuner(job, "loss", RANGES, **{name: "the-one"})) == plain


def test_a_tuner_of_several_estimators_is_refused(job):
    """The error names the estimators, since a study tunes one."""
    both = dict.fromkeys(["a", "b"], job)
    tuner = HyperparameterTuner.create(
        both,
        dict.fromkeys(both, "loss"),
        dict.fromkeys(both, RANGES),
        {name: [{"Name": "loss", "Regex": "loss=(.*);"}] for name in both},
    )
    with pytest.raises(InvalidInput, match=r"\b2\b.*\ba, b\b"):
        settings_of(tuner)


@pytest.mark.parametrize(
    ("name", "value"),
    [("autotune", True), ("strategy_config", SimpleNamespace()), ("instance_configs", [1])],
    ids=["autotune", "strategy_config", "instance_configs"],
)
def test_a_setting_that_cannot_be_followed_is_refused(name, value, job):
    """A setting of the tuner's that byohpo does not support is named, not ignored."""
    tuner = HyperparameterTuner(job, "loss", RANGES)
    setattr(tuner, name, value)
    with pytest.raises(InvalidInput, match="override_resource_config" if name == "instance_configs" else name):
        settings_of(tuner)
