"""Asynchronous mode: no slot is idle, and the search is as good as its results."""

import math
import random
from importlib.metadata import entry_points
from types import SimpleNamespace

import byohpo_inspyred
import pytest
import studies

from byohpo_core import (
    Blocking,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Objective,
    Problem,
    Proposal,
    SearchSpace,
    Simulated,
    Simulation,
    Trial,
    TrialStatus,
)

ALGORITHMS = ["ga", "es", "de", "pso", "nsga2", "eda", "sa", "paes", "scipy-de"]


SPACE = {
    "x": ContinuousParameter(0, 1),
    "y": ContinuousParameter(0, 1),
    "n": IntegerParameter(1, 9),
    "kind": CategoricalParameter(["a", "b"]),
}


SMALL = {"n": IntegerParameter(1, 6), "kind": CategoricalParameter(["a", "b"])}


def seconds(hyperparameters, spread=1.0):
    """A duration of its own for each configuration, log-normal."""
    generator = random.Random(repr(sorted(hyperparameters.items())))
    return 100 * math.exp(generator.gauss(0, spread))


def tune(strategy, *, slots=6, jobs=90, failing=0.0, space=SPACE, seed=1, duplicates="run", curve=False, **options):
    """A study on a virtual clock in which a share of the trials fails."""

    def job(hyperparameters):
        loss = sum((value - 0.3) ** 2 for value in hyperparameters.values() if not isinstance(value, str))
        lucky = random.Random(f"{sorted(hyperparameters.items())}").random() >= failing
        metrics = {"loss": loss, "cost": hyperparameters["n"]}
        return Simulation([metrics] * 4 if curve else metrics, seconds(hyperparameters), None if lucky else "diverged")

    return studies.tune(
        Simulated(job),
        space,
        ["loss", "cost"] if strategy == "nsga2" else "loss",
        strategy=strategy,
        max_jobs=jobs,
        max_parallel_jobs=slots,
        random_seed=seed,
        early_stopping_type="Auto" if curve else "Off",
        strategy_options=options,
        duplicates=duplicates,
        failure_limit=False,
        journal=":memory:",
    )


def algorithm(strategy, problem, **options):
    """An algorithm by its name, outside a study."""
    (entry,) = entry_points(group="byohpo.algorithms", name=strategy)
    return entry.load()(problem, **options)


def busy(study):
    """The share of the slots' time that is used until the last trial starts."""
    ran = [trial for trial in study.trials if trial.started is not None and trial.result_of is None]
    last = max(trial.started for trial in ran)
    return sum(min(trial.ended, last) - trial.started for trial in ran) / (study.problem.max_parallel_jobs * last)


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials]


@pytest.mark.parametrize("duplicates", ["run", "reuse"])
@pytest.mark.parametrize("slots", [2, 6, 20])
@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_no_slot_is_idle_until_the_last_trial_starts(strategy, slots, duplicates):
    """By default, and however long the trials are; in generations most of the time is spent in waiting."""
    study = tune(strategy, slots=slots, duplicates=duplicates)
    assert study.jobs == 90
    assert busy(study) >= 0.99


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_a_generation_waits_for_its_slowest(strategy):
    """So the other mode is another one: one generation of as many trials as slots, or one chain."""
    options = {"chains": 1} if strategy == "sa" else {"population": 6}
    assert busy(tune(strategy, mode="generational", **options)) < 0.8


@pytest.mark.parametrize("failing", [0.1, 0.3])
@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_failed_trials_do_not_shrink_the_population(strategy, failing, monkeypatch):
    """A tenth and a third of the trials fail: the budget is used up and all populations stay whole."""
    sizes = []

    def terminator(population, **_):
        sizes.append(len(population))
        return False

    monkeypatch.setattr(byohpo_inspyred, "_never", terminator)
    study = tune(strategy, failing=failing)
    assert study.jobs == 90
    assert any(trial.status == "Failed" for trial in study.trials)
    population = 1 if strategy == "sa" else getattr(algorithm(strategy, study.problem), "population", None)
    if strategy == "pso":  # those whose results are in
        population -= study.problem.max_parallel_jobs - 1
    kept = set(sizes[:-1])  # the last turn has what was left at the end
    assert kept == (set() if strategy == "scipy-de" else {population})


