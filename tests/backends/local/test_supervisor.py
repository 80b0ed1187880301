"""A local job's processes: one attempt at a time, and nothing is left when it is over."""

import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest
import studies
from inside import Job
from studies import DEADLINE, alive, wait_for

from byohpo_core import ContinuousParameter, TrainingScript, Tuner
from byohpo_core.journal import open_journal

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt its orphaned descendants")
RANGES = {"x": ContinuousParameter(0, 5)}
HIDING_CHILD = """
    def hide():
        # A child in a session of its own, with nothing open and no environment.
        told, tell = os.pipe()
        if not os.fork():
            os.setsid()
            if os.fork():
                os._exit(0)
            os.write(tell, str(os.getpid()).encode())
            os.chdir("/")
            os.closerange(0, 64)
            os.execve("/bin/sleep", ["sleep", "600"], {})
        return int(os.read(told, 9))
"""
ONE_AT_A_TIME = """
    import fcntl, os, signal, sys, time
    job = os.environ["TRAINING_JOB_NAME"]
    trial, attempt = job.split("-")[-2:]
    def tell(what):
        with open(os.environ["LEDGER"], "a") as ledger:
            ledger.write(what + "\\n")
    lock = os.open(os.environ["LEDGER"] + "." + trial, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell("two at once")
    tell(job)
"""


def tuner(script, *, ranges=None, **settings):
    Path("train.py").write_text("\n".join(map(textwrap.dedent, script)))
    estimator = TrainingScript("train.py", environment={"LEDGER": str(Path("ledger").absolute())})
    settings = {"max_jobs": 1, "max_parallel_jobs": 1, **settings}
    return studies.tuner(estimator, ranges or RANGES, **settings)


def tune(*script, **settings):
    return tuner([*script], **settings).fit(job_name="s")


def told():
    return Path("ledger").read_text().splitlines()


def fates(study):
    return [(str(trial.status), trial.attempt) for trial in study.trials]


def reasons():
    """Why attempts were tried again."""
    with closing(open_journal(studies.JOURNAL)) as journal:
        return [event.body["reason"] for event in journal.find("s").read() if event.kind == "retried"]


@LINUX
def test_a_child_that_hides_ends_with_its_job():
    """In its own session, without environment and open files: nothing but its parentage tells that it is the job's."""
    study = tune("import os", HIDING_CHILD, "print(f'loss={hide()}')")
    assert fates(study) == [("Completed", 0)]
    assert not alive(int(study.trials[0].value))


@LINUX
@pytest.mark.parametrize("killed", ["os.getppid()", "keeper"], ids=["supervisor", "keeper"])
def test_of_supervisor_and_keeper_the_one_that_is_left_ends_all(killed):
    """The script, and a child that hides."""
    study = tune(
        ONE_AT_A_TIME,
        HIDING_CHILD,
        f"""
        tell(str(hide()))
        keeper = int(open(f"/proc/{{os.getppid()}}/stat").read().rpartition(")")[2].split()[1])
        if attempt == "0":
            os.kill({killed}, signal.SIGKILL)
            time.sleep(1)
        print("loss=1")
        """,
    )
    assert fates(study) == [("Completed", 1 if "ppid" in killed else 0)]
    assert "two at once" not in told()
    assert not any(alive(int(line)) for line in told() if line.isdigit())


def test_a_script_whose_end_nobody_saw_has_not_completed():
    """Supervisor and keeper are killed; the script ignores what it can, and would end well."""
    study = tune(
        ONE_AT_A_TIME,
        """
        print("loss=1", flush=True)
        if attempt == "0":
            os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
            time.sleep(0.5)
            tell("trained")
        """,
    )
    assert fates(study) == [("Completed", 1)]
    assert reasons() == ["its supervisor died"]
    assert told() == [f"{study.id}-0-{attempt}" for attempt in (0, 1)]


NO_PROC = """
    from byohpo_core.backends import orphans
    orphans.LINUX = False
"""


