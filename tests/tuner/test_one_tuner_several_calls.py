"""What one tuner shows and does when it is used again, also from another thread."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from inside import stop_request
from studies import attach, eventful, wait_for

from byohpo_core import ContinuousParameter, StudyBusy, TrainingScript, Tuner, hookimpl
from byohpo_core.journal import open_journal


def test_a_refused_second_call_leaves_the_live_study_alone():
    """`tuner.study` is still the one that the first call drives."""
    began, go_on = threading.Event(), threading.Event()

    def slow(hyperparameters):
        began.set()
        assert go_on.wait(30)
        return hyperparameters["x"]

    ranges = {"x": ContinuousParameter(0, 1)}
    tuner = Tuner(slow, "loss", ranges, strategy="random", max_jobs=2, journal="s.db", progress=False)
    thread = threading.Thread(target=tuner.fit)
    thread.start()
    assert began.wait(30)
    live = tuner.study
    with pytest.raises(StudyBusy):
        tuner.resume()
    assert tuner.study is live
    go_on.set()
    thread.join()
    assert tuner.study is live
    assert live.stop_reason == "max_jobs (2) reached"


def test_a_tuner_goes_on_with_the_estimator_as_it_was_prepared(monkeypatch):
    """A relative interpreter is found from the folder of each job too."""
    Path("train.py").write_text("import sys; print('loss=' + sys.argv[2])")
    Path("python").symlink_to(sys.executable)
    ranges = {"x": ContinuousParameter(0, 1)}
    settings = {"strategy": "random", "max_jobs": 4, "journal": "s.db", "progress": False, "failure_limit": False}

    class Leaves:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def happened(self, study, event):
            if str(event.kind) == "finished" and study.finished_count == 1:
                signal.raise_signal(signal.SIGINT)

    tuner = Tuner(TrainingScript("train.py", python="./python"), "loss", ranges, extensions=[Leaves], **settings)
    with pytest.raises(KeyboardInterrupt):
        tuner.fit(job_name="s")
    study = tuner.resume()
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 4


def test_a_stop_that_is_asked_for_while_a_resume_prepares_needs_no_plugin(monkeypatch):
    """The plugins are not even built: one that cannot be loaded does not keep the jobs running."""
    tuner = eventful(max_jobs=6)
    tuner.fit(job_name="s")
    again = attach()
    preparing, go_on = threading.Event(), threading.Event()
    mirrored = type(tuner._estimator).mirrored

    def slow(estimator, log):
        preparing.set()
        assert go_on.wait(30)
        return mirrored(estimator, log)

    monkeypatch.setattr(type(tuner._estimator), "mirrored", slow)
    monkeypatch.setattr(stop_request, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("byohpo_core.driving.session.Session._build", lambda *_: pytest.fail("plugins are built"))
    ended = []
    thread = threading.Thread(target=lambda: ended.append(again.resume(max_jobs=9)))
    thread.start()
    assert preparing.wait(30)
    assert not again.stop_tuning_job()
    go_on.set()
    thread.join()
    wait_for(lambda: ended)
    assert ended[0].problem.max_jobs == 6


def test_a_tuner_that_is_used_from_two_threads_at_once_refuses_the_second_in_one_line():
    """The study of the first is complete, and there is no second one."""
    together, ends = threading.Barrier(2), []

    def slow(hyperparameters):
        time.sleep(0.05)
        return hyperparameters["x"]

    ranges = {"x": ContinuousParameter(0, 1)}
    tuner = Tuner(slow, "loss", ranges, strategy="random", max_jobs=4, journal="s.db", progress=False)

    def use(name):
        together.wait()
        try:
            ends.append(len(tuner.fit(job_name=name).trials))
        except StudyBusy as error:
            ends.append(str(error))

    threads = [threading.Thread(target=use, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refusal, trials = sorted(ends, key=lambda it: isinstance(it, int))
    assert trials == 4
    assert refusal == "this Tuner is at work already, perhaps in another thread: make a Tuner for each study"
    assert len(open_journal("s.db").logs()) == 1
    assert len(tuner.fit(job_name="three").trials) == 4
