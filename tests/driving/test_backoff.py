"""After a failure of the infrastructure a trial backs off; in an outage the study pauses and goes on by itself."""

import itertools
import logging

import pytest
from inside import SimulatedBackend, backoff, policy, verdicts
from studies import Killed, attach, dying, outcome, story, tune, tuner

from byohpo_core import Simulated, Simulation
from byohpo_core.backendspecs import Ended, Outcome

RECOVERS = 3000.0
"""When the infrastructure of these tests works again, in seconds."""


class Failing(Simulated):
    """Jobs of 100 s; the infrastructure fails each that starts before a time within 2 s."""

    def connect(self, study, settings):
        return FailingBackend(self.function, study.now)


class FailingBackend(SimulatedBackend):
    def launch(self, trials):
        super().launch(trials)
        for trial in trials:
            if trial.started < RECOVERS:
                self._happenings = [it for it in self._happenings if it[2].job_name != trial.job_name]
                lost = Ended(
                    trial.job_name, Outcome.Interrupted, reason="no room", started=trial.started, ended=self._now + 2
                )
                self._push(self._now + 2, lost)


def job(hyperparameters):
    return Simulation({"loss": hyperparameters["x"]}, 100)


def attempts(study_log):
    """The times at which jobs were started."""
    return [event.time for event in study_log.read() if event.kind == "intended"]


def log_of(made):
    return made._news.log


@pytest.mark.parametrize("slots", [1, 2, 4, 24])
def test_an_outage_costs_no_trial_and_no_attempt(slots, caplog):
    """24 jobs whose infrastructure fails for 50 minutes all complete, after a pause that is told of once."""
    made = tuner(Failing(job), max_jobs=24, max_parallel_jobs=slots)
    with caplog.at_level(logging.WARNING):
        study = made.fit(job_name="s")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 24
    assert study.jobs == 24
    early = [time for time in attempts(log_of(made)) if time < RECOVERS]
    assert len(early) <= slots + 15
    (told,) = [record.getMessage() for record in caplog.records]
    assert "no room" in told
    assert "max_jobs" in told


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_few_attempts_are_enough_for_an_outage(attempts):
    """Where a trial has one attempt, only those before the outage is known are lost."""
    study = tune(Failing(job), max_jobs=24, max_parallel_jobs=3, max_attempts=attempts, failure_limit=False)
    assert sum(trial.status == "Failed" for trial in study.trials) == (2 if attempts == 1 else 0)


def test_in_an_outage_one_job_is_tried_at_a_time_after_growing_pauses():
    """10, 20, 40 s and so on, up to ten minutes; after the first job that works all slots are used again."""
    made = tuner(Failing(job), max_jobs=12, max_parallel_jobs=4)
    made.fit(job_name="s")
    times = attempts(log_of(made))
    assert times[:4] == [0] * 4
    probes = [time for time in times if 0 < time < RECOVERS]
    assert [after - before for before, after in itertools.pairwise(probes)] == [
        *(pause + 2 for pause in (20, 40, 80, 160, 320, 600, 600, 600)),
    ]
    first, *others = [time for time in times if time >= RECOVERS]
    assert others[:4] == [first + 100] * 4


def test_a_resumed_driver_waits_as_the_first_one():
    """Killed at any commit of the outage, the study takes the same course."""
    settings = {"max_jobs": 8, "max_parallel_jobs": 3}
    expected = outcome(tune(Failing(job), **settings, journal=":memory:"))
    for commits in range(3, 40, 3):
        try:
            with dying(commits):
                tuner(Failing(job), **settings).fit(job_name=f"s{commits}")
        except Killed:
            resumed = attach(f"s{commits}", Failing(job)).resume()
            assert outcome(resumed) == expected


def test_a_trial_that_backs_off_gives_its_slot_to_another():
    """The first retry follows after 2 s, the next after 8 s; others run meanwhile."""
    made = tuner(Simulated(lambda h: Simulation({"loss": 1.0}, 10, interruptions=2 * (h["x"] > 4))), max_jobs=20)
    study = made.fit(job_name="s")
    unlucky = [trial for trial in study.trials if trial.attempt]
    assert unlucky
    assert {str(trial.status) for trial in study.trials} == {"Completed"}
    for trial in unlucky:
        waits, failed = [], None
        for event in log_of(made).read():
            if event.body.get("trial") == trial.number:
                if event.kind == "retried":
                    failed = event.time
                    waits.append(event.body["not_before"] - failed)
                elif event.kind == "intended" and failed is not None:
                    assert event.time >= failed + waits[-1]
        assert waits == [2, 8]


def test_an_outage_of_more_than_a_day_fails_trials_again(monkeypatch):
    """No study waits for ever for an infrastructure that never works."""
    monkeypatch.setitem(globals(), "RECOVERS", 1e9)
    study = tune(Failing(job), max_jobs=6, max_parallel_jobs=3)
    assert study.stop_reason.startswith("the first 3 trials all failed, the last with: ")
    assert study.now > backoff.LONGEST_OUTAGE_SECONDS


def test_old_journals_know_no_backing_off():
    """An attempt that was lost before there was this rule may start at once, and is no part of an outage."""
    study = story("ask .1 .2; run 0; run 1; retry 0; run 0; retry 0; retry 1")
    assert study.outage.since is None
    assert [trial.number for trial in backoff.due(study, study.waiting)] == [1, 0]


def test_a_job_that_keeps_running_ends_an_outage():
    """Of jobs that take days none needs to end: one that runs for ten minutes is enough."""
    study = tune(Failing(lambda h: Simulation({"loss": 1.0}, 1e6)), max_jobs=6, max_parallel_jobs=3)
    assert study.now < RECOVERS + 3e6


def test_a_job_that_was_lost_with_its_driver_is_no_failure_of_the_infrastructure():
    """It is tried again at once."""
    study = story("ask .1; run 0")
    _, body = verdicts.verdict(study, study.trials[0], Ended("s-0-0", Outcome.Lost), policy.Policy())
    assert "not_before" not in body
