"""A request that the service would refuse is refused before any job, in one line that names the field."""

import pytest
from sagemaker_account import EVERYTHING, REQUEST
from sagemaker_inside import check_request

from byohpo_core import (
    ByohpoError,
    InvalidInput,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RoleArn": None}, "RoleArn"),
        ({"RoleArn": "arn:aws:iam::12:role/training"}, r"RoleArn.*arn:aws:iam::12:role/training"),
        ({"OutputDataConfig": {}}, "S3OutputPath"),
        ({"OutputDataConfig": {"S3OutputPath": "bucket/out"}}, r"S3OutputPath.*'bucket/out'"),
        ({"HyperParameters": {"a": "b" * 2501}}, r"HyperParameters\['a'\].*\b2501\b.*\b2500\b"),
        ({"HyperParameters": {f"p{n}": "1" for n in range(101)}}, r"HyperParameters.*\b101\b.*\b100\b"),
        ({"Tags": [{"Key": "a", "Value": "?" * 2}]}, r"Tags\[0\].Value"),
        ({"Environment": {"1": "x"}}, r"Environment.*'1'"),
        (
            {"ResourceConfig": {"InstanceType": "ml.none.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            r"ResourceConfig\.InstanceType.*'ml\.none\.large'",
        ),
        ({"ResourceConfig": None}, "ResourceConfig"),
        ({"Unknown": 1}, r"\bUnknown\b"),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 60},
            },
            "MaxWaitTimeInSeconds",
        ),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change, message):
    """Required fields, types, lengths, patterns and enumerations are checked against the service's own description."""
    request = {"TrainingJobName": "job", **REQUEST, **change}
    request = {name: value for name, value in request.items() if value is not None}
    with pytest.raises(InvalidInput, match=message) as caught:
        check_request(request)
    assert "\n" not in str(caught.value)


def test_a_good_request_is_let_through():
    """A request with every field is accepted, with tags in other alphabets too."""
    check_request({"TrainingJobName": "job", **EVERYTHING, "Tags": [{"Key": "équipe", "Value": "видение 2"}]})


MALFORMED = {
    "hyperparameters are nothing": ({"HyperParameters": None}, r"HyperParameters.*None"),
    "hyperparameters are a text": ({"HyperParameters": "epochs=3"}, r"HyperParameters.*\bstr\b"),
    "a program is a number": ({"HyperParameters": {"sagemaker_program": 3}}, r"HyperParameters\.sagemaker_program"),
    "tags are nothing": ({"Tags": None}, r"Tags.*None"),
    "algorithm is nothing": ({"AlgorithmSpecification": None}, r"AlgorithmSpecification.*None"),
    "metric without a regex": (
        {"AlgorithmSpecification": {**REQUEST["AlgorithmSpecification"], "MetricDefinitions": [{"Name": "loss"}]}},
        r'AlgorithmSpecification\.MetricDefinitions.*"Regex"',
    ),
    "resources are nothing": ({"ResourceConfig": None}, r"ResourceConfig.*None"),
    "stopping is a number": ({"StoppingCondition": 60}, r"StoppingCondition.*\b60\b"),
    "channels are a text": ({"InputDataConfig": "s3://bucket/data"}, r"InputDataConfig.*'s3://bucket/data'"),
    "channel without a name": ({"InputDataConfig": [{"DataSource": {}}]}, "ChannelName"),
}


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_in_one_line(account, change, message):
    """A field of the wrong type is named with its value, and no study or job exists."""
    job = account.training_job({**REQUEST, **change}, instance_types=["ml.m5.large"])
    with pytest.raises(InvalidInput, match=message) as caught:
        account.tuner(job).fit({"training": "s3://bucket/data"}, job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs
    with pytest.raises(ByohpoError, match="'study'"):
        account.attach()
