"""The adapter runs every class of `inspyred.ec` unchanged."""

import random

import inspyred
import pytest
from byohpo_inspyred import evolving, latin_hypercube

from byohpo_core import ContinuousParameter, Objective, Problem, SearchSpace, Simulated, Simulation, Study, Tuner

CLASSES = {
    "GA": (inspyred.ec.GA, {}),
    "ES": (inspyred.ec.ES, {}),
    "EDA": (inspyred.ec.EDA, {}),
    "DEA": (inspyred.ec.DEA, {"num_selected": 6}),
    "SA": (inspyred.ec.SA, {"temperature": 1.0, "cooling_rate": 0.3}),
    "PSO": (inspyred.swarm.PSO, {}),
}


def sphere(unit):
    return sum((x - 0.3) ** 2 for x in unit)


def proposed(strategy):
    """The points of forty trials in a square, on four slots that free up in another order than they were filled."""
    study = Tuner(
        Simulated(lambda h: Simulation({"loss": sphere(h.values())}, 1 + h["x0"])),
        "loss",
        {f"x{i}": ContinuousParameter(0, 1) for i in range(2)},
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=40,
        max_parallel_jobs=4,
        random_seed=5,
        duplicates="run",
        journal=":memory:",
        progress=False,
    ).fit()
    return [list(trial.hyperparameters.values()) for trial in study.trials]


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_runs_as_when_called_directly(name):
    """The adapter evaluates the same candidates in the same order as a direct call."""
    engine, arguments = CLASSES[name]
    population = 1 if name == "SA" else 6
    seen = []

    def evaluator(candidates, args):
        seen.extend(list(candidate) for candidate in candidates)
        return [sphere(candidate) for candidate in candidates]

    generator = random.Random(5)
    direct = engine(generator)
    first = iter(latin_hypercube(generator, population, 2))
    direct.terminator = inspyred.ec.terminators.evaluation_termination
    direct.evolve(
        lambda random, args: next(first),
        evaluator,
        pop_size=population,
        maximize=False,
        bounder=inspyred.ec.Bounder(0, 1),
        max_evaluations=40,
        **arguments,
    )

    def evolution(problem):
        return evolving(problem, engine, population=population, **arguments)

    assert proposed(evolution) == seen[:40]


def test_an_engine_begins_with_the_best_of_a_larger_design():
    """Its own loop is as when it is called directly with these as seeds, and they are not evaluated again."""
    generator = random.Random(5)
    design = latin_hypercube(generator, 9, 2)
    chosen = sorted(sorted(range(9), key=lambda place: sphere(design[place]))[:4])
    direct, seen = inspyred.ec.DEA(generator), []

    def evaluator(candidates, args):
        seen.extend(list(candidate) for candidate in candidates)
        return [sphere(candidate) for candidate in candidates]

    direct.terminator = inspyred.ec.terminators.evaluation_termination
    seeds = [design[place] for place in chosen]
    bounder = inspyred.ec.Bounder(0, 1)
    direct.evolve(None, evaluator, 4, seeds, False, bounder, num_selected=4, max_evaluations=40)
    assert (
        proposed(lambda problem: evolving(problem, inspyred.ec.DEA, population=4, startup=9, num_selected=4))
        == [*design, *seen[4:]][:40]
    )


def test_an_adapted_engine_waits_in_its_evaluator():
    """It proposes one generation when asked, and nothing more until all results are in."""
    space = SearchSpace({"x": ContinuousParameter(0, 1)})
    problem = Problem(space, (Objective("loss", "Minimize"),), seed=1, max_jobs=9, max_parallel_jobs=3)
    algorithm = evolving(problem, inspyred.swarm.PSO, population=3)
    study = Study("s-abcd", "s", problem, lambda *_: ())
    assert len(algorithm.propose(study, 2)) == 2
    assert len(algorithm.propose(study, 5)) == 1
    assert algorithm.propose(study, 5) == []
    algorithm.close()
