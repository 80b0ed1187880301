"""Crash and resume: the same proposals, nothing lost, nothing run twice. `nox -s faults` does it at length."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from studies import Killed, attach, dying, eventful, outcome


@pytest.mark.parametrize("strategy", ["random", "pso"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_driver_that_dies_at_any_commit_resumes_as_if_nothing_had_happened(strategy, moment):
    """At every boundary of the journal: what was not committed never happened, what was is not repeated."""
    whole = outcome(eventful(strategy, "whole.db").fit(job_name="s"))
    boundary = 0
    while True:
        try:
            with dying(boundary, moment=moment):
                eventful(strategy).fit(job_name=f"s{boundary}")
            break
        except Killed:
            pass
        assert outcome(attach(f"s{boundary}").resume()) == whole
        boundary += 1
    assert boundary > 16


def test_a_study_that_dies_again_and_again_still_ends():
    """Killed during every resume, it goes on from the last commit."""
    whole = outcome(eventful("pso", "whole.db").fit(job_name="s"))
    with dying(3), pytest.raises(Killed):
        eventful().fit(job_name="s")
    deaths = 0
    while True:
        try:
            with dying(3):
                study = attach().resume()
            break
        except Killed:
            deaths += 1
    assert deaths > 5
    assert outcome(study) == whole


def test_an_evaluation_that_died_with_its_driver_runs_again_as_the_next_attempt():
    """A function's evaluation is lost with the process; its trial is not, and no limit counts the loss."""
    script = """
        import os, sys
        from byohpo_core import ContinuousParameter, Tuner

        def objective(hyperparameters):
            with open("ledger", "a") as ledger:
                ledger.write("started\\n")
            if len(sys.argv) > 1 and os.path.getsize("ledger") > 40:
                os.kill(os.getpid(), 9)
            return hyperparameters["x"]

        if len(sys.argv) > 1:
            Tuner(objective, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=8,
                  max_attempts=1, progress=False).fit(job_name="s")
        study = Tuner.attach("s", estimator=objective, progress=False).resume()
        assert study.jobs == 8 and all(trial.status == "Completed" for trial in study.trials)
        assert [trial.attempt for trial in study.trials].count(1) == 1
    """
    Path("script.py").write_text(textwrap.dedent(script))
    first = subprocess.run([sys.executable, "script.py", "die"], capture_output=True, text=True, check=False)
    assert first.returncode == -signal.SIGKILL, first.stderr
    second = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert len(Path("ledger").read_text().splitlines()) == 9
