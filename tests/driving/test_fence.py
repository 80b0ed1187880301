"""A driver that was paused while another one took over starts no job, and stops the one that it has just started."""

import pytest
from inside import Fence, SimulatedBackend
from studies import JOURNAL, Killed, event, simulated, tuner

from byohpo_core import Simulated, StudyBusy
from byohpo_core.journal import open_journal


def other_driver(*happenings):
    """Another driver of the study writes these events, as from another host."""
    journal = open_journal(JOURNAL)
    log = journal.find("s")
    last = log.last()
    log.append([event(last + 1 + place, kind, **body) for place, (kind, body) in enumerate(happenings)])
    journal.close()


TAKES_OVER = ("opened", {"host": "other", "pid": 1})


def end(trial):
    return ("finished", {"trial": trial, "status": "Stopped", "reason": "it never existed"})


@pytest.fixture
def launches(monkeypatch):
    """Calls of `launch` and `stop`, each with the numbers of its trials, and what to do as the driver pauses."""
    calls, pauses = [], {}
    for name in ("launch", "stop"):
        function = getattr(SimulatedBackend, name)

        def noted(backend, trials, name=name, function=function):
            calls.append((name, [trial.number for trial in trials]))
            answer = function(backend, trials)
            pauses.get(name, lambda: None)()
            return answer

        monkeypatch.setattr(SimulatedBackend, name, noted)
    return calls, pauses


def fit():
    tuner(Simulated(simulated), max_jobs=6, max_parallel_jobs=2).fit(job_name="s")


def test_a_driver_that_was_paused_after_its_commit_starts_no_job(launches, monkeypatch):
    """The question comes after the commit, right before the launch."""
    calls, _ = launches
    log = type(open_journal(JOURNAL).create("probe", {}))
    append = log.append

    def paused(self, events):
        append(self, events)
        if any(it.kind == "intended" for it in events):
            monkeypatch.setattr(log, "append", append)
            other_driver(TAKES_OVER)

    monkeypatch.setattr(log, "append", paused)
    with pytest.raises(StudyBusy, match="another driver has taken over study 's-"):
        fit()
    assert calls == []


def test_a_job_that_is_started_too_late_is_stopped_if_the_other_driver_holds_it_for_over(launches):
    """The other job is that driver's by now."""
    calls, pauses = launches
    pauses["launch"] = lambda: other_driver(TAKES_OVER, end(1))
    with pytest.raises(StudyBusy):
        fit()
    assert calls == [("launch", [0, 1]), ("stop", [1])]


def test_an_attempt_that_the_other_driver_tries_again_is_over():
    """A later attempt of the same trial is the other driver's."""
    journal = open_journal(JOURNAL)
    tuner(Simulated(simulated), max_jobs=2, max_parallel_jobs=2).fit(job_name="s")
    log = journal.find("s")
    study, lost = log.blank_study(), None
    for it in log.read():
        study.apply(it)
        if it.kind == "launched":
            lost = study.running
    assert len(lost) == 2
    log.append([event(study.sequence, "stopped", reason="mine")])
    fence = Fence(log)
    fence.check()
    assert fence.over(lost) == []
    other_driver(TAKES_OVER)
    with pytest.raises(StudyBusy):
        fence.check()
    assert [trial.number for trial in fence.over(lost)] == [0, 1]


def test_a_log_gives_what_another_driver_has_written_and_nothing_else():
    """A log that has written nothing drives nothing yet."""
    journal = open_journal(JOURNAL)
    journal.create("s", {})
    log = journal.find("s")
    other_driver(TAKES_OVER)
    assert [*log.newer()] == []
    log.append([event(1, "opened", host="here", pid=2)])
    assert [*log.newer()] == []
    other_driver(TAKES_OVER, end(0))
    assert [(it.sequence, str(it.kind)) for it in log.newer()] == [(2, "opened"), (3, "finished")]
    assert len([*log.read()]) == 4


def test_an_overtaken_driver_tells_nobody_to_resume_what_another_drives(launches, monkeypatch, caplog):
    """One that leaves for another reason names its jobs and how to go on."""
    _, pauses = launches
    monkeypatch.setattr(SimulatedBackend, "jobs_survive", True)
    pauses["launch"] = lambda: other_driver(TAKES_OVER)
    with pytest.raises(StudyBusy):
        fit()
    assert caplog.messages == []

    def fails():
        raise Killed

    pauses["launch"] = fails
    with pytest.raises(Killed):
        tuner(Simulated(simulated), max_jobs=6, max_parallel_jobs=2).fit(job_name="other")
    (told,) = caplog.messages
    assert "byohpo resume other" in told
