"""Particle swarm optimisation: inspyred's own, bit for bit."""

import random

import inspyred
import pytest
from byohpo_plugin_pso import ParticleSwarm

from byohpo_core import (
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Objective,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
)

FUNCTIONS = ["Sphere", "Rastrigin", "Rosenbrock"]
SETTINGS = [
    {"social_rate": 2.1},
    {"inertia": 0.7, "cognitive_rate": 1.2, "social_rate": 2.4},
    {"neighborhood_size": 3, "social_rate": 2.1},
]


def loss(function, unit):
    benchmark = getattr(inspyred.benchmarks, function)(3)
    low, high = benchmark.bounder.lower_bound[0], benchmark.bounder.upper_bound[0]
    return float(benchmark.evaluator([[low + (high - low) * x for x in unit]], {})[0])


def inspyred_called_directly(function, seed, settings, population, evaluations):
    """The candidates of inspyred's own loop in the unit cube, in order."""
    seen = []

    def evaluator(candidates, args):
        seen.extend(list(candidate) for candidate in candidates)
        return [loss(function, candidate) for candidate in candidates]

    engine = inspyred.swarm.PSO(random.Random(seed))
    if "neighborhood_size" in settings:
        engine.topology = inspyred.swarm.topologies.ring_topology
    engine.terminator = inspyred.ec.terminators.evaluation_termination
    engine.evolve(
        lambda random, args: [random.random() for _ in range(3)],
        evaluator,
        pop_size=population,
        maximize=False,
        bounder=inspyred.ec.Bounder(0, 1),
        max_evaluations=evaluations,
        **settings,
    )
    return seen[:evaluations]


def tune(function, seed, settings, direction="Minimize", slots=3, jobs=35, population=7, mode="generational"):
    sign = 1 if direction == "Minimize" else -1

    def simulated(hyperparameters):
        value = sign * loss(function, hyperparameters.values())
        return Simulation({"loss": value}, 1 + hyperparameters["x0"] * hyperparameters["x2"])

    return Tuner(
        Simulated(simulated),
        "loss",
        {f"x{i}": ContinuousParameter(0, 1) for i in range(3)},
        strategy="pso",
        objective_type=direction,
        max_jobs=jobs,
        max_parallel_jobs=slots,
        random_seed=seed,
        strategy_options={"mode": mode, **settings, **({} if population is None else {"population": population})},
        duplicates="reuse" if population is None else "run",
        journal=":memory:",
        progress=False,
    ).fit()


@pytest.mark.parametrize("settings", SETTINGS, ids=["star", "rates", "ring"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_trajectory_is_inspyreds_bit_for_bit(function, seed, settings):
    """The order in which the results of a generation arrive makes no difference."""
    ours = [list(trial.hyperparameters.values()) for trial in tune(function, seed, settings).trials]
    assert ours == inspyred_called_directly(function, seed, settings, 7, 35)


def test_maximising_is_the_mirror_image_of_minimising():
    """The swarm gets the negated values as losses."""
    low, high = (tune("Sphere", 1, {}, direction) for direction in ("Minimize", "Maximize"))
    assert [dict(t.hyperparameters) for t in low.trials] == [dict(t.hyperparameters) for t in high.trials]
    assert [t.value for t in low.trials] == [-t.value for t in high.trials]


def test_slots_do_not_change_the_trajectory():
    """A generation's candidates are handed out one by one as slots free up."""
    one, many = (tune("Sphere", 1, {}, slots=slots) for slots in (1, 16))
    assert [dict(t.hyperparameters) for t in one.trials] == [dict(t.hyperparameters) for t in many.trials]


@pytest.mark.parametrize(
    ("jobs", "slots", "population"), [(60, 6, 15), (18, 6, 6), (200, 5, 20), (4, 1, 4), (2, 1, 2)], ids=str
)
def test_the_default_population_follows_slots_and_budget(jobs, slots, population):
    """max(slots, min(20, max_jobs // 4)), and at least four where the budget has them, or slots + 1."""
    space = SearchSpace({"n": IntegerParameter(1, 9)})
    problem = Problem(space, (Objective("loss", "Minimize"),), 1, jobs, slots)
    assert ParticleSwarm(problem, mode="generational").population == population
    assert ParticleSwarm(problem, mode="asynchronous").population == max(population, slots + 1)


def test_failed_trials_neither_shrink_nor_stop_the_swarm():
    """A third of the trials fail, in some generations all; the study still uses its whole budget."""

    def failing(hyperparameters):
        return Simulation({"loss": hyperparameters["x"]}, 1, failure="bad" if hyperparameters["x"] < 0.4 else None)

    study = Tuner(
        Simulated(failing),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="pso",
        objective_type="Minimize",
        max_jobs=60,
        max_parallel_jobs=5,
        random_seed=2,
        failure_limit=False,
        journal=":memory:",
        progress=False,
    ).fit()
    assert study.jobs == 60
    assert any(trial.status == "Failed" for trial in study.trials)


def test_several_objectives_are_refused():
    """The error names the plugin and the objectives."""
    with pytest.raises(InvalidInput, match=r"'pso'.*\ba\b.*\bb\b.*several"):
        Tuner(lambda h: 0.0, ["a", "b"], {"x": ContinuousParameter(0, 1)}, strategy="pso", journal=":memory:")


@pytest.mark.parametrize("jobs", [2, 5, 8])
def test_a_small_budget_is_used_up(jobs):
    """A swarm of one particle would propose its first position for ever, so there are at least two."""
    study = tune("Sphere", 1, {}, slots=1, jobs=jobs, population=None)
    assert (study.jobs, study.stop_reason) == (jobs, f"max_jobs ({jobs}) reached")


def test_a_particle_needs_a_neighbour():
    """A particle without neighbours never leaves its first position."""
    with pytest.raises(InvalidInput, match=r"'pso'.*neighborhood_size.*\b1\b.*\b2\b"):
        tune("Sphere", 1, {"neighborhood_size": 1})
