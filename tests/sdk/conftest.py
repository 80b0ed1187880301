"""A SageMaker endpoint on loopback for the SDKs, which are installed in the nox sessions sdk2 and sdk3 only."""

import json
from importlib import metadata

import attrs
import boto3
import pytest


def _version():
    try:
        return metadata.version("sagemaker").split(".")[0]
    except metadata.PackageNotFoundError:
        return None


# Each SDK has an environment of its own; what belongs to the other is not collected, and nothing without an SDK.
collect_ignore_glob = [f"test_v{version}_*.py" for version in "23" if version != _version()]
if _version() is None:
    collect_ignore_glob = ["test_*.py"]


@attrs.define(eq=False)
class Service:
    """Takes uploads and training jobs. `sent` has each CreateTrainingJob request as it was on the wire."""

    boto_session: boto3.Session
    sent: list = attrs.field(factory=list)

    def write_down(self, request, **_):
        self.sent.append(json.loads(request.body))


@pytest.fixture(scope="session")
def running_service():
    """One server and one boto3 session for all tests, since a session reads SageMaker's whole model."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "HTTPS_PROXY": f"http://{host}:9",  # where nothing listens: the SDKs' telemetry stays here
            "SAGEMAKER_VALIDATE_ROLE": "false",
        }.items():
            environment.setenv(name, value)
        service = Service(boto3.Session())
        service.boto_session.events.register("before-send.sagemaker.CreateTrainingJob", service.write_down)
        where = {"LocationConstraint": "eu-west-1"}
        service.boto_session.client("s3").create_bucket(Bucket="a-bucket", CreateBucketConfiguration=where)
        yield service
    server.stop()


@pytest.fixture
def service(running_service):
    """The service, to which nothing was sent yet."""
    running_service.sent.clear()
    return running_service


@pytest.fixture
def source(tmp_path):
    """A folder with a training script."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text("print('loss=0.5;')\n")
    return folder


@pytest.fixture
def without_name():
    """A request in which its job's name reads JOB wherever it stands, without the name itself."""

    def change(request, name):
        request = json.loads(json.dumps(request).replace(name, "JOB"))
        request.pop("TrainingJobName", None)
        return request

    return change
