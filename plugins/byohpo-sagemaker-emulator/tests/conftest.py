"""Fixtures that start emulators and build requests."""

import http.client
import io
import tarfile
import time
from functools import cached_property

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from byohpo_sagemaker_emulator import Emulator, Faults, SimulatedJob, VirtualClock, folders, mounts
from moto.s3.models import s3_backends

BUCKET = "bucket"
OVER = ("Completed", "Failed", "Stopped")
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=30)


def request(name, *, tags=None, metrics=("loss",), channels=None, **more):
    """A complete CreateTrainingJob request."""
    definitions = [{"Name": metric, "Regex": rf"{metric}=([^;\s]+)"} for metric in metrics]
    base = {
        "TrainingJobName": name,
        "RoleArn": "arn:aws:iam::123456789012:role/training",
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/training:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": definitions,
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/results"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    if tags:
        base["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    if channels:
        base["InputDataConfig"] = [
            {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
            for name, uri in channels.items()
        ]
    return base | more


def spot(longest_wait=3600):
    """The members that make a request ask for spot instances."""
    stopping = {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": longest_wait}
    return {"EnableManagedSpotTraining": True, "StoppingCondition": stopping}


def archive(**files):
    """The bytes of a sourcedir.tar.gz; the argument `train_py="..."` becomes its file train.py."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("_", "."))
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


class Wire:
    """Sends requests to an emulator byte by byte, and signs them as botocore does."""

    def __init__(self, emulator):
        self.port = int(emulator.url.rpartition(":")[2])
        self.key = emulator.key

    def sign(self, method, target="/", body=b"", *, service="sagemaker", host=None, key=None, **headers):
        """The headers of a signed request. Arguments such as x_amz_target="..." are headers too."""
        host = f"127.0.0.1:{self.port}" if host is None else host
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = AWSRequest(method, f"http://{host}{target}", given, body)
        request.context["payload_signing_enabled"] = True
        key = key or self.key
        signer = S3SigV4Auth if service == "s3" else SigV4Auth
        signer(Credentials(key.id, key.secret, key.token), service, "us-east-1").add_auth(request)
        return {"Host": host, **dict(request.headers)}

    def send(self, method, target="/", body=b"", headers=()):
        """The status and the body of the answer. *headers* are a mapping or pairs, and nothing is added to them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in dict(headers).items() if isinstance(headers, dict) else headers:
            connection.putheader(name, value)
        if not any(name.lower() in ("content-length", "transfer-encoding") for name in dict(headers)):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        told = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, told

    def call(self, method, target="/", body=b"", **options):
        """Sign a request and send it."""
        return self.send(method, target, body, self.sign(method, target, body, **options))


class Desk:
    """An emulator with a bucket, and clients that never retry a call."""

    def __init__(self, emulator):
        self.emulator = emulator
        s3_backends["123456789012"]["aws"].create_bucket(BUCKET, "us-east-1")

    @cached_property
    def wire(self):
        return Wire(self.emulator)

    @cached_property
    def sagemaker(self):
        return self.emulator.client("sagemaker", config=ONCE)

    @cached_property
    def logs(self):
        return self.emulator.client("logs", config=ONCE)

    @cached_property
    def s3(self):
        return self.emulator.client("s3", config=ONCE)

    def create(self, name, **more):
        return self.sagemaker.create_training_job(**request(name, **more))

    def describe(self, name):
        return self.sagemaker.describe_training_job(TrainingJobName=name)

    def wait(self, name, statuses=OVER, *, seconds=30):
        """Describe a job until its status or secondary status is one of *statuses*."""
        deadline = time.monotonic() + seconds
        while True:
            job = self.describe(name)
            if {job["TrainingJobStatus"], job["SecondaryStatus"]} & set(statuses):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.02)

    def search(self, *filters, **more):
        """The names of the jobs that match conditions such as ("Tags.study", "Equals", "s")."""
        conditions = [dict(zip(("Name", "Operator", "Value"), one, strict=False)) for one in filters]
        if conditions:
            more["SearchExpression"] = {"Filters": conditions}
        answer = self.sagemaker.search(Resource="TrainingJob", **{"MaxResults": 100} | more)
        return [record["TrainingJob"]["TrainingJobName"] for record in answer["Results"]]

    def lines(self, prefix, **more):
        """The lines of the log streams with a prefix; empty while the log group does not exist."""
        group = "/aws/sagemaker/TrainingJobs"
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, logStreamNamePrefix=prefix, **more
        )
        try:
            return [event["message"] for page in pages for event in page["events"]]
        except self.logs.exceptions.ResourceNotFoundException:
            return []

    def script(self, text, name="train.py"):
        """Upload a script; return the hyperparameters that SDK v2 adds in script mode."""
        self.s3.put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=archive(**{name.replace(".", "_"): text}))
        return {
            "sagemaker_program": f'"{name}"',
            "sagemaker_submit_directory": f'"s3://{BUCKET}/code/sourcedir.tar.gz"',
        }

    def unpacked(self, key):
        """The files of an archive in S3, by name."""
        body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return {member.name: tar.extractfile(member).read().decode() for member in tar}


@pytest.fixture
def start():
    """Start an emulator and return a Desk. The options go to Emulator."""
    running = []

    def start_one(**options):
        emulator = Emulator(**options)
        emulator.__enter__()
        running.append(emulator)
        return Desk(emulator)

    yield start_one
    for emulator in running:
        emulator.__exit__(None, None, None)


@pytest.fixture
def virtual(start):
    """Start an emulator in virtual time. Its jobs take a hundred seconds, unless *job* says otherwise."""

    def start_one(job=None, **options):
        def hundred(_):
            return SimulatedJob(seconds=100, metrics={"loss": 0.5})

        return start(clock=VirtualClock(), job=job or hundred, **options)

    return start_one


@pytest.fixture
def faulty(virtual):
    """Start an emulator in virtual time, with rates of faults."""

    def start_one(*, job=None, seed=0, **rates):
        return virtual(job, faults=Faults(seed, rates))

    return start_one


@pytest.fixture
def make_request():
    return request


@pytest.fixture
def spot_settings():
    return spot


@pytest.fixture(params=["mounted", "named"])
def place(request, monkeypatch):
    """Run a test with a mount namespace, and with SAGEMAKER_BASE_DIR instead."""
    if request.param == "named":
        monkeypatch.setattr(folders, "mount_command", lambda: None)
    elif mounts.mount_command() is None:
        pytest.fail("this machine has no mount namespaces, so half of the emulator cannot be tested here")
    return request.param
