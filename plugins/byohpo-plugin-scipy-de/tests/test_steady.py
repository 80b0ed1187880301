"""What is taken for granted of SciPy's solver: held against 1.15 (the lowest allowed) and 1.17 (the newest)."""

import random
import statistics

import numpy as np
import pytest
from byohpo_plugin_scipy_de.steady import PARTS, STEERABLE, SteadyState
from scipy.optimize import _differentialevolution


def test_scipys_solver_has_the_parts_that_are_steered():
    """Were they gone there would be generations only."""
    assert STEERABLE
    assert [part for part in PARTS if not hasattr(_differentialevolution.DifferentialEvolutionSolver, part)] == []


def steady(generator=1, size=6, **settings):
    start = np.random.default_rng(0).random((size, 2))
    return start, SteadyState(
        bounds=[(0, 10), (0, 4)],
        init=start * [10, 4],
        integrality=[False, True],
        rng=np.random.default_rng(generator),
        **{"strategy": "best1bin", "mutation": (0.5, 1.0), "recombination": 0.7, "x0": None, **settings},
    )


def test_scipys_population_is_what_it_was_given_scaled_and_rounded():
    """Each member is a point from 0 to 1; variables are within the bounds and whole where they must be."""
    start, population = steady()
    assert [it.variables[0] for it in population.trials()] == pytest.approx((10 * start[:, 0]).tolist())
    assert all(it.variables[1] in range(5) for it in population.trials())
    known = steady(x0=[5.0, 2.0])[1].trials()
    assert [5.0, 2.0] in [it.variables for it in known]


@pytest.mark.parametrize("strategy", ["best1bin", "best2exp", "currenttobest1bin", "rand1bin"])
def test_scipys_mixtures_start_from_the_best_in_row_0(strategy):
    """Members keep their numbers while rows are swapped, and none but the competitor's row changes."""
    _, population = steady(strategy=strategy, recombination=1.0, mutation=0.0)
    losses = [5.0, 3.0, 4.0, 1.0, 2.0, 6.0]
    trials = population.trials()
    for trial, value in zip(trials, losses, strict=True):
        population.select(trial, value)
    assert sorted(population._rows) == list(range(6))
    assert population._rows[3] == 0
    for trial in trials:
        assert population._solver.population[population._rows[trial.member]].tolist() == trial.unit.tolist()
    (mixture, *_), before = population.mix([0, 5]), population._solver.population.copy()
    if strategy.startswith("best"):  # without differences it is the best itself
        assert mixture.unit.tolist() == trials[3].unit.tolist()
    population.select(population.mix([5])[0], 7.0)
    assert (population._solver.population == before).all(), "a worse one changes nothing"


def test_scipys_steady_state_finds_the_minimum():
    """Each result decides at once, in any order of arrival."""
    generator, (_, population) = random.Random(1), steady()
    running = population.trials()
    found = []
    for number in range(300):
        trial = running.pop(generator.randrange(len(running)))
        loss = (trial.variables[0] - 7) ** 2 + (trial.variables[1] - 3) ** 2
        found.append(loss)
        population.select(trial, loss)
        running += population.mix([number % 6])
    assert statistics.median(found[-20:]) < 1e-3 < statistics.median(found[:20])
