"""What a job gets of the machine that it runs on, where it may write, and that it ends with the emulator."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator.left import _open_real
from byohpo_sagemaker_emulator.process import Process

TELL = """
import json, os, pathlib
print(json.dumps(dict(os.environ)))
pathlib.Path.home().joinpath("cache").write_text("")
"""
CONTRACT = re.compile(r"SM_\w+|(SAGEMAKER_)?TRAINING_JOB_(NAME|ARN)|SAGEMAKER_(BASE_DIR|JOB_NAME)|PYTHONUNBUFFERED")
ACCOUNT = {
    *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EC2_METADATA_DISABLED"),
}


@pytest.fixture
def desk(start, tmp_path):
    return start(folder=tmp_path / "jobs", stop_grace_seconds=0.5)


def done(desk, name="job"):
    job = desk.wait(name)
    assert (job["TrainingJobStatus"], job.get("FailureReason")) == ("Completed", None)
    return desk.lines(f"{name}/")


def packed(*members):
    """An archive of members: (name, content) for a file, or (name, kind, target) for a link or a device."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, *told in members:
            member = tarfile.TarInfo(name)
            if len(told) == 2:
                member.type, member.linkname = told
                tar.addfile(member)
            else:
                member.size = len(told[0])
                tar.addfile(member, io.BytesIO(told[0].encode()))
    return content.getvalue()


