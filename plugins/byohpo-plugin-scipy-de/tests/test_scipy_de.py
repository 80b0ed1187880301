"""SciPy's differential evolution: the sizes of its population."""

import pytest

from byohpo_core import ContinuousParameter, Simulated, Simulation, Tuner


def tune(**options):
    return Tuner(
        Simulated(lambda hyperparameters: Simulation({"loss": hyperparameters["x"]}, 1)),
        "loss",
        {"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1)},
        strategy="scipy-de",
        objective_type="Minimize",
        max_jobs=20,
        max_parallel_jobs=2,
        random_seed=1,
        strategy_options=options,
        journal=":memory:",
        progress=False,
    )


@pytest.mark.parametrize("mode", ["asynchronous", "generational"])
@pytest.mark.parametrize("strategy", ["rand2bin", "rand2exp"])
def test_five_others_are_mixed(strategy, mode):
    """With fewer than 6 members SciPy fails after the first population is evaluated; the default is large enough."""
    assert tune(strategy=strategy, mode=mode).fit().jobs == 20
    with pytest.raises(ValueError, match=r"'scipy-de'.*population.*\b5\b.*\b6\b.*rand2"):
        tune(strategy=strategy, mode=mode, population=5)


def test_a_population_beyond_all_memory_is_refused():
    """The error comes before any memory is allocated."""
    with pytest.raises(ValueError, match=r"population.*1000000000.*\b5\b.*100000"):
        tune(population=10**9)
