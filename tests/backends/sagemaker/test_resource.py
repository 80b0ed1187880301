"""Hyperband on the emulator: jobs get their amount of the resource, and continue real checkpoints on spot instances."""

import io
import tarfile
import textwrap

from byohpo_sagemaker_emulator import Emulator, Faults
from sagemaker_account import METRICS, REQUEST, Account

from byohpo_core import ContinuousParameter, TrainingJob, Tuner

SCRIPT = textwrap.dedent("""
    import os, pathlib, time
    state = pathlib.Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"), "checkpoints", "state")
    done = state.read_text().split() if state.exists() else []
    while len(done) < int(os.environ["SM_HP_EPOCHS"]):
        time.sleep(0.05)
        done.append(os.environ["TRAINING_JOB_NAME"].split("-")[-2])
        state.write_text(" ".join(done))
        print(f"loss={float(os.environ['SM_HP_X']) + 1 / len(done)};", flush=True)
""")
SPOT = {
    **REQUEST,
    "HyperParameters": {
        "epochs": "100",
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": '"s3://bucket/code/sourcedir.tar.gz"',
    },
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200},
    "CheckpointConfig": {"S3Uri": "s3://bucket/state"},
}


def test_spot_jobs_continue_checkpoints_and_share_no_prefix(monkeypatch, tmp_path):
    """Interrupted or promoted, no epoch of a configuration is trained twice, and no trial loses its checkpoint."""
    faults = Faults(1, {"spot": 0.5}, seconds={"spot": 0.1})
    with Emulator(faults=faults, folder=tmp_path / "jobs") as emulator:
        Account(emulator, monkeypatch)
        emulator.client("s3").put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=archive())
        study = Tuner(
            TrainingJob(SPOT, poll_seconds=0.2),
            "loss",
            {"x": ContinuousParameter(0, 1)},
            METRICS,
            "hyperband",
            "Minimize",
            10,
            2,
            resource="epochs",
            max_resource=4,
            strategy_options={"eta": 2},
            random_seed=1,
            journal=tmp_path / "studies.db",
            progress=False,
        ).fit(job_name="study")
        requests = [job.request for job in emulator.jobs.values()]
        trails = {trial.number: trail(emulator, study, trial.number) for trial in study.trials}
    assert {str(trial.status) for trial in study.trials} == {"Completed"}
    assert faults.hits["spot"] > 0
    assert len({request["CheckpointConfig"]["S3Uri"] for request in requests}) == len(requests) == 10
    epochs = {request["TrainingJobName"]: request["HyperParameters"]["epochs"] for request in requests}
    assert epochs == {trial.job_name: str(trial.proposal.fidelity) for trial in study.trials}
    parents = {trial.number: trial.proposal.resume_from for trial in study.trials}
    assert {trial.proposal.fidelity for trial in study.trials if parents[trial.number] is not None} >= {2, 4}
    for trial in study.trials:
        inherited = [] if parents[trial.number] is None else trails[parents[trial.number]]
        own = [str(trial.number)] * (trial.proposal.fidelity - len(inherited))
        assert trails[trial.number] == [*inherited, *own]


def archive():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT.encode())
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    return content.getvalue()


def trail(emulator, study, number):
    """Which trial has trained each epoch of a checkpoint."""
    body = emulator.client("s3").get_object(Bucket="bucket", Key=f"state/{study.id}-{number}/state")["Body"]
    return body.read().decode().split()
