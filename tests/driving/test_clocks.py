"""The machine's clock is set while a driver works, or between two drivers."""

import time
from pathlib import Path

import pytest
from studies import Killed, attach, dying, objective, tune, tuner

from byohpo_core import PythonFunction, TrainingScript, hookimpl
from byohpo_core.journal import open_journal

HOUR = 3600.0
REAL = time.time


@pytest.fixture
def set_clock(monkeypatch):
    """Set the machine's clock, as this process sees it, to so many seconds from the real time."""

    def set_to(seconds):
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
    if backend == "function":
        assert all(times[0] <= trial.started <= trial.ended <= times[-1] for trial in study.trials)


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