def test_several_parents_stay_several(monkeypatch):
    """PAES pairs parents with children, of which a turn may bring fewer: those that have none stay."""
    sizes = set()
    monkeypatch.setattr(byohpo_inspyred, "_never", lambda population, **_: sizes.add(len(population)))
    assert tune("paes", population=3).jobs == 90
    assert tune("paes", population=3, space=SMALL).jobs == 90
    assert sizes == {3}


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_pruned_trials_do_not_disturb(strategy):
    """They give their last values, and their slots are filled at once."""
    study = tune(strategy, curve=True)
    assert study.jobs == 90
    assert busy(study) >= 0.99
    assert any(trial.status == "Pruned" for trial in study.trials)


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_the_same_arrivals_give_the_same_proposals(strategy):
    """The seed and the order of results are all that counts."""
    first, again, other = (tune(strategy, jobs=40, seed=seed) for seed in (1, 1, 2))
    assert configurations(first) == configurations(again)
    assert configurations(first) != configurations(other)


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_a_small_space_neither_hangs_nor_idles(strategy):
    """Twelve configurations on six slots: it ends when there is nothing new to propose, having tried most of them."""
    study = tune(strategy, space=SMALL, duplicates="reuse")
    assert 6 <= study.jobs <= 12
    assert study.stop_reason.startswith("nothing new proposed")


def slots_of(strategy, slots, jobs=300, **options):
    objectives = [Objective(f"m{number}", "Minimize") for number in range(1 + (strategy == "nsga2"))]
    return algorithm(strategy, Problem(SearchSpace(SPACE), tuple(objectives), 1, jobs, slots), **options)


@pytest.mark.parametrize(
    ("strategy", "sizes"),
    [
        ("ga", (4, 6, 12)),
        ("es", (4, 7, 14)),
        ("de", (4, 8, 16)),
        ("nsga2", (4, 8, 16)),
        ("pso", (20, 20, 40)),
        ("eda", (20, 20, 40)),
        ("paes", (3, 3, 3)),
        ("scipy-de", (6, 8, 16)),
    ],
)
def test_default_populations_follow_the_slots(strategy, sizes):
    """For 4, 10 and 20 slots."""
    assert tuple(slots_of(strategy, slots).population for slots in (4, 10, 20)) == sizes


@pytest.mark.parametrize(
    ("strategy", "points"),
    [("ga", 2), ("es", 2), ("de", 4), ("nsga2", 2), ("pso", 11), ("eda", 8), ("sa", 1), ("paes", 3), ("scipy-de", 5)],
)
def test_a_turn_makes_so_many_children(strategy, points, monkeypatch):
    """With 10 slots, after the first population."""
    asked, ask = [], Blocking._ask

    def counting(self, new):
        asked.append(len(new))
        ask(self, new)

    monkeypatch.setattr(Blocking, "_ask", counting)
    tune(strategy, slots=10)
    assert set(asked[1:]) == {points}


def test_half_of_a_first_swarm_is_known():
    """At most, in either mode: those that are tried while others move are part of it."""
    generator = random.Random(99)
    for mode in ("asynchronous", "generational"):
        swarm = slots_of("pso", 10, mode=mode)
        known = [swarm.problem.space.decode([generator.random() for _ in SPACE]) for _ in range(100)]
        foreign = [
            Trial(number, Proposal(it), "other", it, TrialStatus.Completed, values=(1.0,), losses=(1.0,), prior=True)
            for number, it in enumerate(known)
        ]
        study = SimpleNamespace(trials=[])
        swarm.observe(study, foreign)
        first = swarm.propose(study, 20)
        swarm.close()
        assert len(first) == 20
        assert sum(it.hyperparameters in known for it in first) == 10


def test_chains_share_the_slots():
    """Annealing is one chain by default; several have a part of the slots each, rounded up."""
    assert slots_of("sa", 6).chains == 1
    study = tune("sa", slots=6, chains=4)
    assert busy(study) >= 0.99