def test_without_proc_the_group_is_killed(monkeypatch):
    """As on macOS: the script outlives its supervisor, and `ps` finds its group before it is tried again."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(textwrap.dedent(NO_PROC))
    monkeypatch.setenv("PYTHONPATH", str(Path("site").absolute()))
    monkeypatch.setattr("byohpo_core.backends.local.processes.LINUX", False)
    study = tune(
        ONE_AT_A_TIME,
        """
        child = os.fork()
        if attempt == "0":
            if child:
                os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
            time.sleep(600)
        print("loss=1")
        """,
    )
    assert fates(study) == [("Completed", 1)]
    assert told() == [f"{study.id}-0-{attempt}" for attempt in (0, 1)]


def test_while_the_claim_is_locked_by_somebody_the_job_is_not_tried_again():
    """Here by the driver itself, the one process that it never kills."""
    study = tune(
        ONE_AT_A_TIME,
        """
        if attempt == "0":
            os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
            time.sleep(600)
        print("loss=1")
        """,
    )
    assert fates(study) == [("Completed", 1)]
    first = Job(Path("byohpo-jobs", study.id).absolute(), f"{study.id}-0-0")
    assert first.end_processes()
    with (first.folder / "claim").open("r+b") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        assert not first.end_processes()
    assert first.end_processes()


def test_the_supervisor_of_an_earlier_release_counts_as_one():
    """It locked only the claim, with another kind of lock."""
    job = Job(Path().absolute(), "s-0-0")
    job.folder.mkdir()
    hold = (
        "import fcntl, sys; claim = open('s-0-0/claim', 'wb'); fcntl.lockf(claim, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as earlier:
        assert earlier.stdout.readline() == b"held\n"
        assert job.is_claimed
        assert job.is_supervised()
        earlier.kill()
    assert not job.is_supervised()


@pytest.mark.parametrize("whole", [False, True], ids=["job", "study"])
def test_a_job_whose_folder_is_deleted_is_interrupted(whole):
    """Its script is killed before it is tried again. Without the copied source no further job can run."""
    study = tune(
        ONE_AT_A_TIME,
        f"""
        import shutil
        if attempt == "0":
            folder = os.path.dirname(os.environ["SAGEMAKER_BASE_DIR"])
            folder = os.path.dirname(folder) if {whole} else folder
            os.rename(folder, folder + "-deleted")  # at once: this script is killed as soon as its own is missing
            shutil.rmtree(folder + "-deleted")
            time.sleep(600)
        print("loss=1")
        """,
    )
    assert fates(study) == [("Failed", 2) if whole else ("Completed", 1)]
    assert "deleted" in reasons()[0]  # the folder, or first the claim in it
    assert told()[:1] == [f"{study.id}-0-0"]
    assert "two at once" not in told()


def test_a_job_whose_folder_is_deleted_while_no_driver_runs_is_interrupted():
    """The next driver neither waits for it nor starts it under its old name."""
    driver = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from studies import tuner
        from byohpo_core import ContinuousParameter, TrainingScript
        script = TrainingScript("train.py", environment={"LEDGER": sys.argv[2]})
        tuner(script, {"x": ContinuousParameter(0, 5)}, max_jobs=1, max_parallel_jobs=1).fit(job_name="s")
    """
    tuner([ONE_AT_A_TIME, "time.sleep(600 * (attempt == '0')); print('loss=1')"])
    Path("driver.py").write_text(textwrap.dedent(driver))
    ledger = Path("ledger").absolute()
    with subprocess.Popen([sys.executable, "driver.py", str(Path(studies.__file__).parent), str(ledger)]) as process:
        wait_for(ledger.exists)
        process.kill()
    (folder,) = Path("byohpo-jobs").glob("*/*-0-0")
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    study = Tuner.attach("s", journal=studies.JOURNAL, progress=False).resume()
    assert fates(study) == [("Completed", 1)]
    assert told() == [f"{study.id}-0-{attempt}" for attempt in (0, 1)]


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o777], ids=oct)
def test_what_the_backend_creates_is_private(umask):
    """0600 and 0700 under any umask; what the script creates has the user's."""
    Path("source/sub").mkdir(parents=True)
    Path("source/sub/run.sh").touch(mode=0o755)
    Path("source/train.py").write_text(
        "import os; open(os.environ['SM_MODEL_DIR'] + '/mine', 'w').close(); print('loss=1')"
    )
    Path("source").chmod(0o755)
    old = os.umask(umask)
    try:
        study = studies.tuner(
            TrainingScript("train.py", source_dir="source"), RANGES, max_jobs=1, max_parallel_jobs=1, journal=":memory:"
        ).fit(job_name="s")
    finally:
        os.umask(old)
    assert fates(study) == [("Completed", 0)]
    found = {path: path.lstat().st_mode & 0o777 for path in [Path("byohpo-jobs"), *Path("byohpo-jobs").rglob("*")]}
    mine = [found.pop(path) for path in [*found] if path.name == "mine"]
    assert mine == [0o666 & ~umask]
    runnable = [found.pop(path) for path in [*found] if path.name == "run.sh"]
    assert runnable == [0o700] * 2
    assert {path: oct(mode) for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_few_open_files_are_enough(caplog):
    """With 20 for a driver of 24 slots, every job runs in its first attempt."""
    driver = f"""
        import resource, sys
        from byohpo_core import Tuner
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        sys.path.insert(0, {str(Path(studies.__file__).parent)!r})
        from studies import tuner
        from byohpo_core import ContinuousParameter, TrainingScript
        tuner(TrainingScript("train.py"), {{"x": ContinuousParameter(0, 5)}}, max_jobs=24, max_parallel_jobs=24).fit(
            job_name="s")
    """
    Path("train.py").write_text("print('loss=1')")
    Path("driver.py").write_text(textwrap.dedent(driver))
    subprocess.run([sys.executable, "driver.py"], check=True, timeout=DEADLINE)
    assert fates(Tuner.attach("s", journal=studies.JOURNAL).study) == [("Completed", 0)] * 24


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EAGAIN], ids=errno.errorcode.get)
def test_a_job_without_room_waits_for_another_to_end(error, monkeypatch, caplog):
    """The machine lets two jobs run: the slots shrink with a message, and no trial loses an attempt."""
    popen, most = subprocess.Popen, []
    refused = Path("refused").absolute()

    def room_for_two(command, **options):
        running = [it for it in Path("byohpo-jobs").glob("*/*/claim") if not it.with_name("exit.json").exists()]
        if len(running) >= 2:
            refused.touch()
            raise OSError(error, os.strerror(error))
        most.append(len(running))
        return popen(command, **options)

    def one_by_one(command, **options):
        process = room_for_two(command, **options)
        wait_for(lambda: process.poll() is not None)
        return process

    monkeypatch.setattr("byohpo_core.backends.local.backend.subprocess.Popen", one_by_one)
    script = f"""
        import pathlib, time
        while not pathlib.Path({str(refused)!r}).exists():
            time.sleep(.02)
        time.sleep(.5)
        print('loss=1')
    """
    with caplog.at_level(logging.WARNING, "byohpo"):
        study = tune(textwrap.dedent(script), max_jobs=6, max_parallel_jobs=5)
    assert fates(study) == [("Completed", 0)] * 6
    assert max(most) == 1
    assert caplog.messages[0] == (
        "this machine's room for processes and open files is used up: 2 jobs run, 3 wait to start"
    )


