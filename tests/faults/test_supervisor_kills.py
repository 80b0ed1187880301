"""Supervisors, keepers, drivers and scripts of local jobs are killed, and no trial ever trains twice at once."""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from studies import DEADLINE

from byohpo_core import Tuner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

JOBS = 5
DRIVER = """
    import os, sys
    from byohpo_core import ContinuousParameter, TrainingScript, Tuner, UnknownStudy
    script = TrainingScript("train.py", environment={"LEDGER": os.path.abspath("ledger")})
    try:
        tuner = Tuner.attach("s", progress=False)
    except UnknownStudy:
        Tuner(script, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", objective_type="Minimize",
              max_jobs=5, max_parallel_jobs=3, max_attempts=99, failure_limit=False, random_seed=11,
              progress=False).fit(job_name="s")
    else:
        tuner.resume()
"""
TRAIN = """
    import fcntl, os, sys, time

    def tell(what):
        ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(ledger, f"{what} {job}\\n".encode())
        os.close(ledger)

    def leave_a_child(*, session=False, environment=True, claim=False):
        # It keeps the trial's lock, and lives until it is killed.
        if not os.fork():
            if session:
                os.setsid()
                os.chdir("/")
            for descriptor in range(3, 64) if not claim else ():
                if descriptor != lock:
                    try:
                        os.close(descriptor)
                    except OSError:
                        pass
            os.set_inheritable(lock, True)
            os.execve("/bin/sleep", ["sleep", "600"], dict(os.environ) if environment else {})

    job = os.environ["TRAINING_JOB_NAME"]
    trial = job.split("-")[-2]
    lock = os.open(os.environ["LEDGER"] + "." + trial, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell("twice")
    tell("begin")
    kind = int(trial) % 5
    if kind == 0:
        leave_a_child()
    elif kind == 1:
        leave_a_child(environment=False)
    elif kind == 2:
        leave_a_child(session=True)
    elif kind == 3:
        leave_a_child(session=True, environment=False, claim=True)
    elif os.path.exists(os.environ["LEDGER"] + ".escape"):
        leave_a_child(session=True, environment=False)
    x = float(sys.argv[2])
    time.sleep(0.1 + x / 3)
    print(f"loss={x}", flush=True)
    tell("end")
"""
KINDS = (
    "the supervisor",
    "its keeper",
    "supervisor and keeper",
    "the driver",
    "driver and supervisor",
    "driver, supervisor and keeper",
    "the driver's process group",
    "the script",
    "the script's process group",
    "supervisor, keeper and script",
    "all at once",
)
ESCAPING = {"the supervisor", "its keeper", "the driver", "driver and supervisor", "the driver's process group"}
"""What may be killed while one of supervisor and keeper is left to find a child that hides from all others."""
CASES, KILLS, LEFT = "cases", "kills", "survivors"
AT_ONCE = "instants with two processes of one trial"
TWICE = "trials run to the end twice, as their status was lost"
MOMENTS = ("random", "ordered", "locked", "claimed", "prepared", "logged", "begun", "trained", "ended")


def prepare(folder, kind):
    folder.mkdir()
    (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))
    if kind in ESCAPING:
        (folder / "ledger.escape").touch()


