"""A study whose trials SageMaker would refuse does not begin."""

import pytest
from sagemaker_account import REQUEST

from byohpo_core import ByohpoError, CategoricalParameter, ContinuousParameter, InvalidInput, StaticParameter

WRONG = {
    "output missing": ({"OutputDataConfig": None}, {}, "OutputDataConfig"),
    "role missing": ({"RoleArn": None}, {}, "RoleArn"),
    "spot without max wait": ({"EnableManagedSpotTraining": True}, {}, "MaxWaitTimeInSeconds"),
    "metric definition missing": ({}, {"metric_definitions": None}, r"'loss'.*metric_definitions"),
    "other metric": ({}, {"metric_definitions": [{"Name": "los", "Regex": "(.*)"}]}, r"'loss'.*metric_definitions"),
    "regex too long": ({}, {"metric_definitions": [{"Name": "loss", "Regex": f"({'a' * 500})"}]}, r"'loss'.*\b\d{3}\b"),
    "regex without a group": ({}, {"metric_definitions": [{"Name": "loss", "Regex": "a"}]}, r"'loss'.*\bgroup"),
    "value too long": (
        {},
        {"ranges": {"x": CategoricalParameter(["a", "b" * 2501])}},
        r"'x'.*\b2500\b",
    ),
    "value too long as JSON": (
        {"HyperParameters": {"sagemaker_program": '"train.py"'}},
        {"ranges": {"x": CategoricalParameter(["é" * 900, "b"])}},
        r"'x'.*\b2500\b",
    ),
    "static value too long": (
        {},
        {"ranges": {"x": ContinuousParameter(0, 1), "y": StaticParameter("b" * 2501)}},
        r"'y'.*\b2500\b",
    ),
    "fixed value too long": ({"HyperParameters": {"a": "b" * 2501}}, {}, r"HyperParameters\['a'\].*\b2501\b"),
    r"\b101\b.*\b100\b": (
        {"HyperParameters": {f"p{number}": "1" for number in range(99)}},
        {},
        r"\b101\b.*\b100\b",
    ),
    "101 hyperparameters with ours": (
        {
            "HyperParameters": {f"p{number}": "1" for number in range(98)},
            "AlgorithmSpecification": {"TrainingImage": "683313688378.dkr.ecr/xgboost:1", "TrainingInputMode": "File"},
        },
        {},
        r"\b101\b.*\b100\b",
    ),
    "51 tags": ({}, {"tags": [{"Key": str(number), "Value": ""} for number in range(49)]}, "tags"),
    "a tag with a long name": ({}, {"tags": [{"Key": "k" * 129, "Value": "v"}]}, r"Tags\[0\].Key"),
    "no image": ({"AlgorithmSpecification": {"TrainingInputMode": "Fast"}}, {}, "TrainingInputMode"),
}


@pytest.mark.parametrize(("change", "settings", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_told_before_any_job(account, change, settings, message):
    """The tuner or `fit` names what is wrong, and no study or job exists."""
    request = {name: value for name, value in {**REQUEST, **change}.items() if value is not None}
    with pytest.raises(InvalidInput, match=message) as caught:
        account.tuner(account.training_job(request), **settings).fit(job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs
    with pytest.raises(ByohpoError, match="'study'"):
        account.attach()


def test_every_instance_type_is_looked_at_before_any_job(account):
    """A misspelt type is refused at once, although it would be used only after others have failed."""
    job = account.training_job(instance_types=["ml.m5.large", "ml.m5.lrage"])
    with pytest.raises(InvalidInput, match=r"ResourceConfig\.InstanceType.*'ml\.m5\.lrage'"):
        account.tuner(job).fit(job_name="study")
    assert not account.emulator.jobs
