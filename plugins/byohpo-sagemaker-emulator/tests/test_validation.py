"""Validation of requests against the model, and against the rules beyond it."""

import itertools

import pytest
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator import SimulatedJob
from byohpo_sagemaker_emulator.errors import ServiceError
from byohpo_sagemaker_emulator.validation import _compile, service_model, validate
from hypothesis import given, settings
from hypothesis import strategies as st

STRINGS = [
    "a",
    "ab",
    "1",
    "abcdefgh",
    "s3://bucket/key",
    "a" * 20,
    "arn:aws:iam::123456789012:role/training",
    "arn:aws:sagemaker:us-east-1:123456789012:training-job/a",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-ABCDEFGHIJKL",
    "arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/server",
    "arn:aws:sagemaker:us-east-1:123456789012:training-plan/plan",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/hub/Model/name/1.0.0",
    "arn:aws:sagemaker:us-east-1:123456789012:hub-content/hub/Model/name/1.0.0",
    "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/a",
    "arn:aws:sagemaker:us-east-1:123456789012:model-package/a/1",
    "arn:aws:lambda:us-east-1:123456789012:function:f",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/JsonDoc/name/1.0.0",
    "/opt/ml/checkpoints",
    "fs-0123456789abcdef0",
    "sg-0123456789abcdef0",
    "subnet-0123456789abcdef0",
    "us-east-1",
    "arn:aws:sagemaker:us-east-1:aws:hub-content/hub/DataSet/name/1.0.0",
    "1K",
]


def fits(shape, text):
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10**9)
    pattern = shape.metadata.get("pattern")
    return least <= len(text) <= most and (pattern is None or _compile(pattern).fullmatch(text))


def sample(shape):
    """A valid value of a shape."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member) for _ in range(shape.metadata.get("min", 0))]
    if shape.type_name == "map":
        return {}
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("integer", "long", "float", "double"):
        return shape.metadata.get("min", shape.metadata.get("max", 1))
    if enum := shape.metadata.get("enum"):
        return enum[0]
    return next(text for text in STRINGS if fits(shape, text))


def places(shape, wrap, seen):
    """Every shape within a shape, once, with a function that puts a value of it into a request."""
    if shape.name in seen:
        return
    seen.add(shape.name)
    yield shape, wrap
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from places(member, lambda value, n=name: wrap({**sample(shape), n: value}), seen)
    elif shape.type_name == "list":
        rest = max(0, shape.metadata.get("min", 0) - 1)
        yield from places(shape.member, lambda value: wrap([value] + [sample(shape.member)] * rest), seen)
    elif shape.type_name == "map":
        yield from places(shape.key, lambda value: wrap({value: sample(shape.value)}), seen)
        yield from places(shape.value, lambda value: wrap({sample(shape.key): value}), seen)


def broken(shape):
    """Values that each break one constraint of a shape, and a part of the expected message."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "structure":
        for name in shape.required_members:
            whole = sample(shape)
            del whole[name]
            yield whole, "Member must not be null"
    elif shape.type_name == "string":
        if least:
            yield "", f"length greater than or equal to {least}"
        if most is not None and most < 100_000:
            yield "a" * (most + 1), f"length less than or equal to {most}"
        if shape.metadata.get("enum"):
            yield "no such value", "enum value set"
        pattern = shape.metadata.get("pattern")
        if pattern and not _compile(pattern).fullmatch("\n"):
            yield "\n" * max(1, least or 0), "regular expression pattern"
    elif shape.type_name in ("integer", "long"):
        if least is not None:
            yield least - 1, f"value greater than or equal to {least}"
        if most is not None:
            yield most + 1, f"value less than or equal to {most}"
    elif shape.type_name == "list":
        if least:
            yield [sample(shape.member)] * (least - 1), f"length greater than or equal to {least}"
        if most is not None:
            yield [sample(shape.member)] * (most + 1), f"length less than or equal to {most}"
    elif shape.type_name == "map" and most is not None:
        keys = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=3)]
        yield dict.fromkeys(keys[: most + 1], sample(shape.value)), f"length less than or equal to {most}"


def shapes_of(operation):
    return places(service_model().operation_model(operation).input_shape, lambda value: value, set())