def alive(pid):
    """Whether a process runs; one that has ended and is not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_has_nothing_of_the_hosts_environment(desk, place, monkeypatch):
    """Only a path, a home, the contract with scripts, an account, and what the request gives it."""
    for name in ("GITHUB_TOKEN", "PYTHONPATH", "SSH_AUTH_SOCK", "AWS_PROFILE_OF_MINE", "LD_LIBRARY_PATH", "USER"):
        monkeypatch.setenv(name, "of the host")
    monkeypatch.setenv("PATH", f"/of-the-host:{os.environ['PATH']}")
    desk.create("job", HyperParameters=desk.script(TELL), Environment={"MINE": "1"})
    variables = json.loads(done(desk)[0])
    assert not [value for value in variables.values() if "of the host" in value or "of-the-host" in value]
    rest = {name for name in variables if not CONTRACT.fullmatch(name)} - ACCOUNT
    # The interpreter sets LC_CTYPE where there is no locale, and the shell of a mount namespace its own three.
    assert rest - {"LC_CTYPE", "PWD", "SHLVL", "_"} == {"PATH", "HOME", "MINE"}
    home = Path(variables["HOME"])
    assert home.is_relative_to(desk.emulator._runner.folder / "job")
    assert (home / "cache").exists()
    assert variables["PATH"].startswith(f"{Path(sys.executable).parent}:")


def test_a_job_has_keys_of_its_own_while_it_runs(desk, place):
    """They are no longer accepted when it is over."""
    script = """
        import boto3, json, os
        boto3.client("s3").put_object(Bucket="bucket", Key="from-the-job", Body=b"1")
        print(json.dumps({name: os.environ[name] for name in os.environ if name.startswith("AWS_")}))
    """
    desk.create("job", HyperParameters=desk.script(textwrap.dedent(script)))
    variables = json.loads(done(desk)[0])
    assert desk.s3.head_object(Bucket="bucket", Key="from-the-job")["ContentLength"] == 1
    assert variables["AWS_ACCESS_KEY_ID"] != desk.emulator.key.id
    assert variables["AWS_SECRET_ACCESS_KEY"] != desk.emulator.key.secret
    client = boto3.client(
        "sagemaker",
        endpoint_url=desk.emulator.url,
        region_name="us-east-1",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables["AWS_SESSION_TOKEN"],
    )
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client.list_training_jobs()


@pytest.mark.parametrize(
    "members",
    [
        [("/OUTSIDE/evil", "x")],
        [("../../../evil", "x")],
        [("a/../../../../evil", "x")],
        [("link", tarfile.SYMTYPE, "/OUTSIDE"), ("link/evil", "x")],
        [("link", tarfile.SYMTYPE, "../../.."), ("link/evil", "x")],
        [("a", tarfile.SYMTYPE, "b"), ("b", tarfile.SYMTYPE, "../../.."), ("a/evil", "x")],
        [("link", tarfile.LNKTYPE, "/etc/passwd")],
        [("link", tarfile.LNKTYPE, "../../../secret")],
        [("device", tarfile.CHRTYPE, "")],
        [("pipe", tarfile.FIFOTYPE, "")],
    ],
    ids=["absolute", "up", "inner", "link", "link up", "links", "hard", "hard up", "device", "pipe"],
)
def test_an_archive_cannot_leave_its_folder(desk, tmp_path, members):
    """The job fails before anything of it runs, and says which member it was."""
    (tmp_path / "secret").write_text("secret")
    replaced = [
        tuple(part.replace("/OUTSIDE", str(tmp_path)) if isinstance(part, str) else part for part in one)
        for one in members
    ]
    desk.script("")
    body = packed(("train.py", "print('ran')"), *replaced)
    desk.s3.put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=body)
    program = {"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"s3://bucket/code/sourcedir.tar.gz"'}
    desk.create("job", HyperParameters=program)
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: cannot unpack the source archive")
    assert desk.emulator.jobs["job"].processes_started == 0
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("body", [b"", b"no archive", packed(("a", "x" * 9000))[:60]], ids=["empty", "text", "torn"])
def test_an_archive_that_is_none_is_the_callers_error(desk, body):
    """The reason names it."""
    program = {**desk.script(""), "sagemaker_program": '"train.py"'}
    desk.s3.put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=body)
    desk.create("job", HyperParameters=program)
    assert desk.wait("job")["FailureReason"].startswith("ClientError: cannot unpack the source archive")


def test_links_inside_an_archive_are_kept(desk):
    """As long as they lead down from where they are."""
    body = packed(
        ("lib/data.txt", "1"),
        ("data.txt", tarfile.SYMTYPE, "lib/data.txt"),
        ("train.py", "print(open('data.txt').read())"),
    )
    program = desk.script("")
    desk.s3.put_object(Bucket="bucket", Key="code/sourcedir.tar.gz", Body=body)
    desk.create("job", HyperParameters=program)
    assert done(desk) == ["1"]


@pytest.mark.parametrize("name", [".", ".."])
def test_a_channel_cannot_leave_its_folder(desk, name):
    """Its name is refused with the request."""
    desk.s3.put_object(Bucket="bucket", Key="data/evil", Body=b"x")
    with pytest.raises(ClientError, match=r"ValidationException.*channel name"):
        desk.create("job", HyperParameters=desk.script(""), channels={name: "s3://bucket/data/"})
    assert not desk.emulator.jobs


@pytest.mark.parametrize(
    "path", ["/opt/ml/../evil", "/opt/ml/checkpoints/../../../evil", "/opt/ml/../../{outside}", "/evil", "/opt/mlevil"]
)
def test_checkpoints_cannot_leave_their_folder(desk, tmp_path, path):
    """The job fails before anything is written."""
    desk.s3.put_object(Bucket="bucket", Key="checkpoints/evil", Body=b"x")
    where = {"S3Uri": "s3://bucket/checkpoints", "LocalPath": path.format(outside=tmp_path)}
    desk.create("job", HyperParameters=desk.script("print('ran')"), CheckpointConfig=where)
    job = desk.wait("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert not list(tmp_path.rglob("evil"))


def test_only_what_the_emulator_made_is_deleted(start, tmp_path, monkeypatch):
    """A job has the name of a folder that was there, and the emulator's folder is the present one."""
    monkeypatch.chdir(tmp_path)
    for name in ("data", "job", "byohpo-emulator"):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / "precious").write_text(name)
    desk = start(folder=".")
    for name in ("data", "job", "byohpo-emulator"):
        desk.create(name, HyperParameters=desk.script("print('ran')"))
        assert done(desk, name) == ["ran"]
        assert (tmp_path / name / "precious").read_text() == name
    made = desk.emulator._runner.folder
    assert made.parent == tmp_path
    assert (made / ".byohpo-emulator").is_file()
    desk.sagemaker.delete_training_job(TrainingJobName="job")
    desk.create("job", HyperParameters=desk.script("print('again')"))
    assert done(desk)[-1] == "again"
    desk.emulator._runner.close()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "job", "byohpo-emulator", made.name}


