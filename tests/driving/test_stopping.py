"""A study is stopped by the user, wherever its driver is."""

import sqlite3
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from pkgutil import resolve_name

import pytest
from inside import SimulatedBackend, stop_request
from studies import Killed, attach, dying, event, eventful, rechain, simulated, tuned

from byohpo_core import ContinuousParameter, Simulated, Simulation, StudyLocked, Tuner, UnknownPlugin, hookimpl
from byohpo_core.journal import open_journal


def test_a_running_study_is_stopped_from_another_thread():
    """`stop_tuning_job` ends the study and its jobs."""
    tuner = Tuner(
        Simulated(lambda _: Simulation({"loss": 1.0}, 10)),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=10**6,
        max_parallel_jobs=2,
        journal=":memory:",
        progress=False,
    )
    thread = threading.Thread(target=tuner.fit)
    thread.start()
    while tuner.study is None or tuner.study.finished_count < 10:
        time.sleep(0.001)
    tuner.stop_tuning_job()
    thread.join(30)
    assert not thread.is_alive()
    assert tuner.study.stop_reason == "stopped by stop_tuning_job"
    assert not tuner.study.running


def test_stopping_what_has_ended_does_not_stop_what_goes_on_later():
    """A request ends with the call that made it."""
    tuner = tuned(max_jobs=3)
    assert tuner.stop_tuning_job()
    study = tuner.resume(max_jobs=10)
    assert (study.jobs, study.stop_reason) == (10, "max_jobs (10) reached")


@pytest.mark.parametrize("name", ["byohpo_core.tuner.tuner.imported", "byohpo_core.driving.session.replay"])
def test_a_study_whose_driver_only_prepares_itself_can_be_stopped(name, monkeypatch):
    """The request is kept until the driver looks; nobody else tries to drive."""
    step, at_it, go_on = resolve_name(name), threading.Event(), threading.Event()

    def slow(*arguments):
        at_it.set()
        assert go_on.wait(30)
        return step(*arguments)

    monkeypatch.setattr(name, slow)
    monkeypatch.setattr(stop_request, "PATIENCE_SECONDS", 0.1)
    tuner = Tuner(
        Simulated(simulated), "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=9, progress=False
    )
    thread = threading.Thread(target=tuner.fit)
    thread.start()
    assert at_it.wait(30)
    assert not tuner.stop_tuning_job()
    go_on.set()
    thread.join(30)
    assert (tuner.study.stop_reason, tuner.study.jobs) == ("stopped by stop_tuning_job", 0)


def lose_its_driver():
    """Leave the journal as it would be if the driver had died early."""
    with closing(sqlite3.connect("studies.db")) as connection:
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.commit()
    rechain("studies.db")


def test_a_study_left_locked_by_another_host_is_stopped_only_on_request():
    """Nobody is told that a driver was asked to stop, where none may be there to heed it."""
    eventful(max_jobs=4).fit(job_name="s")
    lose_its_driver()
    Path(f"studies.db.{attach().study.id}.lock").write_text("process 1 on elsewhere")
    with pytest.raises(StudyLocked, match=r"process 1 on elsewhere.*--take-over"):
        attach().stop_tuning_job()
    stopping = attach()
    assert stopping.stop_tuning_job(take_over=True)
    assert stopping.study.stop_reason == "stopped by stop_tuning_job"


def test_a_study_is_stopped_without_its_algorithm():
    """Who only stops asks for no proposals: a class of a program that is gone keeps no job running."""

    class Gone:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return [{"x": float(len(study.trials))}][:count]

    eventful(Gone, max_jobs=4).fit(job_name="s")
    lose_its_driver()
    with pytest.raises(UnknownPlugin):
        attach().resume()
    stopping = attach()
    assert stopping.stop_tuning_job()
    assert stopping.study.stop_reason == "stopped by stop_tuning_job"
    assert not stopping.study.running


@pytest.fixture
def leaving(monkeypatch):
    """A tuner whose driver is left at once, as by a third Ctrl-C, and takes its time to close the backend."""
    at_it, go_on = threading.Event(), threading.Event()

    def slow(backend):
        at_it.set()
        assert go_on.wait(30)

    def fit():
        with pytest.raises(Killed):
            tuner.fit(job_name="s")

    tuner = eventful(max_jobs=6)
    with dying(3, moment="after"):
        monkeypatch.setattr(SimulatedBackend, "close", slow)
        thread = threading.Thread(target=fit)
        thread.start()
        assert at_it.wait(30)
    monkeypatch.setattr(SimulatedBackend, "close", lambda _: None)
    threading.Timer(0.3, go_on.set).start()
    yield tuner
    thread.join(30)


@pytest.mark.parametrize("which", ["its tuner", "another tuner"])
def test_a_study_whose_driver_is_leaving_is_stopped_once_it_has_left(which, leaving):
    """That driver reads no request any more, and would leave the jobs running."""
    stopping = leaving if which == "its tuner" else attach()
    assert stopping.stop_tuning_job()
    assert stopping.study.stop_reason == "stopped by stop_tuning_job"
    assert not stopping.study.running
    assert not [*Path().glob("*.stop")]


def test_a_driver_that_obeys_is_not_waited_for():
    """As soon as the journal tells that the jobs are to stop, whatever time they take for that."""
    eventful(max_jobs=4).fit(job_name="s")
    lose_its_driver()
    with closing(open_journal("studies.db")) as journal:
        log = journal.find("s")
        with log.hold():
            stops = [event(log.last() + 1, "stopped", reason="enough", jobs=True)]
            obeying = threading.Timer(0.1, log.append, [stops])
            obeying.start()
            began = time.monotonic()
            assert not attach().stop_tuning_job()
            assert time.monotonic() - began < stop_request.PATIENCE_SECONDS
            obeying.join()


def test_a_driver_that_begins_while_somebody_asks_is_asked_too(monkeypatch):
    """It removes the request that was made to the one before it, and is asked again."""
    eventful(max_jobs=4).fit(job_name="s")
    lose_its_driver()
    first, second = (open_journal("studies.db").find("s") for _ in range(2))
    asked, pauses = [], []

    def pause(_):
        pauses.append(second.stop_requested())
        if len(pauses) == 1:
            held.close()
            held.enter_context(second.hold())
            asked.append(second.stop_requested())

    monkeypatch.setattr(stop_request, "sleep", pause)
    monkeypatch.setattr(stop_request, "monotonic", lambda: 6.0 * len(pauses))
    with ExitStack() as held:
        held.enter_context(first.hold())
        assert not attach().stop_tuning_job()
        asked.append(second.stop_requested())
    assert asked == [False, True]
