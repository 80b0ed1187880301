"""A study's results as tables."""

import csv
import io
import json

from inside import as_csv, as_json, as_table, rows
from studies import tune

from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation


def test_rows_are_sorted_the_best_first(study):
    """Failed trials last, by number."""
    table = rows(study)
    values = [row["FinalObjectiveValue"] for row in table]
    known = [value for value in values if value is not None]
    assert known == sorted(known) == values[: len(known)]
    assert table[0]["Trial"] == study.best.number
    failed = [row["Trial"] for row in table if row["TrainingJobStatus"] == "Failed"]
    assert failed == sorted(failed) != []


def test_columns_are_named_as_sagemakers_and_no_setting_is_dropped(study):
    """Every hyperparameter has a column, also one that is named like another."""
    first = rows(study)[0]
    trial = study.best
    assert {"TrainingJobName", "TrainingJobStatus", "FinalObjectiveValue", "TrainingElapsedTimeSeconds"} <= set(first)
    assert first["x"] == trial.hyperparameters["x"]
    assert first["batch"] == 100
    assert (first["Trial"], first["Trial (hyperparameter)"]) == (trial.number, trial.hyperparameters["Trial"])
    assert first["TrainingElapsedTimeSeconds"] == 60


def test_a_row_per_trial_in_every_form(study):
    """CSV and JSON hold what the rows hold; the table has one line a row."""
    table = rows(study)
    read = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [float(row["x"]) for row in read] == [row["x"] for row in table]
    assert json.loads(as_json(table)) == [dict(row) for row in table]
    lines = as_table(table).splitlines()
    assert len(lines) == 11
    assert all(line == line.rstrip() for line in lines)
    assert lines[0].split()[:3] == ["Trial", "TrainingJobStatus", "FinalObjectiveValue"]
    assert "out of memory" in lines[-1]


def test_what_json_has_no_number_for_is_null():
    """Whoever reads it need not be Python."""
    assert json.loads(as_json([{"a": float("nan"), "b": float("-inf"), "c": 0.5, "d": "nan"}])) == [
        {"a": None, "b": None, "c": 0.5, "d": "nan"}
    ]


def test_nothing_is_a_table_too():
    """A study without trials."""
    assert as_table([]) == "no trials"
    assert json.loads(as_json([])) == []
    assert as_csv([]).strip() == ""


def test_several_objectives_have_a_column_each_and_a_pareto_front():
    """No trial of the front is beaten by another."""

    def simulated(hyperparameters):
        x = hyperparameters["x"]
        return Simulation({"loss": x**2, "accuracy": x}, 1)

    study = tune(
        Simulated(simulated),
        {"x": ContinuousParameter(-1, 1)},
        ["loss", "accuracy"],
        objective_type=["Minimize", "Maximize"],
        max_jobs=30,
    )
    assert {"loss", "accuracy"} <= set(rows(study)[0])
    front = study.pareto_front
    xs = [trial.hyperparameters["x"] for trial in front]
    least = min((abs(trial.hyperparameters["x"]), trial.hyperparameters["x"]) for trial in study.trials)[1]
    assert sorted(xs) == sorted(
        x for x in (trial.hyperparameters["x"] for trial in study.trials) if x > 0 or x == least
    )


def test_the_pareto_front_comes_first_where_there_are_several_objectives():
    """In a column of its own, by the first objective; beaten and failed trials follow."""

    def job(hyperparameters):
        n = hyperparameters["n"]
        return Simulation({"error": float((4 - n) ** 2), "seconds": float(n)}, 1, "failed" if n == 2 else None)

    study = tune(
        Simulated(job),
        {"n": IntegerParameter(1, 6)},
        ["error", "seconds"],
        strategy="grid",
        objective_type=["Minimize", "Minimize"],
        max_jobs=6,
        failure_limit=False,
    )
    assert {trial.hyperparameters["n"] for trial in study.pareto_front} == {1, 3, 4}
    table = rows(study)
    assert [(row["n"], row["ParetoFront"]) for row in table] == [
        (4, True),
        (3, True),
        (1, True),
        (5, False),
        (6, False),
        (2, False),
    ]