def test_temporary_files_are_deleted_at_the_end(start, tmp_path, monkeypatch):
    """A folder of jobs that nobody asked for does not stay."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    desk = start()
    desk.create("job", HyperParameters=desk.script("print('ran')"))
    assert done(desk) == ["ran"]
    made = desk.emulator._runner.folder
    assert made.parent == tmp_path
    desk.emulator._runner.close()
    assert not made.exists()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077], ids=oct)
def test_files_are_for_their_owner_under_any_umask(start, tmp_path, place, mask):
    """Those that the emulator writes, those of an archive, and those of the job."""
    script = "import os; os.mkdir('of-the-job'); open('of-the-job/x', 'w').close()"
    before = os.umask(mask)
    try:
        desk = start(folder=tmp_path / "new" / "jobs")
        desk.s3.put_object(Bucket="bucket", Key="data/deep/a.csv", Body=b"1")
        checkpoints = {"S3Uri": "s3://bucket/data/deep"}
        channels = {"train": "s3://bucket/data/"}
        desk.create("job", HyperParameters=desk.script(script), channels=channels, CheckpointConfig=checkpoints)
        done(desk)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "new", *(tmp_path / "new").rglob("*"))}
    assert {path.name for path in modes} >= {"a.csv", "train.py", "hyperparameters.json", "x", "of-the-job", "home"}
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


LINKS = """
import os, pathlib, sys, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
outside, kind, code = sys.argv[1:]
for name in ("model", "output/data", "checkpoints"):
    folder = base / name
    if kind == "folders":
        folder.rmdir() if name != "checkpoints" else folder.rename(base / "before")
        folder.symlink_to(outside)
        continue
    folder.joinpath("mine").write_text("mine")
    folder.joinpath("inner").symlink_to("mine")
    folder.joinpath("environ").symlink_to("/proc/self/environ")
    folder.joinpath("secret").symlink_to(outside + "/secret")
    folder.joinpath("circle").symlink_to("circle")
    folder.joinpath("up").symlink_to(outside)
    os.mkfifo(folder / "pipe")
if kind == "folders":
    (base / "output").rename(base / "output.before")
    (base / "output").symlink_to(outside)
else:
    (base / "output/failure").symlink_to("/proc/self/environ")
time.sleep(1)
sys.exit(int(code))
"""


def run_links(desk, tmp_path, monkeypatch, kind, code, **output):
    """Run a job that links to the emulator's environment and to a folder elsewhere."""
    monkeypatch.setenv("OF_THE_HOST", "of the host")
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("secret", "failure"):
        (outside / name).write_text("of the host")
    (tmp_path / "links.py").write_text(LINKS)
    specification = {
        "TrainingImage": "image",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", str(tmp_path / "links.py"), str(outside), kind, str(code)],
    }
    desk.create(
        "job",
        AlgorithmSpecification=specification,
        OutputDataConfig={"S3OutputPath": "s3://bucket/results", **output},
        CheckpointConfig={"S3Uri": "s3://bucket/checkpoints"},
    )
    return desk.wait("job")


@pytest.mark.parametrize("compression", ["NONE", "GZIP"])
@pytest.mark.parametrize("kind", ["files", "folders"])
def test_links_do_not_lead_the_emulator_out_of_a_jobs_folder(desk, place, tmp_path, monkeypatch, kind, compression):
    """What they lead to is not uploaded. Links inside the folder are: as files, or in an archive as links."""
    job = run_links(desk, tmp_path, monkeypatch, kind, 0, CompressionType=compression)
    assert job["TrainingJobStatus"] == "Completed"
    found = {}
    for item in desk.s3.list_objects_v2(Bucket="bucket").get("Contents", ()):
        body = desk.s3.get_object(Bucket="bucket", Key=item["Key"])["Body"].read()
        key = item["Key"].removeprefix("results/job/output/")
        if key.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                found |= {f"{key}:{it.name}": it.linkname or tar.extractfile(it).read().decode() for it in tar}
        else:
            found[key] = body.decode()
    places = ("model/" if compression == "NONE" else "model.tar.gz:", "output.tar.gz:", "checkpoints/")
    inside = {f"{where}{name}": "mine" for where in places for name in ("mine", "inner")}
    assert found == ({} if kind == "folders" else inside)


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_a_failure_file_does_not_lead_the_emulator_out_of_a_jobs_folder(desk, place, tmp_path, monkeypatch, kind):
    """The reason is that of a job without such a file."""
    assert run_links(desk, tmp_path, monkeypatch, kind, 3)["FailureReason"] == "AlgorithmError: , exit code: 3"


