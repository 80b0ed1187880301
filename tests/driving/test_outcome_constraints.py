"""Bounds on metrics: a trial within them goes before all others."""

import json

import pytest
from inside import read, rows
from studies import attach, story, tune

from byohpo_core import (
    ContinuousParameter,
    InvalidInput,
    OutcomeConstraint,
    Problem,
    Simulated,
    Simulation,
    TrialStatus,
)

FAST = OutcomeConstraint("latency", at_most=5)
RANGES = {"x": ContinuousParameter(0, 10)}


def job(hyperparameters):
    """The loss falls with x, and the latency rises with it."""
    x = hyperparameters["x"]
    return Simulation({"loss": 10 - x, "latency": x, "memory": 2 * x}, 60)


def given(*values, **settings):
    """A study of these configurations, in this order."""
    return tune(
        Simulated(job),
        RANGES,
        initial_configurations=[{"x": value} for value in values],
        max_jobs=len(values),
        max_parallel_jobs=1,
        **{"constraints": [FAST], **settings},
    )


def test_the_best_trial_is_within():
    """One beyond the bound is the best only until there is another one; the bound itself is within."""
    assert given(9.0, 4.0, 5.0, 6.0).best.hyperparameters["x"] == 5.0
    study = given(9.0, 7.0, 8.0, job_name="beyond")
    assert (study.best.hyperparameters["x"], study.best.violation) == (7.0, pytest.approx(0.4))


def test_without_constraints_nothing_changes():
    """Every trial is within."""
    study = given(9.0, 4.0, constraints=[])
    assert (study.best.hyperparameters["x"], study.best.violation) == (9.0, 0.0)
    assert "outcome_constraints" not in study.problem.to_json()


def test_several_bounds_count_together():
    """At least and at most, on several metrics."""
    between = OutcomeConstraint("memory", at_least=4, at_most=8)
    assert given(1.0, 3.0, 4.5, constraints=[FAST, between]).best.hyperparameters["x"] == 3.0


def test_the_pareto_front_is_within():
    """A trial beyond a bound dominates nothing, unless all are beyond."""
    two = {"metric": ["loss", "memory"], "objective_type": ["Minimize", "Minimize"]}
    assert [it.hyperparameters["x"] for it in given(9.0, 4.0, 5.0, 6.0, **two).pareto_front] == [4.0, 5.0]
    study = given(9.0, 7.0, job_name="beyond", **two)
    assert [it.hyperparameters["x"] for it in study.pareto_front] == [7.0]


@pytest.mark.parametrize("latency", [None, float("nan")], ids=["missing", "nan"])
def test_a_job_that_does_not_report_the_metric_fails(latency):
    """The reason names it."""
    metrics = {"loss": 1.0} if latency is None else {"loss": 1.0, "latency": latency}
    study = tune(Simulated(lambda _: Simulation(metrics, 60)), RANGES, constraints=[FAST], failure_limit=False)
    assert {trial.status for trial in study.trials} == {TrialStatus.Failed}
    assert all("latency" in trial.reason for trial in study.trials)


def test_the_table_tells_what_is_beyond():
    """Its first rows are within; the metric and how far it is beyond have columns."""
    table = rows(given(9.0, 4.0, 6.0))
    assert [(row["latency"], row["Violation"]) for row in table] == [
        (4.0, 0.0),
        (6.0, pytest.approx(0.2)),
        (9.0, pytest.approx(0.8)),
    ]


def test_a_target_is_reached_within():
    """The rule `target-value` waits for a trial within the bounds."""
    study = given(9.0, 8.0, 4.5, 3.0, extensions=[("target-value", {"value": 6.0})])
    assert (len(study.trials), study.stop_reason.split(":")[0]) == (3, "target reached")


def test_they_are_journaled_and_restored():
    """An attached study has them, and its best trial is the same."""
    study = given(9.0, 4.0, job_name="kept")
    again = attach("kept", Simulated(job)).study
    assert again.problem.outcome_constraints == (FAST,)
    assert again.best.number == study.best.number == 1
    assert Problem.from_json(json.loads(json.dumps(study.problem.to_json()))) == study.problem


@pytest.mark.parametrize("strategy", ["pso", "de", "ga", "cmaes", "scipy-de", "scipy-nelder-mead"])
def test_an_algorithm_ends_within(strategy):
    """What is beyond a bound is no better than a failure to it, so the last trials are within."""
    study = tune(Simulated(job), RANGES, strategy=strategy, constraints=[FAST], max_jobs=60)
    assert 4 < study.best.hyperparameters["x"] <= 5
    last = [trial.hyperparameters["x"] for trial in study.trials[-20:]]
    assert sum(x <= 5 for x in last) >= 10


@pytest.mark.parametrize(
    "settings",
    [{}, {"at_most": "5"}, {"at_most": 1, "at_least": 2}, {"at_most": float("inf")}],
    ids=str,
)
def test_a_bound_of_another_form_is_refused(settings):
    """The line names the metric or the bound."""
    with pytest.raises(InvalidInput, match=r"latency|at_most"):
        OutcomeConstraint("latency", **settings)
    with pytest.raises(InvalidInput, match="metric"):
        OutcomeConstraint("", at_most=1)


@pytest.mark.parametrize("body", [{"x": 1}, [1], [{"metric": 1, "at_most": 1}]], ids=str)
def test_outcome_constraints_of_another_form_are_no_problem(body):
    """A journal that somebody changed is refused."""
    problem = story("ask .1").problem.to_json()
    with pytest.raises((InvalidInput, TypeError)):
        Problem.from_json({**problem, "outcome_constraints": body})


def test_a_file_has_them_among_the_constraints(tmp_path):
    """One of [[constraints]] with a metric bounds that metric, which the script's log is searched for."""
    (tmp_path / "train.py").write_text("print('loss=1 latency=2')\n")
    file = tmp_path / "study.toml"
    file.write_text(
        'strategy = "random"\nobjective_metric_name = "loss"\n[script]\nentry_point = "train.py"\n'
        f'source_dir = "{tmp_path}"\n[hyperparameter_ranges.x]\ntype = "continuous"\nmin_value = 0\nmax_value = 1\n'
        '[[constraints]]\nmetric = "latency"\nat_most = 5\n'
    )
    made = read(file).tuner(progress=False)
    assert made._plan.problem.outcome_constraints == (FAST,)
    study = made.fit()
    assert study.best.metrics["latency"] == 2.0
