"""One driver at a time drives a study."""

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import attrs
import pytest
from studies import Killed, attach, dying, eventful, log_class

from byohpo_core import StudyBusy
from byohpo_core.cli import main
from byohpo_core.journal import open_journal


def test_two_drivers_of_one_study_are_refused_the_holder_is_named():
    """One driver at a time, across processes."""
    eventful(max_jobs=4).fit(job_name="s")
    code = """
        import sys
        from byohpo_core.journal import open_journal
        journal = open_journal("studies.db")
        with journal.find("s").hold():
            print("held", flush=True)
            sys.stdin.read()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyBusy, match=f"process {holder.pid} on "):
            attach().resume()
        assert attach().study.jobs == 4
        holder.stdin.close()
    assert attach().resume().jobs == 4


def test_two_drivers_in_one_process_are_refused():
    """A POSIX lock would not hold against one's own process."""
    eventful(max_jobs=4).fit(job_name="s")
    journal = open_journal("studies.db")
    with journal.find("s").hold(), pytest.raises(StudyBusy, match="this process"):
        attach().resume()


def test_a_lock_left_by_another_host_is_taken_over_only_on_request():
    """Nobody can tell from here whether the other host's driver lives."""
    study = eventful(max_jobs=4).fit(job_name="s")
    Path(f"studies.db.{study.id}.lock").write_text("process 1 on elsewhere")
    with pytest.raises(StudyBusy, match=r"process 1 on elsewhere.*--take-over"):
        attach().resume()
    assert attach().resume(take_over=True).jobs == 4


def test_a_stale_driver_is_fenced_by_the_journal(monkeypatch):
    """If another driver has written meanwhile, the stale one stops at its next commit."""
    log_type = log_class()
    append = log_type.append
    commits = 0

    def overtaken(log, events):
        nonlocal commits
        commits += 1
        append(log, events)
        if commits == 3:
            append(log, [attrs.evolve(events[-1], sequence=events[-1].sequence + 1)])

    monkeypatch.setattr(log_type, "append", overtaken)
    run = eventful().fit
    with pytest.raises(StudyBusy, match=r"another driver.*'s-"):
        run(job_name="s")


HOLDER = """
    import sys
    from byohpo_core.journal import open_journal
    with open_journal("studies.db").find("s").hold():
        print("held", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Another process that drives the study."""
    code = textwrap.dedent(HOLDER)
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def unfinished():
    """A study whose driver has died."""
    with dying(3, moment="after"), pytest.raises(Killed):
        eventful(max_jobs=6).fit(job_name="s")


def test_a_running_driver_is_shown_with_its_host_and_process(request, capsys):
    """`studies` and `describe` name it, and do not tell to resume what is being driven."""
    unfinished()
    assert attach().describe()["Driver"] is None
    assert main(["studies", "--journal", "studies.db"]) == 0
    assert "resume s" in capsys.readouterr().out
    holder = request.getfixturevalue("holder")
    driver = f"process {holder.pid} on {socket.gethostname()}"
    assert attach().describe()["Driver"] == driver
    assert main(["studies", "--journal", "studies.db"]) == 0
    told = capsys.readouterr().out
    assert driver in told
    assert "resume" not in told
    with pytest.raises(StudyBusy):  # the question has not let go of the lock
        attach().resume()


def test_a_driver_that_was_killed_drives_no_more(request):
    """Its name is still in the lock's file."""
    unfinished()
    holder = request.getfixturevalue("holder")
    holder.kill()
    holder.wait()
    assert attach().describe()["Driver"] is None
    assert attach().resume().jobs == 6


def test_a_study_whose_driver_leaves_without_obeying_is_stopped_by_who_asks(request):
    """The driver is a process; it ends when the request is there, and has not read it."""
    unfinished()
    holder = request.getfixturevalue("holder")
    stop = Path(f"studies.db.{attach().study.id}.stop")

    def leave():
        while not stop.exists():
            time.sleep(0.001)
        holder.stdin.close()

    thread = threading.Thread(target=leave)
    thread.start()
    stopping = attach()
    assert stopping.stop_tuning_job()
    thread.join()
    assert (stopping.study.stop_reason, [*stopping.study.running]) == ("stopped by stop_tuning_job", [])
    assert not stop.exists()


def test_asking_keeps_the_lock_of_this_process():
    """Closing any descriptor of the file would release it."""
    unfinished()
    log = open_journal("studies.db").find("s")
    with log.hold():
        assert log.driver() == attach().describe()["Driver"] == f"process {os.getpid()} on {socket.gethostname()}"
        code = "from byohpo_core.journal import open_journal\nwith open_journal('studies.db').find('s').hold(): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "StudyBusy" in other.stderr
    assert log.driver() is None


def test_a_driver_on_another_host_may_still_run():
    """Its lock may be seen by nobody here, so it is named with that doubt."""
    unfinished()
    study = attach().study
    Path(f"studies.db.{study.id}.lock").write_text("process 1 on elsewhere")
    assert attach().describe()["Driver"].startswith("process 1 on elsewhere")
    assert Path(f"studies.db.{study.id}.lock").read_text() == "process 1 on elsewhere"


@pytest.mark.parametrize("size", [0, 1 << 27], ids=["short", "long"])
def test_a_lock_that_is_not_as_it_was_written_is_told(size):
    """It may be no text at all, and is never read to a distant end."""
    study = eventful(max_jobs=4).fit(job_name="s")
    lock = Path(f"studies.db.{study.id}.lock")
    lock.write_bytes(b"process 1 on \xe9lsewhere")
    os.truncate(lock, max(size, lock.stat().st_size))
    assert attach().describe()["Driver"].startswith("process 1 on \ufffdlsewhere")
    with pytest.raises(StudyBusy, match="process 1 on \ufffdlsewhere") as caught:
        attach().resume()
    assert len(str(caught.value)) < 3000
    assert attach().resume(take_over=True).jobs == 4
