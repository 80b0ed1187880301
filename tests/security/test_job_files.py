"""A script that writes, replaces or deletes the files by which byohpo runs its job."""

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import studies
from inside import Job, Watch

from byohpo_core import ContinuousParameter, TrainingScript
from byohpo_core.journal import open_journal

PREPARED = """
    import json, os, shutil, signal, sys, time
    folder = os.path.dirname(os.environ["SAGEMAKER_BASE_DIR"])
    os.chdir(folder)
    def kill_supervisors():
        os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
        time.sleep(600)
    def replace(name):
        if os.path.lexists(name):
            os.rename(name, name + ".before")
        return name
    def write(name, text):
        with open(replace(name), "w") as file:
            file.write(text)
    status = {"code": 0, "stopped": False, "started": 1.0, "ended": 2.0}
    print("loss=1", flush=True)
"""
COMPLETED = ("Completed", None)
GARBAGE = "its exit.json is not what its supervisor writes"
CLAIM = "the job's claim was deleted or replaced"
LOG = "its log.txt is not a file: the script must not replace it"
DIED = "its supervisor died"
CASES = {
    "a status that is overwritten": ("write('exit.json', 'nonsense')", *COMPLETED),
    "a status of its own": ("write('exit.json', json.dumps(status)); time.sleep(0.3); sys.exit(3)", "Failed", "code 3"),
    "a broken status": ("write('exit.json', '{\"code\": 0'); kill_supervisors()", "Failed", GARBAGE),
    "a status without a time": ("del status['ended']; write('exit.json', str(status))", *COMPLETED),
    "a status of wrong types": (
        "status['code'] = 'no'; write('exit.json', json.dumps(status)); kill_supervisors()",
        "Failed",
        GARBAGE,
    ),
    "a status that is a list": ("write('exit.json', '[]'); kill_supervisors()", "Failed", GARBAGE),
    "a deep status": ("write('exit.json', '[' * 60000); kill_supervisors()", "Failed", GARBAGE),
    "a huge status": (
        "write('exit.json', ''); os.truncate('exit.json', 2**40); kill_supervisors()",
        "Failed",
        GARBAGE,
    ),
    "a status that is bytes": ("open('exit.json', 'wb').write(b'\\xff'); kill_supervisors()", "Failed", GARBAGE),
    "a status that is a folder": ("os.mkdir('exit.json'); open('exit.json/a', 'w')", "Failed", GARBAGE),
    "a status that is a pipe": ("os.mkfifo('exit.json'); kill_supervisors()", "Failed", GARBAGE),
    "a status that is a socket": (
        "import socket; socket.socket(socket.AF_UNIX).bind('exit.json'); kill_supervisors()",
        "Failed",
        GARBAGE,
    ),
    "a time without end": (
        "status['ended'] = 10**400; write('exit.json', json.dumps(status)); kill_supervisors()",
        "Failed",
        GARBAGE,
    ),
    "a truncated claim": ("os.truncate('claim', 0)", *COMPLETED),
    "a truncated claim and no supervisor": ("os.truncate('claim', 0); kill_supervisors()", "Failed", DIED),
    "a claim that is nonsense": ("open('claim', 'r+').write('[' * 60000); kill_supervisors()", "Failed", DIED),
    "a deleted claim": ("os.remove('claim'); time.sleep(600)", "Failed", CLAIM),
    "a replaced claim": ("write('claim', ''); time.sleep(600)", "Failed", CLAIM),
    "a claim that is a folder": ("os.mkdir(replace('claim')); time.sleep(600)", "Failed", CLAIM),
    "a claim that is a pipe": ("os.mkfifo(replace('claim')); time.sleep(600)", "Failed", CLAIM),
    "a claim that is a socket": (
        "import socket; socket.socket(socket.AF_UNIX).bind(replace('claim')); time.sleep(600)",
        "Failed",
        CLAIM,
    ),
    "a claim that is a socket and no supervisor": (
        "import socket; socket.socket(socket.AF_UNIX).bind(replace('claim')); kill_supervisors()",
        "Failed",
        None,
    ),
    "a deleted lock": ("os.remove('supervisor.lock'); time.sleep(600)", "Failed", DIED),
    "a replaced lock": ("write('supervisor.lock', ''); time.sleep(600)", "Failed", DIED),
    "a lock that is a folder": ("os.mkdir(replace('supervisor.lock')); time.sleep(600)", "Failed", DIED),
    "a deleted log": ("os.remove('log.txt')", "Failed", "did not report 'loss'"),
    "a log that is a folder": ("os.mkdir(replace('log.txt'))", "Failed", LOG),
    "a log that is a pipe": ("os.mkfifo(replace('log.txt')); sys.exit(1)", "Failed", LOG),
    "a log that is a link": ("os.symlink(os.path.abspath('log.txt.before'), replace('log.txt'))", "Failed", LOG),
    "a log without an end": ("os.symlink('/dev/zero', replace('log.txt'))", "Failed", LOG),
    "a failure that is a folder": ("os.mkdir('ml/output/failure'); sys.exit(5)", "Failed", "exit code 5: loss=1"),
    "all deleted": ("[os.remove(name) for name in os.listdir() if name != 'ml']; time.sleep(600)", "Failed", None),
    "a file for a folder": ("os.chdir('..'); shutil.rmtree(folder); write(folder, '')", "Failed", None),
    "another order": ("write(folder + '.json', 'nonsense')", *COMPLETED),
}


