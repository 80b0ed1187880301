"""Random search: one uniform draw per parameter, in the space's order, from a generator of each trial."""

import random

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, StaticParameter, Tuner


def test_each_configuration_is_one_draw_per_parameter_in_order():
    """The search can be repeated with the standard library's generator."""
    ranges = {
        "x": ContinuousParameter(-5, 5),
        "s": StaticParameter("fixed"),
        "c": CategoricalParameter(["a", "b", "c"]),
        "n": IntegerParameter(1, 1000),
    }
    study = Tuner(
        lambda h: h["x"],
        "loss",
        ranges,
        strategy="random",
        max_jobs=40,
        max_parallel_jobs=4,
        random_seed=7,
        journal=":memory:",
        progress=False,
    ).fit()
    draws = [random.Random(f"7-{number}") for number in range(40)]
    expected = [{name: ranges[name].decode(draw.random()) for name in ("x", "c", "n")} for draw in draws]
    assert [dict(trial.proposal.hyperparameters) for trial in study.trials] == expected
    assert {trial.hyperparameters["c"] for trial in study.trials} == {"a", "b", "c"}
