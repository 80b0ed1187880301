"""`byohpo tune`, `resume`, `results` and `studies`, as processes."""

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from studies import byohpo, rechain, refused

from byohpo_core.cli import main


def test_a_study_is_tuned_listed_and_shown(folder):
    """From a TOML file to its results, in every format."""
    tuned = byohpo("tune", str(folder / "study.toml"))
    assert tuned.returncode == 0, tuned.stderr
    assert tuned.stdout.splitlines()[-1] == "first: max_jobs (8) reached"
    assert "[8/8] trial" in tuned.stderr
    listed = byohpo("studies").stdout
    assert listed.split()[0] == "first"
    assert "pso  8/8 jobs" in listed
    table, text, body = (byohpo("results", "first", "--format", form).stdout for form in ("table", "csv", "json"))
    assert table.splitlines() == tuned.stdout.splitlines()[:-1]
    trials = json.loads(body)
    assert [float(row["x"]) for row in csv.DictReader(io.StringIO(text))] == [row["x"] for row in trials]
    assert all(row["batch"] == 100 for row in trials)
    again = byohpo("resume", "first")
    assert (again.returncode, again.stdout) == (0, tuned.stdout)
    more = byohpo("resume", "first", "--max-jobs", "10", "--no-progress")
    assert (more.stdout.splitlines()[-1], more.stderr) == ("first: max_jobs (10) reached", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "nowhere.toml"], ["nowhere.toml", "No such file"]),
        (["resume", "unknown"], ["'unknown'", "known: none"]),
        (["results", "unknown"], ["'unknown'"]),
        (["info", "psso"], ["algorithm 'psso'", "did you mean 'pso'?"]),
        ([], ["COMMAND"]),
        (["tunes"], ["tunes"]),
        (["results", "x", "--format", "xml"], ["xml"]),
        (["resume", "x", "--max-jobs", "many"], ["many"]),
        (["studies", "--journal", "text.db"], ["text.db", "journal"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_error_is_one_line_and_exit_code_2(arguments, words):
    """Never a traceback."""
    Path("text.db").write_text("Dear diary,\n" * 100)
    assert refused(byohpo(*arguments), *words)


def test_hints_name_the_journal_where_it_is_not_found_without(folder):
    """What is shown can be typed as it is."""
    text = (folder / "study.toml").read_text().replace('job_name = "first"', 'job_name = "first"\nmax_attempts = 1')
    (folder / "study.toml").write_text(text)
    byohpo("tune", str(folder / "study.toml"), "--no-progress", "--journal", "my toy.db")
    with closing(sqlite3.connect("my toy.db")) as connection:  # as if its driver had died
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.commit()
    rechain("my toy.db")
    told = byohpo("studies", "--journal", "my toy.db").stdout
    assert told.rstrip().endswith("`byohpo resume first --journal 'my toy.db'`")
    told = byohpo("studies", env={**os.environ, "BYOHPO_JOURNAL": "my toy.db"}).stdout
    assert told.rstrip().endswith("`byohpo resume first`")


def test_a_missing_journal_is_told_with_where_else_it_may_be():
    """A reader that looks in the wrong folder learns that."""
    words = ["byohpo.db", "does not exist", "'first'", "--journal", "BYOHPO_JOURNAL"]
    for command in ("results", "resume", "stop"):
        assert refused(byohpo(command, "first"), *words)
    told = byohpo("studies").stdout
    assert all(word in told for word in ("byohpo.db", "does not exist", "--journal"))
    assert not Path("byohpo.db").exists()


def test_an_interrupt_without_a_word_is_told(monkeypatch, capsys):
    """The third Ctrl-C has nothing to say."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("byohpo_core.cli.studies._studies", interrupted)
    assert main(["studies"]) == 130
    assert capsys.readouterr().err.startswith("byohpo: ")


def test_a_search_without_a_result_ends_with_exit_code_1(folder):
    """And says what went wrong."""
    (folder / "source" / "train.py").write_text("raise ValueError('no data')")
    done = byohpo("tune", str(folder / "study.toml"), "--no-progress")
    assert done.returncode == 1
    assert "the first 3 trials all failed, the last with: exit code 1: ValueError: no data" in done.stdout


def test_ctrl_c_keeps_what_runs_and_says_how_to_go_on(folder):
    """Exit code 130; `resume` finishes the study."""
    (folder / "source" / "train.py").write_text("import time; time.sleep(0.5)\nprint('loss=1')\n")
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", "tune", str(folder / "study.toml"), "--no-progress"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(Path().glob("byohpo-jobs/*/*/claim")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Ctrl-C again" in error
    last = error.splitlines()[-1]
    assert last.startswith("byohpo: ")
    assert "`byohpo resume first`" in last
    assert byohpo("resume", "first", "--no-progress").stdout.splitlines()[-1] == "first: max_jobs (8) reached"


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    """`byohpo results ... | head -1`."""
    byohpo("tune", str(folder / "study.toml"), "--no-progress")
    command = f"{sys.executable} -P -m byohpo_core.cli results first | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