@pytest.mark.parametrize(("script", "status", "reason"), CASES.values(), ids=CASES)
def test_a_script_that_touches_our_files_harms_only_itself(script, status, reason, caplog):
    """Its trial ends with a reason in one line, its study as always, and nobody waits for ever."""
    Path("train.py").write_text(textwrap.dedent(PREPARED) + script)
    begun = time.monotonic()
    study = studies.tune(
        TrainingScript("train.py"), {"x": ContinuousParameter(0, 5)}, max_jobs=1, max_parallel_jobs=1, max_attempts=1
    )
    assert time.monotonic() - begun < 20
    (trial,) = study.trials
    assert str(trial.status) == status, trial.reason
    with closing(open_journal(studies.JOURNAL)) as journal:
        told = [event.body.get("reason") or "" for event in journal.find("s").read() if event.kind == "finished"]
    assert all(len(line.splitlines()) <= 1 and "Traceback" not in line for line in told)
    assert reason is None or reason in str(trial.reason)


SWAPS = """
    def swap(name, text):
        # The name is a file, then a pipe, then a file again, as fast as it goes.
        with open(name + ".kept", "w") as file:
            file.write(text)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            os.link(name + ".kept", name + ".next")
            os.replace(name + ".next", name)
            os.mkfifo(name + ".next")
            os.replace(name + ".next", name)
    if os.fork():
        swap("log.txt", "loss=1")
    swap("exit.json", json.dumps(status))
"""
DRIVER = """
    import sys
    sys.path.insert(0, {tests!r})
    from studies import tuner
    from byohpo_core import TrainingScript
    tuner(TrainingScript("train.py", stop_grace_seconds=0.2), max_jobs=2, max_parallel_jobs=2, max_attempts=1,
          max_runtime_in_seconds=5).fit(job_name="s")
"""


def test_a_script_that_swaps_its_files_for_pipes_does_not_stop_the_driver():
    """Whatever the driver has seen of a file, it never waits for a writer when it opens it; so limits hold."""
    Path("train.py").write_text(textwrap.dedent(PREPARED) + textwrap.dedent(SWAPS))
    Path("driver.py").write_text(textwrap.dedent(DRIVER.format(tests=str(Path(studies.__file__).parent))))
    with subprocess.Popen([sys.executable, "driver.py"]) as driver:
        try:
            assert driver.wait(studies.DEADLINE) == 0
        finally:
            driver.kill()
    trials = studies.attach(estimator=TrainingScript("train.py")).study.trials
    assert {str(trial.status) for trial in trials} <= {"Failed", "Pruned", "Stopped"}


STATUS = {"code": 0, "stopped": False, "started": 1.0, "ended": 2.0}


def _make(kind, path):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        Path("elsewhere").write_text(json.dumps({"hyperparameters": {}, **STATUS}))
        path.symlink_to(Path("elsewhere").absolute())
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "socket", "nothing"])
def test_only_plain_files_of_a_job_are_read(kind):
    """Anything else counts as missing, and nobody waits for it."""
    job = Job(Path("jobs"), "j")
    job.folder.mkdir(parents=True)
    for path in (job.folder / "exit.json", job.order):
        _make(kind, path)
    told = []
    reader = threading.Thread(target=lambda: told.extend((job.status(), job.ordered())), daemon=True)
    reader.start()
    reader.join(5)
    assert told == [None] * 2


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "socket"])
def test_a_log_that_is_no_plain_file_is_an_error(kind):
    """It is told at once, by whoever looks before it opens the log and by whoever opens it."""
    job = Job(Path(), "j")
    job.folder.mkdir()
    _make(kind, job.folder / "log.txt")
    assert job.replaced() == LOG
    told = []

    def read():
        try:
            Watch(job.folder, {}, set()).read(time.monotonic() + 1, ended=False)
        except OSError as error:
            told.append(error.filename)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(5)
    assert [Path(name).name for name in told] == ["log.txt"]


@pytest.mark.parametrize("kind", ["pipe", "link to nothing", "link"])
def test_a_request_to_stop_opens_nothing_that_the_script_has_put_there(kind):
    """Whatever has the name of the sign is one."""
    job = Job(Path(), "j")
    job.folder.mkdir()
    _make(kind.removesuffix(" to nothing"), job.folder / "stop")
    if kind == "link to nothing":
        Path("elsewhere").unlink()
    job.ask_to_stop()
    assert Path("elsewhere").exists() == (kind == "link")


def test_a_job_with_a_link_for_a_sign_is_stopped():
    """Where the link leads does not matter."""
    Path("train.py").write_text(textwrap.dedent(PREPARED) + "os.symlink('nowhere', 'stop'); time.sleep(600)")
    study = studies.tune(TrainingScript("train.py", stop_grace_seconds=0.2), max_jobs=1, max_parallel_jobs=1)
    assert [str(trial.status) for trial in study.trials] == ["Stopped"]