@pytest.mark.parametrize("part", ["file", "folder", "base"])
def test_a_path_of_which_a_part_becomes_a_link_is_not_opened(tmp_path, part):
    """A job may make it one at any moment, also after the emulator has seen where the path leads."""
    for folder in (tmp_path / "base" / "a", tmp_path / "outside" / "a"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("content")
    file = tmp_path / "base" / "a" / "file"
    with os.fdopen(_open_real(file)) as opened:
        assert opened.read() == "content"
    place = {"file": "a/file", "folder": "a", "base": "."}[part]
    (tmp_path / "base" / place).rename(tmp_path / "before")
    (tmp_path / "base" / place).symlink_to(tmp_path / "outside" / place)
    assert file.read_text() == "content"
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        _open_real(file)


LEAVES_MUCH = """
import os, pathlib, subprocess, sys, time
detached = subprocess.Popen(["sleep", "600"], start_new_session=True)
child = "import subprocess; print(subprocess.Popen(['sleep', '601'], stdout=-3, stderr=-3, start_new_session=True).pid)"
orphan = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip()
pathlib.Path(os.environ["PIDS"]).write_text(f"{os.getpid()} {detached.pid} {orphan}")
print("ready", flush=True)
time.sleep(0 if os.environ["LENGTH"] == "short" else 600)
"""


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda it: it.name
)
def test_jobs_die_with_the_emulator(tmp_path, make_request, number):
    """Whatever ends it, and whatever they have started."""
    command = [sys.executable, "-P", "-m", "byohpo_sagemaker_emulator.cli", "--port", "0", "--folder", str(tmp_path)]
    pids, script = tmp_path / "pids", tmp_path / "leaves_much.py"
    script.write_text(LEAVES_MUCH)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            told = {}
            while (line := process.stdout.readline()) and "Ctrl-C" not in line:
                told.update(re.findall(r"export (\w+)=(\S+)", line))
            options = {
                "endpoint_url": told["AWS_ENDPOINT_URL"],
                "region_name": told["AWS_DEFAULT_REGION"],
                "aws_access_key_id": told["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": told["AWS_SECRET_ACCESS_KEY"],
            }
            boto3.client("s3", **options).create_bucket(Bucket="bucket")
            specification = {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", str(script)],
            }
            environment = {"PIDS": str(pids), "LENGTH": "long"}
            request = make_request("job", AlgorithmSpecification=specification, Environment=environment)
            boto3.client("sagemaker", **options).create_training_job(**request)
            wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
            started = [int(pid) for pid in pids.read_text().split()]
            assert all(alive(pid) for pid in started)
            process.send_signal(number)
            assert process.wait(30) == (-number if number == signal.SIGKILL else 0)
            wait_until(lambda: not any(alive(pid) for pid in started), seconds=10)
        finally:
            process.kill()


def test_what_a_job_leaves_behind_ends_with_it(desk, tmp_path, place):
    """Also what has left its process group, and what nobody is the parent of any more."""
    pids = tmp_path / "pids"
    environment = {"PIDS": str(pids), "LENGTH": "short"}
    desk.create("job", HyperParameters=desk.script(LEAVES_MUCH), Environment=environment)
    done(desk)
    assert not [pid for pid in pids.read_text().split() if alive(int(pid))]


def test_a_job_cannot_be_started_is_told(desk, place):
    """The reason has the exit code that a shell gives, and the log the name of the command."""
    specification = {"TrainingImage": "i", "TrainingInputMode": "File", "ContainerEntrypoint": ["no-such-program"]}
    desk.create("job", AlgorithmSpecification=specification)
    job = desk.wait("job")
    assert job["FailureReason"].endswith("exit code: 127")
    assert "no-such-program" in desk.lines("job/")[0]


@pytest.mark.parametrize("held", [False, True], ids=["alone", "copied"])
def test_a_process_is_ended_although_its_pipe_is_held_elsewhere(held):
    """A fork of the emulator's process has a copy of the pipe, so its end alone would not be noticed."""
    process = Process(["sleep", "600"], None, {"PATH": os.environ["PATH"]}, lambda _: None)
    copies = [os.dup(process._process.stdin.fileno())] if held else []
    closing = threading.Event()
    closing.set()
    assert process.watch(lambda _: None, lambda: None, closing, 600) == "ended"
    assert process.code == 128 + signal.SIGKILL
    for copy in copies:
        os.close(copy)


def test_a_job_that_kills_its_keeper_dies(desk, tmp_path, place):
    """It fails as any job that is killed, and the emulator goes on."""
    pids = tmp_path / "pids"
    script = f"""
        import os, pathlib, signal, time
        pathlib.Path({str(pids)!r}).write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    """
    desk.create("job", HyperParameters=desk.script(textwrap.dedent(script)))
    assert desk.wait("job")["FailureReason"].endswith("exit code: 137")
    assert not alive(int(pids.read_text()))
