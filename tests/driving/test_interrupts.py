"""Ctrl-C, once, twice and three times."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from studies import eventful

from byohpo_core import StudyExists, hookimpl


def test_ctrl_c_waits_for_what_runs_and_resume_goes_on():
    """Once: nothing new is launched, running evaluations are journaled, and the user is told how to go on."""
    script = """
        import os, signal
        from byohpo_core import ContinuousParameter, Tuner

        def objective(hyperparameters):
            if not os.path.exists("pressed"):
                open("pressed", "w").close()
                os.kill(os.getpid(), signal.SIGINT)
            return hyperparameters["x"]

        try:
            Tuner(objective, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=8,
                  progress=False).fit(job_name="s")
        except KeyboardInterrupt as interrupt:
            print(interrupt)
        study = Tuner.attach("s", estimator=objective, progress=False).study
        print(study.finished_count, study.running, study.stop_reason)
        print(Tuner.attach("s", estimator=objective, progress=False).resume().stop_reason)
    """
    Path("script.py").write_text(textwrap.dedent(script))
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    told, *rest = done.stdout.splitlines()
    assert "`Tuner.attach('s', estimator=objective).resume()`" in told
    assert rest == ["1 () None", "max_jobs (8) reached"], done.stderr
    assert "Ctrl-C again" in done.stderr


class Impatient:
    """Presses Ctrl-C three times."""

    presses = 3

    def __init__(self, problem):
        """As extensions are made."""

    @hookimpl
    def happened(self, study, event):
        for _ in range(self.presses):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("journal", "way_on"),
    [
        ("studies.db", "`byohpo resume s --journal studies.db`"),
        ("my studies.db", "`byohpo resume s --journal 'my studies.db'`"),
        ("byohpo.db", "`byohpo resume s`"),
        (":memory:", "`resume()` of this program's Tuner"),
    ],
)
def test_the_user_is_told_how_to_go_on_however_the_driver_is_left(journal, way_on, caplog, monkeypatch):
    """A third Ctrl-C leaves at once."""
    leaving = eventful("random", journal, extensions=[Impatient])
    with pytest.raises(KeyboardInterrupt, match=f"'s'.*{re.escape(way_on)}"):
        leaving.fit(job_name="s")
    assert "Ctrl-C again" in caplog.messages[0]
    assert way_on in caplog.messages[0]
    stop = way_on.replace("byohpo resume", "byohpo stop").replace("`resume", "`stop_tuning_job")
    assert stop in caplog.messages[-1]
    assert way_on in caplog.messages[-1]
    monkeypatch.setattr(Impatient, "presses", 0)
    with pytest.raises(StudyExists, match=r"'s'.*job_name"):
        leaving.fit(job_name="s")
    assert leaving.resume().stop_reason == "max_jobs (16) reached"
