"""A resume asks the plugins again for what the journal says they proposed."""

import sqlite3
from contextlib import closing

import attrs
import pytest
from studies import Killed, attach, dying, eventful, rechain

from byohpo_core import Diverged, Traits, hookimpl, register


@register("reads-curves")
@attrs.define(eq=False)
class ReadsCurves:
    """An algorithm that goes by the curves of running trials and by the time."""

    problem: object

    @hookimpl
    def propose(self, study, count):
        points = sum(len(study.curve(trial.number)) for trial in study.running)
        return [{"x": (points + len(study.trials) / 3 + study.now / 7 + study.elapsed_seconds / 11) % 9 - 4}]

    @hookimpl
    def prune(self, study, trial):
        report = study.reports(trial).get("loss")
        assert report is None or len(study.curve(trial.number)) == report.count


@pytest.mark.parametrize("journal", ["studies.db", ":memory:"])
def test_what_a_plugin_reads_of_curves_and_of_the_time_is_replayed(journal, monkeypatch):
    """A prune hook sees every reported point; a replay sees none that was reported later, and the same time."""

    def creeping(backend):
        backend._now += 0.001
        return backend._now

    monkeypatch.setattr("byohpo_core.backends.simulated.SimulatedBackend.now", creeping)
    for boundary in (4, 8, 12, 16, 20):
        driven = eventful("reads-curves", journal, max_jobs=8)
        with dying(boundary, journal, moment="after"), pytest.raises(Killed):
            driven.fit(job_name=f"s{boundary}")
        assert driven.resume().stop_reason == "max_jobs (8) reached"


@attrs.define(eq=False)
class Fickle:
    """An algorithm that proposes what it is told to, whatever its seed."""

    problem: object
    offset = 0.0

    @hookimpl
    def propose(self, study, count):
        return [{"x": len(study.trials) / 4 + Fickle.offset}]


def test_a_plugin_that_changed_its_mind_is_named_and_can_be_restarted(monkeypatch):
    """Divergence stops loudly; `restart_algorithm` goes on from the results so far."""
    register("fickle", Fickle)
    with dying(6), pytest.raises(Killed):
        eventful("fickle").fit(job_name="s")
    monkeypatch.setattr(Fickle, "offset", 1e-9)
    with pytest.raises(Diverged, match=r"'fickle'.*trial 0.*\{'x': 0.0\}.*byohpo resume s --restart-algorithm"):
        attach().resume()
    before = len(attach().study.trials)
    with closing(sqlite3.connect("studies.db")) as studies, closing(sqlite3.connect("copy.db")) as copy:
        studies.backup(copy)
    stopped = attach(journal="copy.db")
    assert stopped.stop_tuning_job()  # which asks for no proposals
    assert (stopped.study.stop_reason, len(stopped.study.trials)) == ("stopped by stop_tuning_job", before)
    study = attach().resume(restart_algorithm=True)
    assert study.stop_reason == "max_jobs (16) reached"
    assert study.epoch_start == before
    assert all(trial.prior == (trial.number < before) for trial in study.trials)
    assert all(1e-10 < trial.hyperparameters["x"] % 0.25 < 1e-8 for trial in study.trials[before:])


def test_a_tiny_difference_of_floats_is_no_change_of_mind(monkeypatch):
    """Another machine's last digit is tolerated, and the journaled value is used."""
    register("fickle", Fickle)
    monkeypatch.setattr(Fickle, "offset", 1.0)
    eventful("fickle", max_jobs=5).fit(job_name="s")
    with sqlite3.connect("studies.db") as connection:
        connection.execute("DELETE FROM events WHERE kind = 'stopped' OR sequence > 20")
    connection.close()
    rechain("studies.db")
    monkeypatch.setattr(Fickle, "offset", 1.0 + 2e-14)
    assert attach().resume().trials[0].hyperparameters["x"] == 1.0


@attrs.define(eq=False)
class Forgetful:
    """A memoryless algorithm: near the best of what it has seen. `digit` is what another machine adds to a result."""

    traits = Traits(memoryless=True)
    digit = 0.0
    asked = 0
    told = 0
    problem: object

    @hookimpl
    def propose(self, study, count):
        type(self).asked += 1
        seen = [trial for trial in study.trials if trial.losses]
        best = min(seen, key=lambda trial: trial.losses[0]).hyperparameters["x"] if seen else 0
        return [{"x": best + (len(study.trials) % 7 - 3) / 4 + self.digit}]

    @hookimpl
    def observe(self, study, trials):
        type(self).told += len(trials)


def test_a_memoryless_algorithm_is_neither_rebuilt_nor_compared(monkeypatch):
    """It is asked and told nothing of what the journal has, and goes on although it would now propose otherwise."""
    driven = eventful(Forgetful, max_jobs=12)
    with dying(20, moment="after"), pytest.raises(Killed):
        driven.fit(job_name="s")
    before = [dict(trial.hyperparameters) for trial in attach().study.trials]
    assert 3 < len(before) < 12
    for name, value in {"asked": 0, "told": 0, "digit": 1e-6}.items():
        monkeypatch.setattr(Forgetful, name, value)
    study = attach(strategy=Forgetful).resume()
    assert study.stop_reason == "max_jobs (12) reached"
    assert [dict(trial.hyperparameters) for trial in study.trials][: len(before)] == before
    assert 0 < Forgetful.asked <= len(study.trials) - len(before) + 1
    assert Forgetful.told < len(study.trials)


def test_others_are_rebuilt_beside_a_memoryless_algorithm():
    """Each initial configuration is proposed once, also if the driver dies while they are."""
    first = [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]
    driven = eventful(Forgetful, max_jobs=6, max_parallel_jobs=1, initial_configurations=first)
    with dying(4, moment="after"), pytest.raises(Killed):
        driven.fit(job_name="s")
    study = attach(strategy=Forgetful).resume()
    assert [dict(trial.hyperparameters) for trial in study.trials][:3] == first
    assert {trial.plugin for trial in study.trials[3:]} == {study.trials[-1].plugin} != {study.trials[0].plugin}
