"""Studies in spaces with conditions and constraints: what reaches the jobs, the journal and the tables."""

import csv
import io
import json
import random
from pathlib import Path

import pytest
from inside import as_csv, rows
from studies import Killed, attach, dying, outcome, tune, tuner

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Simulated,
    Simulation,
    TrainingScript,
)

RANGES = {
    "booster": CategoricalParameter(["tree", "dart"]),
    "drop": ContinuousParameter(0, 1, when={"booster": ["dart"]}),
    "depth": IntegerParameter(1, 9),
}
LIGHT = Constraint({"depth": 1, "drop": 10}, at_most=9)
RECORDS = """
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print("loss=1.0")
"""


def judged(hyperparameters):
    """The loss of a job, which fails if an inactive parameter reaches it."""
    if ("drop" in hyperparameters) != (hyperparameters["booster"] == "dart"):
        raise AssertionError(hyperparameters)
    return Simulation({"loss": hyperparameters["depth"] + hyperparameters.get("drop", 0.5)}, seconds=60)


@pytest.mark.parametrize("strategy", ["random", "pso", "ga", "cmaes", "grid", "scipy-powell"])
def test_a_study_of_active_parameters_is_resumed_as_it_was(strategy):
    """Every job gets what is active and obeys; after a resume the proposals are those of one that never stopped."""
    settings = {"strategy": strategy, "constraints": [LIGHT], "failure_limit": False, "max_jobs": 20}
    if strategy == "grid":
        settings["strategy_options"] = {"resolution": 4}
    whole = tune(Simulated(judged), RANGES, job_name="whole", **settings)
    assert {str(trial.status) for trial in whole.trials} <= {"Completed", "Reused"}
    assert {len(trial.hyperparameters) for trial in whole.trials} == {2, 3}
    with dying(6), pytest.raises(Killed):
        tune(Simulated(judged), RANGES, job_name="half", **settings)
    resumed = attach("half", Simulated(judged)).resume()
    assert resumed.problem.space == whole.problem.space
    assert outcome(resumed) == outcome(whole)


def test_an_inactive_hyperparameter_is_an_empty_cell():
    """The table has a column for each hyperparameter that some trial has."""
    study = tune(Simulated(judged), RANGES)
    table = list(csv.DictReader(io.StringIO(as_csv(rows(study)))))
    assert {(row["drop"] == "", row["booster"]) for row in table} == {(True, "tree"), (False, "dart")}


def test_an_inactive_hyperparameter_is_no_argument_of_a_script(tmp_path, monkeypatch):
    """The script of a trial gets the active ones."""
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    Path("train.py").write_text(RECORDS)
    script = TrainingScript("train.py", environment={"RECORD": str(tmp_path / "record")})
    study = tune(script, RANGES, max_jobs=6)
    given = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
    wanted = [set(trial.hyperparameters) for trial in study.trials if trial.result_of is None]
    assert sorted(sorted(word[2:] for word in words if word.startswith("--")) for words in given) == sorted(
        map(sorted, wanted)
    )
    assert {"drop" in it for it in wanted} == {True, False}


def test_configurations_with_other_active_parameters_are_no_repeats():
    """Equal values of different parameters are different configurations."""
    ranges = {
        "x": IntegerParameter(0, 1, when={"flag": [1]}),
        "flag": IntegerParameter(0, 1),
        "y": IntegerParameter(0, 1, when={"flag": [0]}),
    }
    first = [{"x": 0, "flag": 1}, {"flag": 0, "y": 1}, {"x": 0, "flag": 1}]
    study = tune(lambda h: sum(h.values()), ranges, initial_configurations=first, max_jobs=4, max_parallel_jobs=1)
    assert [trial.result_of for trial in study.trials][:3] == [None, None, 0]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"booster": "tree", "drop": 0.1, "depth": 1}, ["drop", "inactive", "booster"]),
        ({"booster": "dart", "drop": 0.5, "depth": 5}, [str(LIGHT), "10"]),
    ],
)
def test_an_initial_configuration_outside_is_refused(configuration, words):
    """Before any job: the line names what is inactive, or the constraint."""
    with pytest.raises(InvalidInput) as refused:
        tuner(Simulated(judged), RANGES, constraints=[LIGHT], initial_configurations=[configuration])
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("constraints", [[{"depth": 1}], "depth < 3", [Constraint({"depht": 1}, at_most=1)]], ids=str)
def test_constraints_of_another_form_are_refused(constraints):
    """Before any job."""
    with pytest.raises(InvalidInput, match="constraint"):
        tuner(Simulated(judged), RANGES, constraints=constraints)


def test_a_constraint_may_name_what_the_estimator_fixes():
    """The fixed hyperparameters of a training script count."""
    Path("train.py").write_text(RECORDS)
    script = TrainingScript("train.py", hyperparameters={"width": 100})
    made = tuner(script, RANGES, constraints=[Constraint({"width": 1, "depth": 1}, at_most=101)])
    space = made._plan.problem.space
    assert {space.sample(random.Random(seed))["depth"] for seed in range(9)} == {1}
    with pytest.raises(InvalidInput, match="width"):
        tuner(script, RANGES, constraints=[Constraint({"width": 1, "depth": 1}, at_most=100)])