def drive(folder):
    environment = {name: value for name, value in os.environ.items() if name != "BYOHPO_JOURNAL"}
    return subprocess.Popen(
        [sys.executable, "driver.py"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def processes(folder):
    """The supervisors and keepers of a study, and its scripts: id, parent."""
    jobs, supervising, training = f"{folder}/byohpo-jobs/", {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if any(word.startswith(jobs) for word in words) and any("local.supervisor" in word for word in words):
                    supervising[int(entry.name)] = parent
                elif f"LEDGER={folder}/ledger" in (entry / "environ").read_bytes().decode(errors="replace").split("\0"):
                    training[int(entry.name)] = parent
    supervisors = {pid for pid, parent in supervising.items() if parent in supervising}
    scripts = {pid for pid, parent in training.items() if parent in supervising}
    return supervisors, supervising.keys() - supervisors, scripts


def has_come(folder, moment, earlier):
    """Whether some job has come to this point."""
    jobs, ledger = "byohpo-jobs/*/*", told(folder)
    sign = {
        "ordered": "-*.json",
        "locked": "/supervisor.lock",
        "claimed": "/claim",
        "prepared": "/ml/input/config",
        "logged": "/log.txt",
        "ended": "/exit.json",
    }
    if moment in sign:
        return len(list(folder.glob(jobs + sign[moment]))) > earlier
    return len([line for line in ledger if line.startswith({"begun": "begin", "trained": "end"}[moment])]) > earlier


def told(folder):
    return (folder / "ledger").read_text().splitlines() if (folder / "ledger").exists() else []


def kill(folder, driver, kind):
    """Kill what is alive of this kind; False if there was nothing."""
    supervisors, keepers, scripts = processes(folder)
    doomed = set()
    if "supervisor" in kind or kind == "all at once":
        doomed |= supervisors
    if "keeper" in kind or kind == "all at once":
        doomed |= keepers
    if "script" in kind or kind == "all at once":
        doomed |= {-pid for pid in scripts} if "group" in kind else scripts
    if "driver" in kind or kind == "all at once":
        doomed.add(-driver.pid if "group" in kind else driver.pid)
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(doomed)


def life(folder, kind, moment, seed):
    """One study, in which what this kind names is killed three times at this moment; what came of it."""
    draw = random.Random(seed)
    prepare(folder, kind)
    counts, earlier = Counter(), 0
    driver = drive(folder)
    for _ in range(3):
        if moment == "random":
            with suppress(subprocess.TimeoutExpired):
                driver.wait(draw.uniform(0.2, 1.2))
        else:
            while driver.poll() is None and not has_come(folder, moment, earlier):
                time.sleep(0.001)
            earlier += draw.randint(1, 2)
        if driver.poll() is not None:
            break
        counts[KILLS] += kill(folder, driver, kind)
        if "driver" in kind or kind == "all at once":
            driver.communicate()
            driver = drive(folder)
    _, error = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 0, (kind, moment, seed, error.decode())
    return counts + check(folder, kind)


def check(folder, kind):
    study = Tuner.attach("s", journal=folder / "byohpo.db", progress=False).study
    assert study.stop_reason == f"max_jobs ({JOBS}) reached"
    for trial in study.trials:
        if str(trial.status) != "Completed":  # its script was killed, or the process that was about to become it
            assert str(trial.status) == "Failed"
            assert trial.reason.startswith("killed by SIGKILL")
            assert "script" in kind or kind == "all at once" or f"begin {trial.job_name}" not in told(folder)
    ledger = Counter(line.split()[0] for line in told(folder))
    begun = Counter(line for line in told(folder) if line.startswith("begin"))
    assert set(begun.values()) <= {1}
    ends = [line.split()[1] for line in told(folder) if line.startswith("end")]
    last = {trial.job_name for trial in study.trials}
    for job in {*ends} - last:  # it was trained again, so nobody has written how it ended
        assert not (folder / "byohpo-jobs" / study.id / job / "exit.json").exists()
    for trial in study.trials:  # no result without an exit status that somebody took
        status = json.loads((folder / "byohpo-jobs" / study.id / trial.job_name / "exit.json").read_text())
        assert (status["code"] == 0) == (str(trial.status) == "Completed")
    trained = {job.rsplit("-", 1)[0] for job in ends}
    left = sum(is_locked(path) for path in folder.glob("ledger.[0-9]*"))
    return Counter({CASES: 1, AT_ONCE: ledger["twice"], LEFT: left, TWICE: len(ends) - len(trained)})


def is_locked(path):
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_no_kill_lets_a_trial_train_twice_at_once(long, counts, own_folder):
    """Whatever is killed, and when: no two processes of one trial, none left at the end, and no result is invented."""
    cases = [(kind, moment) for kind in KINDS for moment in MOMENTS]
    random.Random(1).shuffle(cases)
    number, total = count(), Counter()
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2 if long else 1):
            some = cases if long else cases[:15]
            lives = [(own_folder / f"study{next(number)}", *case) for case in some]
            for found in pool.map(lambda it: life(*it, seed=it[0].name), lives):
                total += found
            for folder, *_ in lives:
                shutil.rmtree(folder)
    for what in (CASES, KILLS, AT_ONCE, LEFT, TWICE):
        counts[f"local jobs: {what}"] += total[what]
    assert total[AT_ONCE] == total[LEFT] == 0
    assert total[KILLS] >= total[CASES]
