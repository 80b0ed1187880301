"""A resource: each trial's job gets its amount, and only results with the same amount are compared."""

import pytest
from inside import Manifest, rows
from studies import Killed, attach, dying, simulated, tune, tuned, tuner

from byohpo_core import (
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    PluginError,
    Problem,
    Proposal,
    PythonFunction,
    Resource,
    SearchSpace,
    Simulated,
    Simulation,
    hookimpl,
)
from byohpo_core.journal import open_journal

EPOCHS = {"resource": "epochs", "max_resource": 9, "min_resource": 2, "journal": ":memory:", "max_parallel_jobs": 1}


def planned(*plan):
    """An algorithm that proposes these pairs of x and fidelity."""

    class Planned:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            pairs = plan[len(study.trials) : len(study.trials) + count]
            return [Proposal({"x": x}, fidelity=fidelity) for x, fidelity in pairs]

    return Planned


def given(hyperparameters):
    """A job whose loss is what it was given."""
    return Simulation({"loss": hyperparameters["x"] * hyperparameters["epochs"]}, 60)


def test_a_job_gets_the_amount_of_its_trial():
    """The trial's fidelity, as a whole number, or all of the resource."""
    seen = []

    def train(hyperparameters):
        seen.append(hyperparameters)
        return {"loss": 1.0}

    study = tune(train, strategy=planned((0.5, 3), (0.25, None)), max_jobs=2, **EPOCHS)
    assert sorted(it["epochs"] for it in seen) == [3, 9]
    assert [dict(trial.hyperparameters) for trial in study.trials] == [
        {"x": 0.5, "epochs": 3},
        {"x": 0.25, "epochs": 9},
    ]
    assert {row["epochs"] for row in rows(study)} == {3, 9}


@pytest.mark.parametrize("strategy", ["random", "pso"])
def test_any_algorithm_trains_with_all_of_it(strategy):
    """One that knows nothing of a resource searches the rest of the space."""
    study = tune(Simulated(given), strategy=strategy, max_jobs=6, **EPOCHS)
    assert {trial.hyperparameters["epochs"] for trial in study.trials} == {9}
    assert all(trial.proposal.hyperparameters.keys() == {"x"} for trial in study.trials)


def test_it_leaves_the_space():
    """A range or a fixed value that the user gives it is left out."""
    ranges = {"x": ContinuousParameter(0, 1), "epochs": IntegerParameter(1, 50)}
    fixed = PythonFunction(lambda given: given["epochs"], hyperparameters={"epochs": 50, "batch": 8})
    for estimator, space in ((Simulated(given), ranges), (fixed, None)):
        study = tune(estimator, space, strategy=planned((0.5, 4)), max_jobs=1, **EPOCHS)
        assert study.trials[0].hyperparameters["epochs"] == 4
        assert "epochs" not in study.problem.space.parameters


def test_the_incumbent_had_the_most_of_it_so_far():
    """A result with less of it is better only while there is none with more."""
    plan = planned((0.1, 2), (0.2, 2), (0.9, 4), (0.5, 4), (0.1, 3))
    study = tune(Simulated(given), strategy=plan, max_jobs=5, **EPOCHS)
    assert study.best.number == 3
    assert [row["Trial"] for row in rows(study)] == [3, 2, 4, 0, 1]


def test_the_front_had_the_most_of_it_so_far():
    """As for one objective."""

    def two(hyperparameters):
        x = hyperparameters["x"]
        return Simulation({"loss": x, "size": 1 - x}, 60)

    plan = planned((0.1, 2), (0.2, 4), (0.6, 4))
    study = tune(Simulated(two), None, ["loss", "size"], strategy=plan, max_jobs=3, **EPOCHS)
    assert [trial.number for trial in study.pareto_front] == [1, 2]


def test_it_is_there_after_a_crash():
    """The manifest has it, and a resume and an epoch keep it."""
    settings = {**EPOCHS, "journal": "studies.db"}
    with dying(commits=5), pytest.raises(Killed):
        tune(Simulated(given), max_jobs=4, **settings)
    study = attach(estimator=Simulated(given)).resume()
    assert attach(estimator=Simulated(given)).resume(max_jobs=6).jobs == 6
    assert study.problem.resource == Resource("epochs", 9, 2)


def test_a_study_without_one_is_written_as_before():
    """Its manifest has no word of it."""
    tuner_of = tuned(Simulated(simulated), max_jobs=3)
    problem = Manifest.of(open_journal("studies.db").find(tuner_of.study.name)).problem.to_json()
    assert "resource" not in problem
    assert Problem.from_json(problem).resource is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_resource": None}, ["max_resource", "epochs"]),
        ({"resource": None}, ["resource=", "max_resource"]),
        ({"max_resource": 0}, ["max_resource", "0"]),
        ({"max_resource": 2.5}, ["max_resource", "2.5"]),
        ({"min_resource": 10}, ["min_resource", "10", "9"]),
        ({"resource": 3}, ["resource", "3"]),
    ],
    ids=lambda it: ",".join(it) if isinstance(it, list) else "",
)
def test_wrong_settings_are_refused(settings, words):
    """At birth, in one line that names the argument and the value."""
    with pytest.raises(InvalidInput) as error:
        tuner(Simulated(given), **{**EPOCHS, **settings})
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_a_problem_has_it_outside_of_its_space():
    space = SearchSpace({"x": ContinuousParameter(0, 1)})
    with pytest.raises(InvalidInput, match="'x'"):
        Problem(space, tuner(simulated)._plan.problem.objectives, 1, 1, 1, resource=Resource("x", 9))


@pytest.mark.parametrize("fidelity", [1, 10, 2.5])
def test_an_amount_that_it_does_not_have_is_the_plugins_error(fidelity):
    """No job is started for it."""
    with pytest.raises(PluginError, match=f"Planned.*fidelity is {fidelity}"):
        tune(Simulated(given), strategy=planned((0.5, fidelity)), **EPOCHS)


def test_earlier_studies_have_the_same_one():
    """Results of other amounts cannot be compared."""
    journal = {"journal": "studies.db"}
    tune(Simulated(given), max_jobs=1, job_name="old", **{**EPOCHS, **journal})
    with pytest.raises(InvalidInput, match=r"old.*epochs from 2 to 9.*epochs from 2 to 10"):
        tuner(Simulated(given), **{**EPOCHS, **journal, "max_resource": 10}, warm_start_from=["old"])
    study = tune(Simulated(given), max_jobs=1, job_name="new", **{**EPOCHS, **journal}, warm_start_from=["old"])
    assert [trial.prior for trial in study.trials] == [True, False]
