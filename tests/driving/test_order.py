"""Results in the order of their trials: how long each job takes changes nothing of the search."""

import random
from types import SimpleNamespace

import pytest
from studies import tune

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, InvalidInput, Simulated, Simulation
from byohpo_core.driving.order import observable
from byohpo_core.driving.policy import Policy

SLOTS = 16
RANGES = {"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1)}
DISCRETE = {"n": IntegerParameter(1, 30), "kind": CategoricalParameter(["a", "b", "c"])}


def trajectory(durations, strategy, *, ranges=RANGES, order="strict", failing=0.0, max_jobs=80):
    """What was proposed and what came of it, with durations drawn by a seed."""
    chance = random.Random(durations)
    fails = random.Random(1)

    def job(hyperparameters):
        numbers = [value if isinstance(value, float) else len(str(value)) / 3 for value in hyperparameters.values()]
        loss = sum((number - 0.3) ** 2 for number in numbers) + hyperparameters.get("n", 0) / 30
        failure = "diverged" if random.Random(repr(sorted(hyperparameters.items()))).random() < failing else None
        return Simulation({"loss": loss}, chance.lognormvariate(6, 1), failure)

    fails.random()
    study = tune(
        Simulated(job),
        ranges,
        strategy=strategy,
        max_jobs=max_jobs,
        max_parallel_jobs=SLOTS,
        random_seed=3,
        order=order,
        failure_limit=False,
        journal=":memory:",
    )
    return [(dict(t.proposal.hyperparameters), str(t.status), t.value, t.proposal.key) for t in study.trials]


ALGORITHMS = ["random", "pso", "ga", "de", "es", "eda", "sa", "paes", "scipy-de"]


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_fifty_orders_of_arrival_give_one_trajectory(strategy):
    """At 16 slots, with durations that differ by factors."""
    seen = {repr(trajectory(durations, strategy)) for durations in range(50)}
    assert len(seen) == 1


@pytest.mark.parametrize("strategy", ["pso", "de"])
def test_without_it_the_order_of_arrival_matters(strategy):
    """The asynchronous mode goes by what comes first; so the tests above can fail."""
    assert len({repr(trajectory(durations, strategy, order="arrival")) for durations in range(5)}) > 1


@pytest.mark.parametrize("strategy", ["random", "ga", "pso"])
def test_repeats_and_failures_change_nothing(strategy):
    """A repeated configuration shares a result, a failed one does not: both at the same place in every order."""
    seen = {repr(trajectory(durations, strategy, ranges=DISCRETE, failing=0.3, max_jobs=60)) for durations in range(20)}
    assert len(seen) == 1


def test_another_order_is_refused():
    """There are two."""
    with pytest.raises(InvalidInput, match=r"order is 'strickt' \(did you mean 'strict'\?"):
        trajectory(1, "random", order="strickt")


def test_prior_results_do_not_take_others_with_them():
    """A trial from before a raised limit may end late: it is observed at once, and the others wait for their turn."""
    late, early = (SimpleNamespace(number=number, prior=number == 3) for number in (3, 9))
    study = SimpleNamespace(unobserved=[late, early], running=[SimpleNamespace(number=5)], waiting=[])
    assert observable(study, Policy(order="strict")) == [late]
