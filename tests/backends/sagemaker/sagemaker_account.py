"""An account on this machine for tests: the emulator, tuners that use it, and drivers that leave it."""

import json

import pytest
from byohpo_sagemaker_emulator import SimulatedJob

from byohpo_core import ContinuousParameter, IntegerParameter, TrainingJob, Tuner, hookimpl

REQUEST = {
    "AlgorithmSpecification": {
        "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1",
        "TrainingInputMode": "File",
    },
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
    "HyperParameters": {"epochs": "3"},
}
EVERYTHING = {
    **REQUEST,
    "AlgorithmSpecification": {
        **REQUEST["AlgorithmSpecification"],
        "ContainerEntrypoint": ["python3", "/opt/ml/code/train.py"],
        "ContainerArguments": ["--fast"],
        "EnableSageMakerMetricsTimeSeries": True,
    },
    "InputDataConfig": [
        {
            "ChannelName": "training",
            "ContentType": "text/csv",
            "CompressionType": "None",
            "InputMode": "File",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://bucket/data",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out", "KmsKeyId": "key-1", "CompressionType": "GZIP"},
    "ResourceConfig": {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 2,
        "VolumeSizeInGB": 30,
        "VolumeKmsKeyId": "key-2",
        "KeepAlivePeriodInSeconds": 600,
    },
    "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
    "EnableManagedSpotTraining": True,
    "EnableNetworkIsolation": True,
    "EnableInterContainerTrafficEncryption": True,
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints/", "LocalPath": "/opt/ml/checkpoints"},
    "Environment": {"MODE": "fast"},
    "RetryStrategy": {"MaximumRetryAttempts": 3},
    "ExperimentConfig": {"ExperimentName": "experiment", "TrialName": "trial"},
    "DebugHookConfig": {"S3OutputPath": "s3://bucket/debug"},
    "ProfilerConfig": {"DisableProfiler": True},
    "Tags": [{"Key": "team", "Value": "vision"}],
}
RANGES = {"x": ContinuousParameter(-5, 5), "n": IntegerParameter(1, 4)}
METRICS = [{"Name": "loss", "Regex": r"loss=(\S+);"}]


def hour(request):
    """A job that takes about an hour and prints a loss."""
    x, n = (json.loads(request["HyperParameters"][name]) for name in ("x", "n"))
    loss = (x - 1) ** 2 + n
    return SimulatedJob(1800 + 600 * n, [{"loss": loss + 1}, {"loss": loss}])


class Account:
    """An emulator in virtual time, and tuners that use it."""

    def __init__(self, emulator, monkeypatch):
        self.emulator, self.clock = emulator, emulator.clock
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        emulator.client("s3").create_bucket(Bucket="bucket")

    def training_job(self, request=REQUEST, **settings):
        return TrainingJob(request, clock=self.clock, **settings)

    def tuner(self, job=None, **settings):
        settings = {
            "metric_definitions": METRICS,
            "strategy": "random",
            "objective_type": "Minimize",
            "max_jobs": 8,
            "max_parallel_jobs": 3,
            "random_seed": 1,
            "journal": "studies.db",
            "progress": False,
            **settings,
        }
        return Tuner(job or self.training_job(), "loss", settings.pop("ranges", RANGES), **settings)

    def attach(self, name="study", **settings):
        return Tuner.attach(
            name, estimator=self.training_job(), **{"journal": "studies.db", "progress": False, **settings}
        )

    def operations(self, service="sagemaker"):
        return [call.operation for call in self.emulator.calls if call.service == service]


def outcomes(study):
    """What came of each trial, wherever and whenever it ran."""
    return [(str(trial.status), dict(trial.hyperparameters), trial.value, trial.attempt) for trial in study.trials]


class Leave(BaseException):
    """The driver is gone, and its machine with it."""


class LeavesAfter:
    """The driver leaves when some trials are over."""

    trials = 3

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def stop(self, study):
        if sum(trial.finished for trial in study.trials) >= self.trials:
            raise Leave


def leave(account, **settings):
    """Begin a study whose driver leaves when three trials are over."""
    with pytest.raises(Leave):
        account.tuner(extensions=[LeavesAfter], strategy="pso", **settings).fit(job_name="study")


def go_on(account, monkeypatch, name="study", **settings):
    """Resume that study, and stay to its end."""
    monkeypatch.setattr(LeavesAfter, "trials", 99)
    return account.attach(name, **settings).resume()