NO_ROOM_FOR_A_FORK = """
    import os, pathlib, time
    fork, count = os.fork, 0

    def fork_if_there_is_room():
        global count
        count += 1
        here = pathlib.Path().absolute()
        if count == {which} and here.name.endswith("-1-0"):
            first = here.with_name(here.name.replace("-1-0", "-0-0"))
            while not (first / "claim").exists():
                time.sleep(0.01)
            if not (first / "exit.json").exists():
                raise OSError({error}, os.strerror({error}))
        return fork()

    os.fork = fork_if_there_is_room
"""


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOMEM], ids=errno.errorcode.get)
@pytest.mark.parametrize("which", [1, 2], ids=["before the claim", "after it"])
def test_a_supervisor_without_room_to_fork_gives_its_job_back(which, error, monkeypatch, caplog):
    """The job waits like one whose supervisor could not be started at all, and keeps its attempt."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(textwrap.dedent(NO_ROOM_FOR_A_FORK.format(which=which, error=error)))
    monkeypatch.setenv("PYTHONPATH", str(Path("site").absolute()))
    with caplog.at_level(logging.WARNING, "byohpo"):
        study = tune("import time; time.sleep(1); print('loss=1')", max_jobs=2, max_parallel_jobs=2)
    assert fates(study) == [("Completed", 0)] * 2
    assert caplog.messages == [
        "this machine's room for processes and open files is used up: 1 jobs run, 1 wait to start"
    ]


def test_a_stopped_study_gives_up_the_jobs_that_wait_for_room(monkeypatch):
    """They were never started."""
    popen, started = subprocess.Popen, []

    def room_for_one(command, **options):
        if started:
            raise OSError(errno.EMFILE, "Too many open files")
        started.append(command)
        return popen(command, **options)

    monkeypatch.setattr("byohpo_core.backends.local.backend.subprocess.Popen", room_for_one)
    study = tune("import time; time.sleep(600)", max_jobs=3, max_parallel_jobs=3, max_runtime_in_seconds=0.5)
    assert [str(trial.status) for trial in study.trials] == ["Pruned"] * 3
    assert len(list(Path("byohpo-jobs").glob("*/*/claim"))) == 1


def test_a_supervisor_that_was_killed_before_it_claimed_leaves_nobody(monkeypatch):
    """Its child may be about to claim the job."""
    popen, started = subprocess.Popen, []

    def killed_at_first(command, **options):
        process = popen(command, **options)
        if not started:
            time.sleep(0.1)
            process.kill()
        started.append(command)
        return process

    monkeypatch.setattr("byohpo_core.backends.local.backend.subprocess.Popen", killed_at_first)
    study = tune(ONE_AT_A_TIME, "time.sleep(0.3); print('loss=1')")
    assert [str(trial.status) for trial in study.trials] == ["Completed"]
    assert "two at once" not in told()


def test_a_status_names_the_signal_and_the_claim_the_group():
    """People can read who runs a job."""
    study = tune("import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGTERM)")
    folder = Path("byohpo-jobs", study.id, study.trials[0].job_name)
    assert json.loads((folder / "exit.json").read_text())["code"] == -signal.SIGTERM
    assert json.loads((folder / "claim").read_text())["group"] == int((folder / "log.txt").read_text())


def test_what_the_backend_renames_is_on_disk(monkeypatch):
    """The content before the rename, the new name after it: for the copy of the source and for each order."""
    deeds = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        deeds.append(("sync", Path(f"/proc/self/fd/{descriptor}").resolve()))
        fsync(descriptor)

    def renamed(source, target):
        deeds.append(("rename", Path(source).absolute(), Path(target).absolute()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    Path("source").mkdir()
    Path("source/train.py").write_text("print('loss=1')")
    studies.tune(TrainingScript("train.py", source_dir="source"), max_jobs=1, max_parallel_jobs=1)
    renames = [(place, *it[1:]) for place, it in enumerate(deeds) if it[0] == "rename"]
    assert len(renames) == 2
    for place, source, target in renames:
        before = source / "train.py" if target.name == "code" else source
        assert ("sync", before) in deeds[:place]
        assert deeds[place + 1] == ("sync", target.parent)
