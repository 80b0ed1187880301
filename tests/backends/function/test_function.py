"""Python functions are kept by name, so that another process finds them again."""

from functools import wraps

import pytest
from studies import attach, objective, tune

from byohpo_core import ContinuousParameter, InvalidInput, PythonFunction, Tuner, hookimpl


class Times:
    def __init__(self, factor):
        self.factor = factor

    def times(self, hyperparameters):
        return self.factor * hyperparameters["x"]


THRICE = Times(3)


@wraps(objective)
def hidden(hyperparameters):
    return objective(hyperparameters)["loss"] + 1


def test_processes_evaluate_importable_functions():
    """`processes=True` imports the function by name; a lambda is refused with a sentence."""
    import colorsys

    study = tune(PythonFunction(colorsys.rgb_to_yiq, processes=True), max_jobs=1, max_parallel_jobs=1)
    assert "missing 2 required positional arguments" in study.trials[0].reason
    with pytest.raises(InvalidInput, match=r"<lambda>.*top level of a module"):
        PythonFunction(lambda h: 1.0, processes=True)


@pytest.mark.parametrize("function", [THRICE.times, hidden], ids=["bound method", "wrapped function"])
def test_a_function_whose_name_leads_elsewhere_is_not_taken_for_what_is_there(function):
    """A bound method is not its class's, and a wrapper that bears a name is not what it wraps."""
    tune(function, max_jobs=2, max_parallel_jobs=1)
    with pytest.raises(InvalidInput, match=function.__qualname__.rpartition(".")[2]):
        Tuner.attach("s", journal="studies.db", progress=False).resume(max_jobs=4)
    assert attach(estimator=function).resume(max_jobs=4).jobs == 4


def test_what_only_this_program_has_cannot_go_on_in_another():
    """A class or a function of a test has no name by which another process could import it."""

    class Here:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return []

    ranges = {"x": ContinuousParameter(0, 1)}
    for estimator, strategy, message in (
        (objective, Here, "'Here'"),
        (lambda hyperparameters: 1.0, "random", "<lambda>"),
        (THRICE.times, "random", "Times.times"),
        (hidden, "random", "objective"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Tuner(estimator, "loss", ranges, strategy=strategy, progress=False).fit(wait=False)
    with pytest.raises(InvalidInput, match="journal"):
        Tuner(objective, "loss", ranges, strategy="random", journal=":memory:", progress=False).fit(wait=False)
