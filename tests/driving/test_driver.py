"""A driver fills the slots, asks and tells the algorithm, and writes before it acts."""

import sqlite3
import threading

import attrs
from studies import simulated, tune

from byohpo_core import Problem, Proposal, Simulated, hookimpl


def test_slots_are_really_parallel():
    """Six slots: six evaluations at once, never more (`nox -s bench` prints how long 60 take)."""
    together, most, lock, together_once = 0, 0, threading.Lock(), threading.Event()

    def slow(hyperparameters):
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
            if most == 6:
                together_once.set()
        together_once.wait(10)
        with lock:
            together -= 1
        return hyperparameters["x"]

    study = tune(slow, max_jobs=60, max_parallel_jobs=6)
    assert most == 6
    assert study.jobs == 60


def test_a_seed_makes_a_study_repeatable():
    """The same seed and the same results give the same proposals; another seed gives others."""
    runs = [
        tune(Simulated(simulated), job_name=f"s{seed}-{run}", random_seed=seed)
        for seed, run in ((1, 1), (1, 2), (2, 1))
    ]
    first, same, other = [[dict(trial.hyperparameters) for trial in study.trials] for study in runs]
    assert first == same != other


def test_an_algorithm_that_ends_ends_it():
    """No proposals and nothing running: there will be no more."""

    class Three:
        def __init__(self, problem):
            self.left = 3

        @hookimpl
        def propose(self, study, count):
            given = min(count, self.left)
            self.left -= given
            return [{"x": float(self.left + i)} for i in range(given)]

    study = tune(strategy=Three)
    assert study.stop_reason == "no more proposals"
    assert study.jobs == 3


def test_a_proposals_key_comes_back_with_the_trial():
    """An algorithm recognises its own proposals by the key that it gave them."""
    keys = []

    @attrs.define(eq=False)
    class Keyed:
        problem: Problem
        asked: int = attrs.field(default=0, init=False)

        @hookimpl
        def propose(self, study, count):
            self.asked += 1
            return [Proposal({"x": float(self.asked)}, key={"generation": [self.asked]}, fidelity=3)]

        @hookimpl
        def observe(self, study, trials):
            keys.extend((trial.proposal.key, trial.proposal.fidelity) for trial in trials)

    tune(strategy=Keyed, max_jobs=2, max_parallel_jobs=1)
    assert keys == [({"generation": [1]}, 3), ({"generation": [2]}, 3)]


def test_everything_is_on_disk_before_anything_acts_on_it():
    """A job's intent before it starts; a result, own or reused, before a plugin sees it."""
    checked = []

    def on_disk(kind, number):
        connection = sqlite3.connect("studies.db")
        rows = connection.execute("SELECT 1 FROM events WHERE kind = ? AND trial = ?", (kind, number)).fetchall()
        connection.close()
        checked.append((kind, number, len(rows)))

    class Repeating:
        def __init__(self, problem):
            pass

        @hookimpl
        def propose(self, study, count):
            return [{"x": float(len(study.trials) // 2)}]

        @hookimpl
        def observe(self, study, trials):
            for trial in trials:
                on_disk("finished", trial.number)

    def looking(hyperparameters):
        on_disk("intended", int(hyperparameters["x"]) * 2)
        return 1.0

    study = tune(looking, strategy=Repeating, max_jobs=2, max_parallel_jobs=1)
    assert [str(trial.status) for trial in study.trials] == ["Completed", "Reused", "Completed"]
    assert checked == [
        ("intended", 0, 1),
        ("finished", 0, 1),
        ("finished", 1, 1),
        ("intended", 2, 1),
        ("finished", 2, 1),
    ]
