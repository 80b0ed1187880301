"""Results in the order of their trials: how long each job takes changes nothing of the search."""

import random

import pytest
from inside import order, policy
from studies import story, tune

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, InvalidInput, Simulated, Simulation

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


ALGORITHMS = ["random", "pso", "ga", "de", "es", "eda", "sa", "paes", "scipy-de", "aco"]


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
    with pytest.raises(InvalidInput, match=r"order is 'strickt'.*did you mean 'strict'\?"):
        trajectory(1, "random", order="strickt")


STRICT, ARRIVAL = policy.Policy(order="strict"), policy.Policy()
THREE = "ask 0 .1 .2; run 0; run 1; run 2"

OBSERVABLE = {
    "nothing": ("", [], []),
    "all run": (THREE, [], []),
    "the second has ended": (f"{THREE}; end 1", [], [1]),
    "the first has ended": (f"{THREE}; end 0", [0], [0]),
    "all have ended, the last first": (f"{THREE}; end 2; end 1; end 0", [0], [2, 1, 0]),
    "the first was observed": (f"{THREE}; end 2; end 0; see 0", [], [2]),
    "two were observed": (f"{THREE}; end 2; end 1; end 0; see 0; see 1", [2], [2]),
    "an earlier one has lost its attempt": (f"{THREE}; retry 0; end 1", [], [1]),
    "an earlier one waits for its slot": ("ask 0 .1; run 1; end 1", [], [1]),
    "prior ones have ended": (f"{THREE}; end 0; end 2; epoch", [0, 2], [0, 2]),
}


@pytest.mark.parametrize(("text", "strict", "arrival"), OBSERVABLE.values(), ids=OBSERVABLE)
def test_what_is_observed_now(text, strict, arrival):
    """In strict order one trial, and only after all before it; else whatever has ended."""
    study = story(text)
    assert [trial.number for trial in order.observable(study, STRICT)] == strict
    assert [trial.number for trial in order.observable(study, ARRIVAL)] == arrival


def test_prior_results_do_not_take_others_with_them():
    """A trial from before a raised limit may end late: it is observed at once, and the others wait for their turn."""
    study = story(f"{THREE}; end 0; end 1; epoch; see 0 1; ask .3 .4; run 3; run 4; end 4; end 2", max_jobs=9)
    assert [trial.number for trial in order.observable(study, STRICT)] == [2]


@pytest.mark.parametrize(
    ("text", "arrival"),
    [("", True), (THREE, True), (f"{THREE}; end 1", False), (f"{THREE}; end 1; see 1", True)],
    ids=["nothing", "all run", "one is not observed", "all are observed"],
)
def test_a_plugin_is_asked_when_it_knows_all_results(text, arrival):
    """In strict order after each result."""
    assert order.may_ask(story(text), ARRIVAL) is arrival
    assert order.may_ask(story(text), STRICT)


AHEAD = {
    "nothing: twice the slots": ("", 4),
    "three are out": (THREE, 1),
    "one of them has ended": (f"{THREE}; end 1", 1),
    "one of them is observed": (f"{THREE}; end 0; see 0", 2),
    "one repeats another": ("ask 0 0 .1; run 0; run 2", 1),
    "a repeat is observed": ("ask 0 0; run 0; end 0; see 0; reuse 1 0; see 1", 4),
    "all are observed": (f"{THREE}; end 0; end 1; end 2; see 0; see 1; see 2", 3),
    "one has lost its attempt": (f"{THREE}; retry 0", 1),
}


@pytest.mark.parametrize(("text", "wanted"), AHEAD.values(), ids=AHEAD)
def test_proposals_are_made_ahead_by_what_was_observed(text, wanted):
    """With two slots and six jobs, whatever has ended meanwhile."""
    assert order.wanted_in_order(story(text)) == wanted
