"""Real scripts in real processes: the emulator's training jobs, and the same script on this machine."""

import io
import json
import os
import signal
import struct
import tarfile
import threading
import time
from pathlib import Path

import pytest
from byohpo_sagemaker_emulator import Emulator
from sagemaker_account import METRICS, RANGES, REQUEST

from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation, TrainingJob, TrainingScript, Tuner
from byohpo_core.cli import main

DIGITS = Path(__file__).parents[3] / "docs" / "examples" / "digits"
SCRIPT = """
import argparse, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--size", type=int)
parser.add_argument("--scale", type=float)
values = parser.parse_args()
data = float(pathlib.Path(os.environ["SM_CHANNEL_TRAINING"], "offset.txt").read_text())
for epoch in range(3):
    print(f"loss={(values.rate - 1) ** 2 * values.scale + values.size + data + 1 / (epoch + 1)};", flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(str(values.rate))
"""
SCRIPT_RANGES = {"rate": ContinuousParameter(0, 5), "size": IntegerParameter(1, 4)}
SETTINGS = {"strategy": "pso", "objective_type": "Minimize", "random_seed": 3, "progress": False}


@pytest.fixture
def real_account(monkeypatch, tmp_path):
    """The emulator on the real clock, with a bucket."""
    with Emulator(folder=tmp_path / "emulator") as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        emulator.client("s3").create_bucket(Bucket="bucket")
        yield emulator


@pytest.fixture
def detached(real_account, monkeypatch):
    """The processes of detached drivers, which end before their account does: they would wait for it for ever."""
    spawn, drivers = os.posix_spawn, []

    def spawning(path, words, *arguments, **options):
        process = spawn(path, words, *arguments, **options)
        if "--handed-over" in words:
            drivers.append(process)
        return process

    monkeypatch.setattr("os.posix_spawn", spawning)
    yield drivers
    for driver in drivers:
        os.kill(driver, signal.SIGKILL)
        os.waitpid(driver, 0)


def script_job(emulator, script, program, hyperparameters):
    """What SDK 2 sends for a script: the source on S3, and values as JSON."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo(program)
        member.size = len(script)
        tar.addfile(member, io.BytesIO(script))
    emulator.client("s3").put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=archive.getvalue())
    values = {
        "sagemaker_program": program,
        "sagemaker_submit_directory": "s3://bucket/code/sourcedir.tar.gz",
        **hyperparameters,
    }
    return {**REQUEST, "HyperParameters": {name: json.dumps(value) for name, value in values.items()}}


def test_a_script_gives_the_same_here_and_there(real_account, tmp_path):
    """Same seed, one slot: the same proposals, the same objective values, on this machine and as training jobs."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "offset.txt").write_text("0.25")
    real_account.client("s3").put_object(Bucket="bucket", Key="data/offset.txt", Body=b"0.25")
    (tmp_path / "train.py").write_text(SCRIPT)
    job = TrainingJob(script_job(real_account, SCRIPT.encode(), "train.py", {"scale": 2.0}), poll_seconds=0.1)
    settings = {**SETTINGS, "max_jobs": 6, "strategy_options": {"population": 3}, "journal": "studies.db"}
    there = Tuner(job, "loss", SCRIPT_RANGES, METRICS, **settings).fit(
        {"training": "s3://bucket/data"}, job_name="there"
    )
    script = TrainingScript("train.py", hyperparameters={"scale": 2.0})
    here = Tuner(script, "loss", SCRIPT_RANGES, METRICS, **settings).fit({"training": "data"}, job_name="here")
    assert [dict(t.hyperparameters) for t in there.trials] == [dict(t.hyperparameters) for t in here.trials]
    assert [trial.values for trial in there.trials] == [trial.values for trial in here.trials]
    assert {str(trial.status) for trial in there.trials} <= {"Completed", "Reused"}
    model = f"out/{there.best.job_name}/output/model.tar.gz"
    assert there.best.model_artifacts == f"s3://bucket/{model}"
    archive = real_account.client("s3").get_object(Bucket="bucket", Key=model)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (name,) = [member for member in tar.getnames() if member.endswith("model.txt")]
        assert float(tar.extractfile(name).read()) == there.best.hyperparameters["rate"]


def test_the_same_search_as_on_this_machine(account):
    """Same seed, same values: where a job runs changes nothing for the algorithm."""

    def here(hyperparameters):
        loss = (hyperparameters["x"] - 1) ** 2 + hyperparameters["n"]
        (single,) = struct.unpack("f", struct.pack("f", loss))  # as the service keeps its metrics
        return Simulation({"loss": single}, 60)

    settings = {"strategy": "pso", "max_jobs": 12, "max_parallel_jobs": 1, "strategy_options": {"population": 4}}
    there = account.tuner(**settings).fit(job_name="study")
    tuner = Tuner(
        Simulated(here),
        "loss",
        RANGES,
        METRICS,
        objective_type="Minimize",
        random_seed=1,
        progress=False,
        **settings,
    )
    study = tuner.fit(job_name="here")
    assert [dict(t.proposal.hyperparameters) for t in there.trials] == [
        dict(t.proposal.hyperparameters) for t in study.trials
    ]
    assert [trial.value for trial in there.trials] == [trial.value for trial in study.trials]


def test_the_digits_are_learned_in_training_jobs(real_account):
    """A particle swarm tunes the demo's unchanged script with plain boto3."""
    request = script_job(real_account, (DIGITS / "train.py").read_bytes(), "train.py", {"batch_size": 100})
    ranges = {"learning_rate": ContinuousParameter(0.01, 0.2), "num_epoch": IntegerParameter(1, 3)}
    metrics = [{"Name": "Validation-accuracy", "Regex": r"Validation-accuracy=(\S+)"}]
    job = TrainingJob(request, poll_seconds=0.2)
    settings = {**SETTINGS, "objective_type": "Maximize", "max_jobs": 4, "max_parallel_jobs": 2}
    study = Tuner(job, "Validation-accuracy", ranges, metrics, **settings).fit(job_name="digits")
    assert [str(trial.status) for trial in study.trials if trial.result_of is None] == ["Completed"] * 4
    assert study.best.value > 0.5


def test_a_detached_driver_goes_on_and_can_be_stopped(real_account, detached, capsys):
    """`fit(wait=False)` returns at once, and `byohpo stop` ends the study and its jobs."""
    request = {
        **REQUEST,
        "AlgorithmSpecification": {
            **REQUEST["AlgorithmSpecification"],
            "ContainerEntrypoint": ["python3", "-c", "import time; print('loss=1;', flush=True); time.sleep(600)"],
        },
    }
    tuner = Tuner(
        TrainingJob(request, poll_seconds=0.2),
        "loss",
        SCRIPT_RANGES,
        METRICS,
        max_jobs=4,
        max_parallel_jobs=2,
        **SETTINGS,
    )
    tuner.fit(job_name="apart", wait=False)
    soon(lambda: sum(job.status == "InProgress" for job in real_account.jobs.values()) == 2)
    assert main(["stop", "apart", "--no-progress"]) == 0
    assert "apart" in capsys.readouterr().out
    soon(lambda: Tuner.attach("apart").study.stop_reason and not Tuner.attach("apart").study.running)
    assert [job.status for job in real_account.jobs.values()] == ["Stopped"] * 2
    assert "byohpo stop" in Tuner.attach("apart").study.stop_reason
    assert len(detached) == 1


def soon(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.1)
