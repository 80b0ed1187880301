"""The machine's clock is set while a driver works, or between two drivers."""

import os
import textwrap
import time
from pathlib import Path

import pytest
from studies import Killed, attach, dying, objective, tune, tuner

from byohpo_core import PythonFunction, TrainingScript, hookimpl
from byohpo_core.journal import open_journal

HOUR = 3600.0
REAL = time.time


CLOCK = """
    import time
    from pathlib import Path
    real = time.time
    time.time = lambda: real() + float(Path({path!r}).read_text())
"""


@pytest.fixture
def set_clock(monkeypatch, own_folder):
    """Set the machine's clock, as this process and its children see it, to so many seconds from the real time."""
    site, clock = own_folder / "site", own_folder / "clock"
    site.mkdir()
    clock.write_text("0")
    (site / "sitecustomize.py").write_text(textwrap.dedent(CLOCK.format(path=str(clock))))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)

    def set_to(seconds):
        clock.with_suffix(".new").write_text(str(seconds))
        clock.with_suffix(".new").replace(clock)
        monkeypatch.setattr("time.time", lambda: REAL() + seconds)

    return set_to


def script():
    Path("train.py").write_text("print('loss=1')")
    return TrainingScript("train.py")


BACKENDS = {"function": lambda: objective, "script": script}


def event_times(name="s"):
    return [event.time for event in open_journal("studies.db").find(name).read()]


@pytest.mark.parametrize("seconds", [HOUR, -HOUR, 10 * 365 * 24 * HOUR])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_clock_that_is_set_while_a_driver_works_ends_no_study(backend, seconds, set_clock):
    """No time limit is reached, and the study's time goes neither back nor far ahead."""

    class SetsTheClock:
        def __init__(self, problem):
            pass

        @hookimpl
        def observe(self, study, trials):
            set_clock(seconds)

    study = tune(BACKENDS[backend](), max_runtime_in_seconds=HOUR / 2, max_jobs=6, extensions=[SetsTheClock])
    assert study.stop_reason == "max_jobs (6) reached"
    times = event_times()
    assert times == sorted(times)
    assert times[-1] - times[0] < HOUR / 2
    assert all(times[0] <= trial.started <= trial.ended for trial in study.trials)
    if backend == "function" or seconds < 0:  # a job's process that starts later believes the clock, as far as it can
        assert all(trial.ended <= times[-1] for trial in study.trials)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
def test_a_clock_that_is_set_while_a_script_runs_does_not_change_how_long_it_took(seconds, set_clock):
    """The job is as long as it was, neither an hour longer nor shorter than nothing."""
    clock = str(Path("clock").absolute())
    Path("train.py").write_text(f"open({clock!r}, 'w').write('{seconds}')\nprint('loss=1')")
    study = tune(TrainingScript("train.py"), max_jobs=1, max_parallel_jobs=1)
    assert 0 <= study.trials[0].seconds < HOUR / 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
def test_a_clock_that_was_set_between_two_drivers_costs_no_time(backend, seconds, set_clock):
    """A resume goes on at the last event's time at the earliest, and only driven stretches count."""
    settings = {"max_runtime_in_seconds": HOUR / 2, "max_jobs": 6}
    with pytest.raises(Killed), dying(3):
        tuner(BACKENDS[backend](), **settings).fit(job_name="s")
    set_clock(seconds)
    before = event_times()[-1]
    study = attach(estimator=PythonFunction(objective) if backend == "function" else script()).resume()
    assert study.stop_reason == "max_jobs (6) reached"
    times = event_times()
    assert times == sorted(times)
    assert times[-1] - before < max(0.0, seconds) + HOUR / 2
    assert study.elapsed_seconds < HOUR / 2
