"""The `byohpo-emulator` command, and the examples in the README."""

import contextlib
import io
import re
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from byohpo_sagemaker_emulator import cli, mounts

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```\n\nprints `(.*?)`", README.read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=["runs", "simulates"])
def test_the_readme_prints_what_it_says(code, printed):
    """Each code block of the README prints the output that follows it."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(code, {})
    assert output.getvalue().strip() == printed


def test_the_command_serves_until_it_is_told_to_end():
    """It prints the variables to set and the place of job files, and ends with code 0 after SIGINT."""
    command = [sys.executable, "-P", "-m", "byohpo_sagemaker_emulator.cli", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline()]
            while lines[-1] and "Ctrl-C" not in lines[-1]:
                lines.append(process.stdout.readline())
            told = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
            client = boto3.client(
                "sagemaker",
                endpoint_url=told["AWS_ENDPOINT_URL"],
                region_name=told["AWS_DEFAULT_REGION"],
                aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
            )
            assert client.list_training_jobs()["TrainingJobSummaries"] == []
            assert "this machine only" in lines[0]
            assert ("/opt/ml" if mounts.mount_command() else "SAGEMAKER_BASE_DIR") in lines[1]
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


CLOSED = """
import ctypes, os, signal
from byohpo_sagemaker_emulator import cli
def look(*_):
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)  # PR_GET_DUMPABLE
    os.kill(os.getpid(), signal.SIGTERM)
cli._tell = look
raise SystemExit(cli.main(["--port", "0"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/PID/environ")
def test_the_command_closes_its_environment_to_its_jobs():
    """They run as the same user, who could read it otherwise."""
    done = subprocess.run([sys.executable, "-P", "-c", CLOSED], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_a_port_in_use_is_told_in_a_line(start, capsys):
    """The error is one line that names the port, and the exit code is 1."""
    port = start(job=lambda _: None).emulator._server.port
    command = [sys.executable, "-P", "-m", "byohpo_sagemaker_emulator.cli", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("byohpo-emulator: ")
    assert str(port) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--port 99999", "--port -1", "--port x", "--quota 0", "--stop-grace-seconds -1"])
def test_an_option_out_of_its_range_is_refused(option, capsys):
    """The last line names the option and its value; the exit code is 2."""
    name, value = option.split()
    with pytest.raises(SystemExit) as left:
        cli.main([f"{name}={value}"])
    assert left.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert name in told
    assert value in told


def test_options_are_explained(capsys):
    """The help lists every option."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    options = ("--port", "--folder", "--quota", "--stop-grace-seconds", "--credentials", "--keys")
    assert all(option in text for option in options)
    assert "weaker" in text


def test_keys_may_be_fixed_and_written_to_a_file(tmp_path):
    """Fixed ones are told to be weaker. The file is one that the AWS tools read."""
    file = tmp_path / "keys"
    command = [sys.executable, "-P", "-m", "byohpo_sagemaker_emulator.cli", "--port", "0"]
    command += ["--keys", "ci:a'secret$", "--credentials", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            while (line := process.stdout.readline()) and "Ctrl-C" not in line:
                lines.append(line.strip())
            assert "weaker" in process.stderr.readline()
            assert file.stat().st_mode & 0o777 == 0o600
            assert any(str(file) in line for line in lines)
            exports = "".join(f"{line}; " for line in lines if line.startswith("export "))
            shell = ["sh", "-c", f'{exports} echo "$AWS_ENDPOINT_URL" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"']
            url, *keys = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split()
            assert keys == ["ci", "a'secret$"]
            variables = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_ENDPOINT_URL": url}
            look = "import boto3; print(boto3.client('sts', 'us-east-1').get_caller_identity()['Account'])"
            python = [sys.executable, "-P", "-c", look]
            done = subprocess.run(python, env=variables, capture_output=True, text=True, check=True)
            assert done.stdout == "123456789012\n"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (["--keys", "secret"], "ID:SECRET", 2),
        (["--credentials", "{file}"], "{file} exists, and the emulator has not written it", 1),
        (["--credentials", "{file}/below"], "cannot use {file}/", 1),
        (["--folder", "{file}"], "cannot use {file}", 1),
    ],
    ids=["keys", "credentials", "nowhere", "folder"],
)
def test_what_cannot_be_used_is_told_in_a_line(tmp_path, arguments, told, code):
    """It names the file, which stays as it is, and nothing is left behind."""
    file = tmp_path / "file"
    file.write_text("mine")
    command = [sys.executable, "-P", "-m", "byohpo_sagemaker_emulator.cli", "--port", "0"]
    command += [argument.format(file=file) for argument in arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    last = done.stderr.splitlines()[-1]
    assert last.startswith("byohpo-emulator: ")
    assert told.format(file=file) in last
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "mine"
