"""Page 4 of docs/bring-your-own, run as it stands: a backend passes the kit, works from TOML, and resumes by name."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-own" / "4-a-backend.md"
TRAIN = """
import argparse, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
time.sleep(0.3)
print(f"loss={(x - 1) ** 2}")
"""


@pytest.fixture
def environment():
    """The page's files in the working folder, its package installed into one beside, and two workers on the queue."""
    text = PAGE.read_text(encoding="utf-8")
    for name, body in re.findall(r"```\w+ title=(\S+)\n(.*?)```", text, re.DOTALL):
        Path(name).write_text(body)
    Path("train.py").write_text(TRAIN)
    commands = [
        shlex.split(line)
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    made, _, _, *others = commands
    assert made == ["mkdir", "queue"]
    assert [command[0] for command in others] == ["pytest", "pip", "byohpo", "byohpo", "byohpo", "byohpo"]
    Path("queue").mkdir()
    variables = {**os.environ, "PYTHONPATH": "installed"}
    install = [*others[1], "--target", "installed", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([sys.executable, "-m", *install], check=True)
    workers = [subprocess.Popen([sys.executable, "worker.py", "queue"]) for _ in range(4)]
    yield variables
    for worker in workers:
        worker.kill()
        worker.wait()


def byohpo(environment, *words):
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_is_short():
    """At most sixty lines, since that is what a newcomer will read."""
    (example,) = re.findall(r"```python title=byohpo_backend_queue_folder.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 60


@pytest.mark.kit
def test_the_example_passes_the_kit(environment):
    """As the page's test class runs it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_queue_folder.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d{2} passed", done.stdout)
    assert "failed" not in done.stdout


def test_the_example_is_listed_and_told(environment):
    """By the commands that the page shows."""
    assert "queue-folder  byohpo-backend-queue-folder  0.1.0" in byohpo(environment, "backends")
    told = byohpo(environment, "info", "queue-folder")
    assert 'kind = "queue-folder"' in told
    assert "queue" in told


def test_a_study_from_toml_goes_on_by_name_after_sigkill(environment):
    """Its driver is killed while jobs run; another process resumes it by name, and no job was started twice."""
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", "tune", "study.toml"]
    driver = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len([*Path("queue").glob("*.end")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert len([*Path("queue").glob("*.job")]) < 6
    assert "max_jobs (6) reached" in byohpo(environment, "resume", "queued")
    names = sorted(path.stem for path in Path("queue").glob("*.job"))
    assert len(names) == 6
    assert all(name.endswith("-0") for name in names)
    assert sorted(path.stem for path in Path("queue").glob("*.end")) == names