OPERATIONS = ["CreateTrainingJob", "Search", "ListTrainingJobs", "StopTrainingJob", "AddTags"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_constraint_of_the_model_is_checked(operation):
    """At each place in a request, a valid value is accepted and an invalid one is refused with its constraint."""
    count = 0
    for shape, wrap in shapes_of(operation):
        validate(operation, wrap(sample(shape)))
        for value, told in broken(shape):
            with pytest.raises(ServiceError) as caught:
                validate(operation, wrap(value))
            assert caught.value.code == "ValidationException"
            assert told in caught.value.message, (shape.name, value)
            count += 1
    assert count > {"CreateTrainingJob": 150}.get(operation, 1)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_type_of_the_model_is_checked(operation):
    """A value of a wrong type gives a SerializationException."""
    wrong = {"structure": [], "list": {}, "map": "text", "string": 1, "boolean": "true", "integer": "1", "long": 1.5}
    for shape, wrap in shapes_of(operation):
        if shape.type_name in wrong:
            with pytest.raises(ServiceError) as caught:
                validate(operation, wrap(wrong[shape.type_name]))
            assert caught.value.code == "SerializationException", shape.name
            with pytest.raises(ServiceError):
                validate(operation, wrap(True if shape.type_name in ("integer", "long") else wrong[shape.type_name]))


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_valid_request_is_accepted(data):
    """A request with any set of optional members is accepted."""
    operation = service_model().operation_model("CreateTrainingJob")
    optional = data.draw(st.sets(st.sampled_from(sorted(operation.input_shape.members))))
    validate(
        "CreateTrainingJob",
        {
            name: sample(member)
            for name, member in operation.input_shape.members.items()
            if name in operation.input_shape.required_members or name in optional
        },
    )


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_tags_may_be_in_any_language(text):
    """Tags may contain the letters and digits of every script, and a few other characters."""
    tags = {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/a"}
    validate("AddTags", tags | {"Tags": [{"Key": text, "Value": f"{text} _.:/=+-@"}]})
    with pytest.raises(ServiceError, match="pattern"):
        validate("AddTags", tags | {"Tags": [{"Key": text, "Value": f"{text};"}]})


def test_all_that_is_wrong_is_told_at_once():
    """One message lists every broken constraint with its place, in the wording of the service."""
    with pytest.raises(ServiceError) as caught:
        validate(
            "CreateTrainingJob",
            {
                "TrainingJobName": "no_underscores",
                "RoleArn": "arn:aws:iam::123456789012:role/training",
                "OutputDataConfig": {},
            },
        )
    assert caught.value.message == (
        "2 validation errors detected: Value 'no_underscores' at 'trainingJobName' failed to satisfy constraint: Member"
        " must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}; Value null at"
        " 'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null"
    )


SPOT = {"EnableManagedSpotTraining": True}
STOPPING = {"MaxRuntimeInSeconds": 100}
PREFERENCES = {"InstancePreferences": [{"InstanceType": "ml.m5.large", "InstanceCount": 1}], "VolumeSizeInGB": 1}
MEANINGLESS = {
    "no wait for spot": (SPOT, "MaxWaitTimeInSeconds is required"),
    "too short a wait": (
        SPOT | {"StoppingCondition": STOPPING | {"MaxWaitTimeInSeconds": 99}},
        "greater than or equal to",
    ),
    "a wait without spot": ({"StoppingCondition": STOPPING | {"MaxWaitTimeInSeconds": 100}}, "not supported when"),
    "preferences with spot": (
        SPOT | {"StoppingCondition": STOPPING | {"MaxWaitTimeInSeconds": 100}, "ResourceConfig": PREFERENCES},
        "InstancePreferences is not supported",
    ),
    "two kinds of instances": ({"ResourceConfig": PREFERENCES | {"InstanceType": "ml.m5.large"}}, "only one of"),
    "no such bucket": ({"OutputDataConfig": {"S3OutputPath": "s3://nowhere/results"}}, "bucket does not exist"),
    "no image": ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "exactly one of"),
    "a bad regex": (
        {
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=("}],
            }
        },
        "is invalid",
    ),
}


@pytest.mark.parametrize(("change", "told"), MEANINGLESS.values(), ids=MEANINGLESS.keys())
def test_rules_beyond_the_model_are_checked(virtual, change, told):
    """A request that breaks such a rule is refused and creates no job."""
    desk = virtual()
    with pytest.raises(ClientError, match=told) as caught:
        desk.create("job", **change)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert not desk.emulator.jobs


def test_a_channel_without_data_is_refused(virtual):
    """A channel without objects is refused; with an object it is accepted."""
    desk = virtual()
    with pytest.raises(ClientError, match='No S3 objects found under S3 URL "s3://bucket/data"'):
        desk.create("job", channels={"train": "s3://bucket/data"})
    desk.s3.put_object(Bucket="bucket", Key="data/a.csv", Body=b"1")
    desk.create("job", channels={"train": "s3://bucket/data"})


def test_what_the_rules_allow_is_accepted(virtual):
    """InstancePreferences without spot, and spot with MaxWaitTimeInSeconds, are accepted."""
    desk = virtual(lambda _: SimulatedJob(seconds=1))
    desk.create("preferences", ResourceConfig=PREFERENCES)
    desk.create("spot", **SPOT, StoppingCondition=STOPPING | {"MaxWaitTimeInSeconds": 100})
    assert desk.emulator.jobs["preferences"].instance_count == 1
