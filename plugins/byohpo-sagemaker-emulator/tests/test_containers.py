"""Jobs that run as processes, in each form of request."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from byohpo_sagemaker_emulator import Faults, keeper

TELL = textwrap.dedent("""
    import json, os, pathlib, sys
    print("arguments", json.dumps(sys.argv[1:]))
    print("loss=0.5; loss=0.1;")
    print("on the other stream: accuracy=0.75;", file=sys.stderr)
    print("channel", sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"])))
    print("endpoint", os.environ["AWS_ENDPOINT_URL"], os.environ["MINE"], os.getcwd())
    pathlib.Path(os.environ["SM_MODEL_DIR"], "weights.txt").write_text("model")
    pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "table.txt").write_text("output")
""")
PATIENT = textwrap.dedent("""
    import pathlib, signal, sys, time
    def leave(*_):
        print("asked to leave", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    print("ready", flush=True)
    time.sleep(600)
""")
DEAF = textwrap.dedent("""
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(600)
""")
DRIVER = textwrap.dedent("""
    set -e
    echo "instance $(grep -o 'ml[.a-z0-9]*' /opt/ml/input/config/resourceconfig.json | head -n 1)"
    cd /opt/ml/input/data/code
    python3 train.py
    echo weights > /opt/ml/model/weights.txt
""")


@pytest.fixture
def desk(start, tmp_path):
    return start(folder=tmp_path / "jobs", stop_grace_seconds=0.5)


def test_a_script_of_sdk_v2_runs_in_its_container(desk, place):
    """It gets arguments, channels and variables. Its metrics, log, model and output are kept."""
    desk.s3.put_object(Bucket="bucket", Key="data/train/a.csv", Body=b"1")
    desk.s3.put_object(Bucket="bucket", Key="data/train/deep/b.csv", Body=b"2")
    hyperparameters = {"rate": "0.001", "n": "3", "name": '"adam"', **desk.script(TELL)}
    channels = {"train": "s3://bucket/data/train"}
    desk.create(
        "job-1",
        HyperParameters=hyperparameters,
        channels=channels,
        metrics=("loss", "accuracy"),
        Environment={"MINE": "mine"},
    )
    job = desk.wait("job-1")
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    values = {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
    assert values == {"loss": pytest.approx(0.1, rel=1e-6), "accuracy": 0.75}
    assert values["loss"] != 0.1, "metrics have single precision, as in the service"
    base = "/opt/ml" if place == "mounted" else str(desk.emulator._runner.folder / "job-1" / "0" / "ml")
    lines = desk.lines("job-1/")
    assert json.loads(lines[0].removeprefix("arguments ")) == ["-n", "3", "--name", "adam", "--rate", "0.001"]
    assert "channel ['a.csv', 'deep']" in lines
    assert f"endpoint {desk.emulator.url} mine {base}/code" in lines
    assert desk.unpacked("results/job-1/output/model.tar.gz") == {"weights.txt": "model"}
    assert desk.unpacked("results/job-1/output/output.tar.gz") == {"table.txt": "output"}
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/results/job-1/output/model.tar.gz"
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert desk.emulator.jobs["job-1"].processes_started == 1


def test_a_script_does_not_see_what_is_meant_for_the_service(desk):
    """The objective that a tuning job adds is in the configuration only, as the training toolkit has it."""
    code = "import os, sys; print(sys.argv[1:]); print([text for text in os.environ.values() if 'validation:' in text])"
    objective = {"_tuning_objective_metric": '"validation:loss"'}
    desk.create("job", HyperParameters={"rate": "0.1", **objective, **desk.script(code)})
    assert desk.wait("job")["TrainingJobStatus"] == "Completed"
    assert desk.lines("job/") == ["['--rate', '0.1']", "[]"]
    configuration = desk.emulator._runner.folder / "job/0/ml/input/config/hyperparameters.json"
    assert json.loads(configuration.read_text())["_tuning_objective_metric"] == '"validation:loss"'


def test_the_driver_of_sdk_v3_runs_in_its_container(desk, place):
    """The driver is a shell script in a channel that uses only paths below /opt/ml."""
    for key, text in {"sm_drivers/sm_train.sh": DRIVER, "code/train.py": "print('loss=0.25;')"}.items():
        desk.s3.put_object(Bucket="bucket", Key=f"input/{key}", Body=text.encode())
    specification = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": [
            "-c",
            "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && bash /opt/ml/input/data/sm_drivers/sm_train.sh",
        ],
    }
    channels = {name: f"s3://bucket/input/{name}" for name in ("code", "sm_drivers")}
    desk.create("job-3", AlgorithmSpecification=specification, channels=channels)
    job = desk.wait("job-3")
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert desk.lines("job-3/") == ["instance ml.m5.large", "loss=0.25;"]
    assert desk.unpacked("results/job-3/output/model.tar.gz") == {"weights.txt": "weights\n"}


def test_jobs_in_parallel_each_have_their_own_container(desk, place):
    """Each of four jobs reads its own hyperparameters."""
    file = "os.environ['SM_INPUT_CONFIG_DIR'] + '/hyperparameters.json'"
    script = desk.script(f"import json, os; print('x=' + json.load(open({file}))['x'])")
    for number in range(4):
        desk.create(f"job-{number}", HyperParameters={"x": str(number), **script}, metrics=("x",))
    values = [desk.wait(f"job-{number}")["FinalMetricDataList"][0]["Value"] for number in range(4)]
    assert values == [0, 1, 2, 3]


def test_a_plain_entrypoint_runs(desk, place):
    """It gets its arguments and finds its files, and `python3` is the emulator's interpreter."""
    look = "import attrs, os, sys; print(sys.argv[1], os.listdir(os.environ['SAGEMAKER_BASE_DIR'] + '/input/config'))"
    specification = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "-c"],
        "ContainerArguments": [f"{look}; print(len(os.listdir('/opt/ml/input/config')))", "argument"],
    }
    desk.create("job", AlgorithmSpecification=specification)
    job = desk.wait("job")
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    lines = desk.lines("job/")
    assert lines[0].startswith("argument [")
    assert "hyperparameters.json" in lines[0]
    assert lines[1] == "3"


