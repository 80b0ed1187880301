"""`byohpo stop` on a journal from somebody else runs nothing, kills no stranger and writes nothing elsewhere."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from studies import Killed, attach, byohpo, dying, tuner

from byohpo_core import TrainingScript
from byohpo_core.journal import open_journal


@pytest.fixture
def mark(own_folder, monkeypatch):
    """A file that shows that foreign code has run; nothing is trusted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    return own_folder / "it-ran"


def foreign(mark, folder="byohpo-jobs"):
    """A journal, made elsewhere, of three jobs that were to start. Returns the folders of the jobs."""
    interpreter = mark.parent / "python"
    interpreter.write_text(f"#!/bin/sh\ntouch {mark}\n")
    interpreter.chmod(0o755)
    Path("train.py").write_text("print('loss=1')\n")
    with dying(journal="made.db", moment="after"), pytest.raises(Killed):
        tuner(TrainingScript("train.py"), journal="made.db").fit(job_name="made")
    made = open_journal("made.db").find("made")
    manifest = attach("made", TrainingScript("train.py"), journal="made.db").describe()["Manifest"]
    manifest["backend"]["python"] = str(interpreter)
    manifest["settings"]["folder"] = str(mark.parent / folder)
    open_journal("studies.db").take(attrs.evolve(made.record, name="s", manifest=manifest), [*made.read()])
    jobs = [mark.parent / folder / made.id / f"{made.id}-{number}-0" for number in range(3)]
    return [job for job in jobs if job.parent.mkdir(parents=True, exist_ok=True) is None]


def stop():
    done = byohpo("stop", "s", "--journal", "studies.db")
    assert done.returncode == 0, done.stderr


SIGNS = {
    "none": lambda _: None,
    "a folder alone": lambda job: job.mkdir(),
    # The supervisor works in another folder than the driver, so for it there is nothing.
    "a sign for the driver alone": lambda job: (job.mkdir(), (job / "stop").symlink_to("/proc/self/cwd/studies.db")),
    "a sign that leads nowhere": lambda job: (job.mkdir(), (job / "stop").symlink_to("nowhere")),
    "a folder that is a link": lambda job: job.symlink_to(job.parents[2] / "elsewhere"),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_no_job_is_started_to_be_stopped(sign, mark, own_folder):
    """Whatever stands in the place where the sign to stop would be."""
    (own_folder / "elsewhere").mkdir()
    for job in foreign(mark):
        SIGNS[sign](job)
    before = {*own_folder.rglob("*")}
    stop()
    assert not mark.exists()
    new = {*own_folder.rglob("*")} - before
    assert {path.name for path in new} <= {"stop", *(path.name for path in own_folder.glob("studies.db*"))}
    assert not any((own_folder / "elsewhere").iterdir())


def test_no_folder_is_created_where_a_journal_says(mark, own_folder):
    jobs = foreign(mark, "away")
    jobs[0].parent.rmdir()
    (own_folder / "away").rmdir()
    stop()
    assert not (own_folder / "away").exists()


@pytest.fixture
def stranger(own_folder):
    """Another program of this user, which keeps a file locked."""
    locked = own_folder / "locked"
    locked.touch()
    wait = "import sys, time; print(flush=True); time.sleep(100)"
    with locked.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        program = subprocess.Popen(
            [sys.executable, "-c", wait], start_new_session=True, pass_fds=[file.fileno()], stdout=subprocess.PIPE
        )
    program.stdout.readline()
    yield program
    program.kill()
    program.wait()
    program.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is known by its group alone")
@pytest.mark.parametrize("how", ["its group", "its lock"])
def test_no_process_of_another_program_is_killed(how, mark, stranger, own_folder):
    """A claim is a file like any other: anybody can write into it what is to be read in /proc."""
    fields = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    for job in foreign(mark):
        job.mkdir()
        if how == "its lock":
            (job / "claim").symlink_to(own_folder / "locked")
        else:
            group = {"group": stranger.pid, "session": stranger.pid, "started": f"{fields[19]} {boot}"}
            (job / "claim").write_text(json.dumps(group))
    stop()
    assert stranger.poll() is None
