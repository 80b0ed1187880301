"""Limits are raised, and the algorithm begins anew with what is known."""

import random

import pytest
from studies import attach, eventful

from byohpo_core import ContinuousParameter, InvalidInput, Simulated, Simulation, Tuner, hookimpl, register


def test_limits_are_raised_in_a_new_epoch():
    """The algorithm is built afresh for the new budget, and is told the earlier results as foreign ones."""
    seen = []

    class Listener:
        def __init__(self, problem):
            self.random = random.Random(problem.seed)
            self.told = seen.append

        @hookimpl
        def propose(self, study, count):
            return [{"x": self.random.uniform(-5, 5)} for _ in range(count)]

        @hookimpl
        def observe(self, study, trials):
            seen.append([(trial.number, trial.prior) for trial in trials])

    register("listener", Listener)
    eventful("listener", max_jobs=5).fit(job_name="s")
    seen.clear()
    study = attach().resume(max_jobs=9)
    assert study.jobs == 9
    assert study.problem.max_jobs == 9
    assert seen[0] == [(number, True) for number in range(5)]
    assert not any(foreign for batch in seen[1:] for _, foreign in batch)
    with pytest.raises(InvalidInput, match="max_jobs is 0"):
        attach().resume(max_jobs=0)


def test_a_resume_that_is_refused_changes_nothing(monkeypatch):
    """Neither a function that only another program has nor a backend that cannot be reached leaves a new epoch."""
    Tuner(
        lambda hyperparameters: hyperparameters["x"],
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=3,
        journal="studies.db",
        progress=False,
    ).fit(job_name="f")
    eventful(max_jobs=4).fit(job_name="s")
    before = [attach(name).study.sequence for name in ("f", "s")]

    def unreachable(*_):
        raise InvalidInput("no way there")

    with pytest.raises(InvalidInput, match="<lambda>"):
        Tuner.attach("f", journal="studies.db").resume(max_jobs=20)
    with monkeypatch.context() as patch:
        patch.setattr(Simulated, "connect", unreachable)
        with pytest.raises(InvalidInput, match="no way there"):
            attach().resume(max_jobs=20)
    after = [attach(name).study for name in ("f", "s")]
    assert [study.sequence for study in after] == before
    assert [study.problem.max_jobs for study in after] == [3, 4]


def test_a_limit_as_it_is_is_no_new_epoch_and_one_below_the_jobs_so_far_is_refused():
    """An ended study is returned as it is."""
    before = eventful(max_jobs=5).fit(job_name="s")
    again = attach().resume(max_jobs=5, max_parallel_jobs=4)
    assert (again.sequence, again.problem) == (before.sequence, before.problem)
    with pytest.raises(InvalidInput, match=r"max_jobs is 4.*'s'.*5 jobs"):
        attach().resume(max_jobs=4)
    assert attach().study.sequence == before.sequence


def test_a_raised_limit_gives_a_search_without_improvement_another_chance():
    """The finished trials since the incumbent are counted afresh."""
    Tuner(
        Simulated(lambda _: Simulation({"loss": 1.0}, 1)),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        extensions=[("no-improvement", {"trials": 5})],
        max_jobs=40,
        journal="studies.db",
        progress=False,
    ).fit(job_name="s")
    constant = Simulated(lambda _: Simulation({"loss": 1.0}, 1))
    study = attach(estimator=constant).resume(max_jobs=80)
    assert study.stop_reason == "no improvement in 5 finished trials"
    assert study.jobs == 6 + 5


def test_an_epoch_is_told_to_those_who_listen():
    """Every journaled event, once: also one with which a driver begins."""
    told = []

    @register("telling", group="extensions")
    class Telling:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            told.append((event.sequence, str(event.kind)))

    eventful("random", max_jobs=4, extensions=["telling"]).fit(job_name="s")
    study = attach().resume(max_jobs=6)
    assert [number for number, _ in told] == list(range(study.sequence))
    assert [kind for _, kind in told].count("epoch") == 1
