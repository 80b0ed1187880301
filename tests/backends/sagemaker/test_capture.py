"""A CreateTrainingJob request as a dict: no SDK is needed for it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sagemaker_inside import capture, fixed_hyperparameters, kind_of

from byohpo_core import InvalidInput

CODE = {
    "ChannelName": "code",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://a-bucket/code"}},
}


def request(**more):
    return {
        "TrainingJobName": "a-name",
        "RoleArn": "arn:aws:iam::123456789012:role/a-role",
        "AlgorithmSpecification": {"TrainingImage": "an-image", "TrainingInputMode": "File"},
        "HyperParameters": {"epochs": "3", "name": "a b"},
        "InputDataConfig": [CODE],
        **more,
    }


def test_a_request_is_taken_as_it_is():
    """The request is copied without its job's name; changing the copy does not change the original."""
    given = request()
    captured = capture(given, None)
    assert captured.request == {name: value for name, value in given.items() if name != "TrainingJobName"}
    assert captured.encoding == "text"
    captured.request["HyperParameters"]["epochs"] = "4"
    assert given == request()
    assert kind_of(given) == "request"


@pytest.mark.parametrize(
    "inputs",
    [
        {"training": "s3://a-bucket/data"},
        "s3://a-bucket/data",
        {"training": SimpleNamespace(config={"DataSource": {"S3DataSource": {"S3Uri": "s3://a-bucket/data"}}})},
        {"training": {"DataSource": {"S3DataSource": {"S3Uri": "s3://a-bucket/data"}}}},
        [{"ChannelName": "training", "DataSource": {"S3DataSource": {"S3Uri": "s3://a-bucket/data"}}}],
    ],
    ids=["a dict", "a text", "a TrainingInput", "a channel", "a list"],
)
def test_inputs_are_put_on_top_of_the_channels(inputs):
    """Inputs of each form become a channel beside those of the request."""
    code, training = capture(request(), inputs).request["InputDataConfig"]
    assert code == CODE
    assert training["ChannelName"] == "training"
    assert training["DataSource"]["S3DataSource"]["S3Uri"] == "s3://a-bucket/data"


def test_an_input_replaces_the_channel_of_its_name():
    """An input takes the place of the request's channel with the same name."""
    (code,) = capture(request(), {"code": "s3://a-bucket/newer"}).request["InputDataConfig"]
    assert code["DataSource"]["S3DataSource"]["S3Uri"] == "s3://a-bucket/newer"


def test_a_local_folder_is_refused():
    """A local folder is refused as an input, since nothing would upload it."""
    with pytest.raises(InvalidInput, match=r"'train'.*'data'.*S3"):
        capture(request(), {"train": "data"})


def test_what_is_no_json_is_refused():
    """A request that cannot be written as JSON is refused, since the journal keeps it."""
    with pytest.raises(InvalidInput, match=r"JSON.*datetime"):
        capture(request(Tags=[{"Key": "made", "Value": datetime.now(UTC)}]), None)


def test_anything_else_is_refused():
    """The error names the three kinds of objects that can be given."""
    with pytest.raises(InvalidInput, match=r"\b3\b.*Estimator.*ModelTrainer.*CreateTrainingJob"):
        capture(3, None)
    assert kind_of(3) is None


def test_script_mode_is_seen_by_its_quotes():
    """Values that are JSON texts show that SDK 2 wrote the request; its own entries are not the user's."""
    script = {"sagemaker_program": '"train.py"', "epochs": "3", "name": '"a b"', "layers": "[1, 2]"}
    assert capture(request(HyperParameters=script), None).encoding == "json"
    assert fixed_hyperparameters(request(HyperParameters=script)) == {"epochs": 3, "name": "a b", "layers": "[1, 2]"}
    assert fixed_hyperparameters(request()) == {"epochs": "3", "name": "a b"}
    assert fixed_hyperparameters({"RoleArn": "a-role"}) == {}