def test_an_image_alone_cannot_be_run_and_the_job_says_so(desk):
    """The reason names the image and the option job=."""
    desk.create("job")
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert "amazonaws.com/training:1" in job["FailureReason"]
    assert "job=" in job["FailureReason"]
    assert desk.emulator.jobs["job"].processes_started == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "import os, sys; open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('x' * 5000); sys.exit(3)",
            "x" * 900,
        ),
        (
            "import os, sys; open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('no data'); sys.exit(3)",
            "no data",
        ),
        ("import sys; print('ValueError: bad'); sys.exit(3)", 'ErrorMessage "ValueError: bad"'),
    ],
    ids=["long", "short", "none"],
)
def test_a_failing_script_tells_why(desk, code, reason):
    """The reason comes from the failure file, or else from the last line. It has at most 1024 characters."""
    desk.create("job", HyperParameters=desk.script(code))
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ")
    assert job["FailureReason"].endswith(", exit code: 3")
    assert reason in job["FailureReason"]
    assert len(job["FailureReason"]) <= 1024


@pytest.mark.parametrize(("code", "farewell"), [(PATIENT, ["asked to leave"]), (DEAF, [])], ids=["heeds", "ignores"])
def test_a_stopped_script_gets_a_signal_and_then_no_choice(desk, code, farewell):
    """It gets SIGTERM, then SIGKILL. The job ends as Stopped and gives its instance back."""
    desk.create("job", HyperParameters=desk.script(code))
    desk.wait("job", ["Training"])
    while not desk.lines("job/"):
        pass
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    job = desk.wait("job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert desk.lines("job/") == ["ready", *farewell]
    assert desk.emulator._book.instances.in_use.total() == 0


def test_a_signal_is_not_lost_however_early_it_comes():
    """Jobs are stopped right after their launch: the signal is there before the keeper has started the command."""
    for _ in range(20):
        reader, writer = os.pipe()
        os.write(writer, bytes([signal.SIGTERM]))
        with subprocess.Popen([sys.executable, "-I", "-S", keeper.__file__, "sleep", "600"], stdin=reader) as process:
            try:
                assert process.wait(20) == 128 + signal.SIGTERM
            finally:
                os.close(reader)
                os.close(writer)


def test_a_script_that_takes_too_long_is_stopped(desk):
    """The limit is MaxRuntimeInSeconds."""
    desk.create("job", HyperParameters=desk.script(PATIENT), StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = desk.wait("job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_an_interrupted_job_goes_on_from_its_checkpoint(start, tmp_path, spot_settings):
    """It is interrupted at its first checkpoint, which its second container then finds."""
    code = textwrap.dedent("""
        import pathlib, time
        checkpoint = pathlib.Path("/opt/ml/checkpoints/epoch.txt")
        if checkpoint.exists():
            print("loss=0.5; found", checkpoint.read_text())
        else:
            print("loss=0.9;", flush=True)
            whole = pathlib.Path("/opt/ml/epoch.txt")
            whole.write_text("7")
            whole.rename(checkpoint)  # the job is interrupted as soon as the folder contains a file
            time.sleep(600)
    """)
    faults = Faults(rates={"spot": 1}, seconds={"spot": 600})
    desk = start(folder=tmp_path / "jobs", faults=faults, stop_grace_seconds=5)
    checkpoints = {"S3Uri": "s3://bucket/checkpoints/job"}
    desk.create("job", HyperParameters=desk.script(code), CheckpointConfig=checkpoints, **spot_settings())
    job = desk.wait("job")
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    assert desk.lines("job/") == ["loss=0.9;", "loss=0.5; found 7"]
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses.count("Interrupted") == 1
    assert statuses[statuses.index("Interrupted") + 1] == "Starting"
    view = desk.emulator.jobs["job"]
    assert (view.processes_started, view.spot_restarts) == (1, 1)
    assert desk.s3.get_object(Bucket="bucket", Key="checkpoints/job/epoch.txt")["Body"].read() == b"7"
    assert faults.hits == {"spot": 1}


def test_what_a_container_leaves_running_ends_with_it(desk, tmp_path):
    """A child process that outlives the script does not keep the job running."""
    code = "import subprocess; subprocess.Popen(['sleep', '600']); print('loss=1;')"
    desk.create("job", HyperParameters=desk.script(code))
    assert desk.wait("job", seconds=10)["TrainingJobStatus"] == "Completed"


def test_closing_kills_what_runs(tmp_path, start):
    """When the emulator closes, all processes of jobs end."""
    desk = start(folder=tmp_path / "jobs")
    desk.create("job", HyperParameters=desk.script(DEAF))
    desk.wait("job", ["Training"])
    desk.emulator._runner.close()
    assert not any(thread.is_alive() for _, thread in desk.emulator._runner._runs.values())


def test_a_key_cannot_leave_its_channel(desk):
    """An S3 key with `..` makes the job fail instead of writing outside of the channel's folder."""
    desk.s3.put_object(Bucket="bucket", Key="data/../../../outside.txt", Body=b"x")
    desk.create("job", HyperParameters=desk.script(TELL), channels={"train": "s3://bucket/data/"})
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert "outside.txt" in job["FailureReason"]


def test_a_model_may_stay_unpacked(desk):
    """With CompressionType NONE, the files are copied to S3 one by one."""
    output = {"S3OutputPath": "s3://bucket/results", "CompressionType": "NONE"}
    code = "import os, pathlib; pathlib.Path(os.environ['SM_MODEL_DIR'], 'w.txt').write_text('model')"
    desk.create("job", HyperParameters=desk.script(code), OutputDataConfig=output)
    assert desk.wait("job")["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/results/job/output/model/"
    assert desk.s3.get_object(Bucket="bucket", Key="results/job/output/model/w.txt")["Body"].read() == b"model"


def test_a_nan_fault_reaches_log_and_metric_alike(start, tmp_path):
    """The log and the final metric both show NaN."""
    desk = start(folder=tmp_path / "jobs", faults=Faults(rates={"nan": 1}))
    desk.create("job", HyperParameters=desk.script("print('loss=0.5; more')"))
    value = desk.wait("job")["FinalMetricDataList"][0]["Value"]
    assert math.isnan(value)
    assert desk.lines("job/") == ["loss=nan; more"]


@pytest.mark.parametrize(
    ("kind", "reason", "processes"),
    [("capacity", "CapacityError: ", 0), ("internal", "InternalServerError: ", 1)],
    ids=["capacity", "internal"],
)
def test_a_job_may_fail_for_no_fault_of_its_script(start, tmp_path, kind, reason, processes):
    """It fails before its container starts (capacity) or after (internal error)."""
    desk = start(folder=tmp_path / "jobs", faults=Faults(rates={kind: 1}))
    desk.create("job", HyperParameters=desk.script("print('loss=0.5;')"))
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(reason)
    assert desk.emulator.jobs["job"].processes_started == processes


def test_a_job_may_be_stopped_before_it_starts(start, tmp_path):
    """Its container never runs, and the job is Stopped after the seconds of `slow_stop`."""
    slow = Faults(rates={"slow_start": 1, "slow_stop": 1}, seconds={"slow_start": 600, "slow_stop": 0.5})
    desk = start(folder=tmp_path / "jobs", faults=slow)
    desk.create("job", HyperParameters=desk.script("print('loss=0.5;')"))
    desk.sagemaker.stop_training_job(TrainingJobName="job")
    assert desk.describe("job")["TrainingJobStatus"] == "Stopping"
    job = desk.wait("job", ["Stopped"])
    stopping, stopped = job["SecondaryStatusTransitions"][-2:]
    assert (stopped["StartTime"] - stopping["StartTime"]).total_seconds() >= 0.5
    assert desk.emulator.jobs["job"].processes_started == 0
