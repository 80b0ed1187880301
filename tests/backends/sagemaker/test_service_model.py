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
        ({"RoleArn": "arn:aws:iam::12:role/training"}, "RoleArn is .* does not match"),
        ({"OutputDataConfig": {}}, "S3OutputPath"),
        ({"OutputDataConfig": {"S3OutputPath": "bucket/out"}}, "S3OutputPath is 'bucket/out'"),
        ({"HyperParameters": {"a": "b" * 2501}}, r"HyperParameters\['a'\] has 2501 characters; at most 2500"),
        ({"HyperParameters": {f"p{n}": "1" for n in range(101)}}, "HyperParameters has 101 entries; at most 100"),
        ({"Tags": [{"Key": "a", "Value": "?" * 2}]}, r"Tags\[0\].Value"),
        ({"Environment": {"1": "x"}}, "Environment: the name '1'"),
        (
            {"ResourceConfig": {"InstanceType": "ml.none.large", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "ResourceConfig.InstanceType is 'ml.none.large'",
        ),
        ({"ResourceConfig": None}, "ResourceConfig"),
        ({"Unknown": 1}, "Unknown parameter"),
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
    """In one line, by the service's own description: required, type, length, pattern, enumeration."""
    request = {"TrainingJobName": "job", **REQUEST, **change}
    request = {name: value for name, value in request.items() if value is not None}
    with pytest.raises(InvalidInput, match=message) as caught:
        check_request(request)
    assert "\n" not in str(caught.value)


def test_a_good_request_is_let_through():
    """Also tags in other alphabets."""
    check_request({"TrainingJobName": "job", **EVERYTHING, "Tags": [{"Key": "équipe", "Value": "видение 2"}]})


MALFORMED = {
    "hyperparameters are nothing": ({"HyperParameters": None}, "HyperParameters, value: None"),
    "hyperparameters are a text": ({"HyperParameters": "epochs=3"}, "HyperParameters is 'epochs=3', not a mapping"),
    "a program is a number": ({"HyperParameters": {"sagemaker_program": 3}}, "HyperParameters.sagemaker_program"),
    "tags are nothing": ({"Tags": None}, "Tags, value: None"),
    "algorithm is nothing": ({"AlgorithmSpecification": None}, "AlgorithmSpecification, value: None"),
    "metric without a regex": (
        {"AlgorithmSpecification": {**REQUEST["AlgorithmSpecification"], "MetricDefinitions": [{"Name": "loss"}]}},
        'Missing required parameter in AlgorithmSpecification.MetricDefinitions.*"Regex"',
    ),
    "resources are nothing": ({"ResourceConfig": None}, "ResourceConfig, value: None"),
    "stopping is a number": ({"StoppingCondition": 60}, "StoppingCondition, value: 60"),
    "channels are a text": ({"InputDataConfig": "s3://bucket/data"}, "InputDataConfig is 's3://bucket/data', not a"),
    "channel without a name": ({"InputDataConfig": [{"DataSource": {}}]}, "no channel with a ChannelName"),
}


@pytest.mark.parametrize(("change", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_in_one_line(account, change, message):
    """Whatever is in the place of what should be there."""
    job = account.training_job({**REQUEST, **change}, instance_types=["ml.m5.large"])
    with pytest.raises(InvalidInput, match=message) as caught:
        account.tuner(job).fit({"training": "s3://bucket/data"}, job_name="study")
    assert "\n" not in str(caught.value)
    assert not account.emulator.jobs
    with pytest.raises(ByohpoError, match="known: none"):
        account.attach()
