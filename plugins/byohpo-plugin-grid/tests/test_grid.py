"""Grid search tries every combination once."""

import pytest

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Simulated,
    Simulation,
    Tuner,
)

RANGES = {
    "rate": ContinuousParameter(1e-4, 1, "Logarithmic"),
    "n": IntegerParameter(1, 3),
    "kind": CategoricalParameter(["a", "b"]),
}


def tune(options=None, ranges=RANGES, **settings):
    settings = {"max_jobs": 100, "max_parallel_jobs": 4, "random_seed": 1, **settings}
    return Tuner(
        Simulated(lambda h: Simulation({"loss": 1.0}, 1)),
        "loss",
        ranges,
        strategy="grid",
        strategy_options=options or {},
        journal=":memory:",
        progress=False,
        **settings,
    ).fit()


def points(study):
    return [tuple(trial.hyperparameters.values()) for trial in study.trials]


def test_every_point_is_tried_once_and_then_the_study_ends():
    """This holds for both orders; continuous values are evenly spaced on the parameter's scale."""
    for order in ("shuffled", "lexicographic"):
        study = tune({"resolution": {"rate": 5}, "order": order})
        assert sorted(points(study)) == [
            (pytest.approx(rate), n, kind) for rate in (1e-4, 1e-3, 1e-2, 0.1, 1.0) for n in (1, 2, 3) for kind in "ab"
        ]
        assert study.stop_reason == "no more proposals"


def test_the_orders_are_what_they_are_called():
    """In lexicographic order the last parameter varies fastest; the seed decides the shuffled order."""
    small = {"n": IntegerParameter(1, 2), "m": IntegerParameter(5, 7)}
    assert points(tune({"order": "lexicographic"}, small)) == [(n, m) for n in (1, 2) for m in (5, 6, 7)]
    shuffled = [points(tune({}, small, random_seed=seed)) for seed in (1, 1, 2)]
    assert shuffled[0] == shuffled[1] != shuffled[2]


def test_a_grid_larger_than_any_memory_is_no_trouble():
    """Points are computed when they are proposed."""
    many = {f"n{axis}": IntegerParameter(1, 1000) for axis in range(20)}
    assert len(set(points(tune({}, many, max_jobs=50)))) == 50


def test_a_resolution_limits_integers_too():
    """An integer gets at most as many values as the resolution, the bounds included."""
    study = tune({"resolution": 3, "order": "lexicographic"}, {"n": IntegerParameter(0, 100)})
    assert [n for (n,) in points(study)] == [0, 50, 100]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, r"rate\b.*'rate': \d"),
        ({"resolution": 0}, r"resolution.*\brate\b.*\b0\b.*\b1\b.*\b10000\b"),
        ({"resolution": 10**9}, r"resolution.*\brate\b.*1000000000.*\b1\b.*\b10000\b"),
        ({"resolution": {"rte": 3}}, "resolution.*'rte'"),
        ({"resolution": 3, "order": "random"}, "order.*'random'.*shuffled.*lexicographic"),
    ],
    ids=str,
)
def test_bad_options_are_refused_before_any_job(options, told):
    """The error names the parameter or option."""
    with pytest.raises(InvalidInput, match=told):
        tune(options)


def test_a_continuous_parameter_of_one_value_has_that_value():
    """It needs no resolution and is not rounded."""
    for options in ({}, {"resolution": 3}):
        study = tune(options, {"x": ContinuousParameter(2.5, 2.5), "n": IntegerParameter(1, 2)})
        assert [trial.hyperparameters["x"] for trial in study.trials] == [2.5, 2.5]


def test_a_resolution_of_categories_is_refused():
    """The grid tries all categories."""
    with pytest.raises(InvalidInput, match=r"resolution.*'kind'.*categorical"):
        tune({"resolution": {"kind": 1, "rate": 3}})


def test_what_was_tried_already_is_not_tried_again():
    """A configuration of the user's own may lie on the grid, computed by another machine; it counts as its point."""
    rate = 1e-2 * (1 + 1e-15)
    given = [{"rate": rate, "n": 2, "kind": "b"}, {"rate": 0.5, "n": 2, "kind": "b"}]
    study = tune({"resolution": {"rate": 5}}, initial_configurations=given)
    tried = [(f"{rate:.9g}", n, kind) for rate, n, kind in points(study)]
    assert len(set(tried)) == len(tried) == 30 + 1


CONDITIONAL = {
    "depth": IntegerParameter(1, 3, when={"kind": ["tree", "dart"]}),
    "kind": CategoricalParameter(["tree", "dart", "linear"]),
    "drop": ContinuousParameter(0, 1, when={"kind": ["dart"], "depth": [3]}),
}


@pytest.mark.parametrize("order", ["shuffled", "lexicographic"])
def test_inactive_parameters_multiply_nothing(order):
    """Each active combination is tried once."""
    study = tune({"resolution": {"drop": 3}, "order": order}, CONDITIONAL)
    made = [tuple(sorted(trial.hyperparameters.items())) for trial in study.trials]
    assert len(set(made)) == len(made) == 3 + (2 + 3) + 1
    assert study.stop_reason == "no more proposals"


def test_points_that_break_a_constraint_are_left_out():
    """The others are tried once; a grid of which no point obeys is refused before any job."""
    light = Constraint({"n": 1, "rate": 1}, at_most=2.01)
    study = tune({"resolution": {"rate": 5}}, constraints=[light])
    assert sorted(
        (h["n"], round(h["rate"], 9)) for h in (it.hyperparameters for it in study.trials) if h["kind"] == "a"
    ) == [
        *((1, rate) for rate in (1e-4, 1e-3, 0.01, 0.1, 1.0)),
        *((2, rate) for rate in (1e-4, 1e-3, 0.01)),
    ]
    with pytest.raises(InvalidInput, match="grid"):
        tune({"resolution": {"rate": 5}}, constraints=[Constraint({"rate": 1}, at_most=0.6, at_least=0.5)])
