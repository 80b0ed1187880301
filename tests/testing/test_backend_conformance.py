"""Our four kinds of backends pass the conformance kit for backends."""

import io
import json
import tarfile

import pytest
from byohpo_sagemaker_emulator import Emulator
from sagemaker_account import REQUEST

from byohpo_core import PythonFunction, Simulated, TrainingJob, TrainingScript, default_regex
from byohpo_core.testing import BackendConformance, job


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    """An account in real time, with the code of the job in a bucket."""
    with Emulator(folder=tmp_path_factory.mktemp("emulator")) as emulator:
        s3 = emulator.client("s3")
        s3.create_bucket(Bucket="bucket")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            tar.add(job.SCRIPT, job.SCRIPT.name)
        s3.put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=archive.getvalue())
        yield emulator


class TestThreads(BackendConformance):
    """A function in threads of the driver."""

    can_stop = False

    @pytest.fixture
    def estimator(self):
        return PythonFunction(job.function)


class TestProcesses(BackendConformance):
    """A function in processes that end with the driver."""

    patience_seconds = 90.0

    @pytest.fixture
    def estimator(self):
        return PythonFunction(job.function, processes=True)


class TestLocal(BackendConformance):
    """A script in processes that outlive the driver."""

    patience_seconds = 90.0  # a busy machine is slow to start processes

    @pytest.fixture
    def estimator(self):
        return TrainingScript(job.SCRIPT)


class TestSimulated(BackendConformance):
    """Jobs that exist on a virtual clock only."""

    leaves_traces = False

    @pytest.fixture
    def estimator(self):
        return Simulated(job.simulation)


class TestSageMaker(BackendConformance):
    """Training jobs, which the emulator runs as processes in real time."""

    patience_seconds = 90.0

    @pytest.fixture
    def estimator(self, emulator, monkeypatch):
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        # The emulator's log is complete at once, so a job without metrics need not be waited for.
        monkeypatch.setattr("byohpo_core.backends.sagemaker.watching.LOG_SECONDS", 0.5)
        code = {
            "sagemaker_program": job.SCRIPT.name,
            "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
        }
        specification = {
            **REQUEST["AlgorithmSpecification"],
            "MetricDefinitions": [{"Name": "loss", "Regex": default_regex("loss")}],
        }
        request = {
            **REQUEST,
            "HyperParameters": {name: json.dumps(value) for name, value in code.items()},
            "AlgorithmSpecification": specification,
        }
        return TrainingJob(request, calls_per_second=100, poll_seconds=0.1)
