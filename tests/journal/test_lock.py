"""One driver at a time drives a study."""

import subprocess
import sys
import textwrap
from pathlib import Path

import attrs
import pytest
from studies import attach, eventful, log_class

from byohpo_core import StudyBusy
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
