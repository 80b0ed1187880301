"""Bad input gets one clear line and starts no job."""

import sqlite3
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import pytest

from byohpo_core import (
    ByohpoError,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    PythonFunction,
    StaticParameter,
    TrainingScript,
    Tuner,
    UnknownStudy,
)

X = {"x": ContinuousParameter(0, 1)}


def never(hyperparameters):
    raise AssertionError("a job was started")


def tune(estimator=never, objective="loss", ranges=X, **settings):
    settings = {"strategy": "random", "max_jobs": 4, "max_parallel_jobs": 2, "progress": False, **settings}
    job = {name: settings.pop(name) for name in ("inputs", "job_name") if name in settings}
    return Tuner(estimator, objective, ranges, **settings).fit(**job)


def tune_without(name):
    def others(group):
        return [entry for entry in entry_points(group=group) if entry.name != name]

    with mock.patch("byohpo_core.plugins.finding.entry_points", others):
        return tune(strategy=name)


def script():
    Path("train.py").write_text("raise SystemExit('a job was started')")
    return TrainingScript("train.py")


CASES = {
    "unknown algorithm": (
        lambda: tune(strategy="randon"),
        "'randon'",
        "did you mean 'random'?",
    ),
    "one of ours, not installed": (lambda: tune_without("nsga2"), "pip install byohpo-plugin-nsga2"),
    "one of SageMaker's": (lambda: tune(strategy="Bayesian"), "Bayesian", "SageMaker"),
    "SageMaker's spelling": (lambda: tune(strategy="Random"), "Random", 'strategy="random"'),
    "one of SageMaker's, and the way out": (lambda: tune(strategy="Bayesian"), "Bayesian", 'strategy="pso"'),
    "strategy is no class": (lambda: tune(strategy=3), "3", "plugin", "class"),
    "unknown option": (
        lambda: tune(strategy="pso", strategy_options={"inertial": 0.5}),
        "plugin 'pso' (byohpo-plugin-pso 0.1.0)",
        "'inertial'",
        "did you mean 'inertia'?",
    ),
    "option out of range": (
        lambda: tune(strategy="pso", strategy_options={"population": 0}),
        "plugin 'pso' (byohpo-plugin-pso 0.1.0)",
        "population is 0",
        "from 2 to 100000",
    ),
    "option of another type": (
        lambda: tune(strategy="pso", strategy_options={"inertia": "high"}),
        "inertia is 'high'",
    ),
    "unknown extension": (
        lambda: tune(extensions=["target"]),
        "extension 'target'",
        "did you mean",
    ),
    "extension twice": (lambda: tune(extensions=["failure-limit"]), "'failure-limit'", "twice"),
    "extension without its option": (
        lambda: tune(extensions=["target-value"]),
        "plugin 'target-value' (byohpo-core 0.1.0)",
        "option 'value'",
        "byohpo info target-value",
    ),
    "min above max": (lambda: tune(ranges={"x": ContinuousParameter(2, 1)}), "min_value 2.0", "max_value 1.0"),
    "bound is text": (lambda: tune(ranges={"x": ContinuousParameter("0", 1)}), "min_value is '0'"),
    "bound is nan": (
        lambda: tune(ranges={"x": ContinuousParameter(0, float("nan"))}),
        "max_value is nan",
    ),
    "bound is infinite": (lambda: tune(ranges={"x": ContinuousParameter(0, float("inf"))}), "max_value is inf"),
    "fractional bound of an integer": (
        lambda: tune(ranges={"n": IntegerParameter(0.5, 3)}),
        "min_value is 0.5",
        "whole number",
    ),
    "seed below 0": (
        lambda: tune(random_seed=-1),
        "random_seed is -1",
        "at least 0",
    ),
    "logarithm of 0": (lambda: tune(ranges={"x": ContinuousParameter(0, 1, "Logarithmic")}), "Logarithmic"),
    "reverse logarithm of 1": (
        lambda: tune(ranges={"x": ContinuousParameter(0, 1, "ReverseLogarithmic")}),
        "ReverseLogarithmic",
    ),
    "unknown scaling": (lambda: tune(ranges={"x": ContinuousParameter(0, 1, "Logarithm")}), "Logarithmic"),
    "empty categories": (lambda: tune(ranges={"c": CategoricalParameter([])}), "categor"),
    "no parameters": (lambda: tune(ranges={}), "no parameters"),
    "nothing to tune": (lambda: tune(ranges={"s": StaticParameter(1)}), "no parameters"),
    "more than 100 hyperparameters": (
        lambda: tune(ranges={f"x{i}": ContinuousParameter(0, 1) for i in range(101)}),
        "100",
    ),
    "static and range of one name": (
        lambda: tune(TrainingScript(script().entry_point, hyperparameters={"x": 1})),
        "x",
    ),
    "not a range": (lambda: tune(ranges={"x": (0, 1)}), "x"),
    "unknown objective type": (
        lambda: tune(objective_type="Maximise"),
        "objective_type is 'Maximise'",
        "did you mean 'Maximize'?",
    ),
    "max_jobs 0": (lambda: tune(max_jobs=0), "max_jobs is 0"),
    "max_jobs is text": (lambda: tune(max_jobs="9"), "max_jobs is '9'", "whole number"),
    "more slots than jobs": (
        lambda: tune(max_parallel_jobs=5),
        "max_parallel_jobs is 5",
        "max_jobs (4)",
    ),
    "no slots": (lambda: tune(max_parallel_jobs=0), "max_parallel_jobs is 0"),
    "no attempts": (lambda: tune(max_attempts=0), "max_attempts is 0", "at least 1"),
    "unknown treatment of duplicates": (lambda: tune(duplicates="skip"), "duplicates is 'skip'", "reuse, run"),
    "unknown early stopping": (lambda: tune(early_stopping_type="On"), "early_stopping_type is 'On'"),
    "job name with an underscore": (lambda: tune(job_name="my_study"), "'my_study'", "letters"),
    "job name too long": (lambda: tune(job_name="x" * 49), "49 characters", "48"),
    "missing script": (lambda: tune(TrainingScript("nowhere.py")), "nowhere.py"),
    "missing channel": (lambda: tune(script(), inputs={"training": "nowhere"}), "nowhere"),
    "function with channels": (lambda: tune(inputs={"training": "."}), "function", "input channels"),
    "regex that does not compile": (
        lambda: tune(script(), metric_definitions=[{"Name": "loss", "Regex": "loss=("}]),
        "'loss'",
        "loss=(",
    ),
    "regex without a group": (
        lambda: tune(script(), metric_definitions=[{"Name": "loss", "Regex": "loss=.*"}]),
        "'loss'",
        "group",
    ),
    "metric definition without a regex": (
        lambda: tune(script(), metric_definitions=[{"Name": "loss"}]),
        '"Name"',
        '"Regex"',
    ),
    "function with metric definitions": (
        lambda: tune(metric_definitions=[{"Name": "loss", "Regex": "loss=(.*)"}]),
        "function",
        "metric_definitions",
    ),
    "function with early stopping": (
        lambda: tune(early_stopping_type="Auto"),
        'early_stopping_type="Auto"',
    ),
    "script outside its source": (
        lambda: script() and tune(TrainingScript("../train.py", source_dir="source")),
        "train.py",
        "source_dir",
    ),
    "channel that is no folder": (
        lambda: tune(script(), inputs={"a/b": "."}),
        "channel 'a/b'",
        "letters",
    ),
    "fixed hyperparameter that is a list": (
        lambda: tune(TrainingScript("train.py", hyperparameters={"layers": [1, 2]})),
        "'layers'",
        "[1, 2]",
    ),
    "function's hyperparameters are a list": (
        lambda: tune(PythonFunction(never, hyperparameters=[1])),
        "list",
        "mapping",
    ),
    "not a function": (lambda: tune(3), "3", "function"),
    "initial configuration outside": (
        lambda: tune(initial_configurations=[{"x": 2.0}]),
        "initial configuration 0",
        "x",
        "2.0",
    ),
    "initial configuration with another name": (
        lambda: tune(initial_configurations=[{"y": 9}]),
        "initial configuration 0",
        "'y'",
        "known: x",
    ),
    "journal in a missing folder": (lambda: tune(journal="nowhere/study.db"), "nowhere", "folder"),
    "journal that is text": (lambda: tune(journal="text.db"), "text.db", "journal"),
    "journal that is another database": (
        lambda: tune(journal="other.db"),
        "other.db",
        "SQLite",
        "journal",
    ),
    "journal of a newer schema": (
        lambda: tune(journal="newer.db"),
        "newer.db",
        "99",
        "newer byohpo",
    ),
    "objective is a number": (lambda: tune(objective=3), "objective_metric_name is 3"),
    "objective twice": (lambda: tune(objective=["a", "a"]), "twice", "a, a"),
    "ranges are a list": (lambda: tune(ranges=[1]), "hyperparameter_ranges", "list"),
    "options are text": (lambda: tune(strategy_options="a"), "plugin 'random'", "str"),
    "option that is not finite": (
        lambda: tune(strategy="pso", strategy_options={"inertia": float("nan")}),
        "plugin 'pso'",
        "option inertia is nan",
    ),
    "options that JSON cannot hold": (
        lambda: tune(strategy="pso", strategy_options={"inertia": object()}),
        "plugin 'pso'",
        "inertia",
        "<object object at",
    ),
    "initial configurations are text": (
        lambda: tune(initial_configurations="abc"),
        "initial_configurations is 'abc'",
    ),
    "extension is a triple": (lambda: tune(extensions=[("median", {}, 1)]), "('median', {}, 1)"),
    "tags are numbers": (lambda: tune(tags=[1]), "tags has 1", '"Key"', '"Value"'),
    "journal is a number": (lambda: tune(journal=3), "journal is 3"),
    "job name is a number": (lambda: tune(job_name=3), "job name is 3"),
    "inputs are text": (lambda: tune(script(), inputs="data"), "inputs", "str"),
    "channel is nothing": (lambda: tune(script(), inputs={"training": None}), "'training' is None"),
    "script is a number": (lambda: tune(TrainingScript(3)), "path is 3"),
    "categories are text": (lambda: tune(ranges={"c": CategoricalParameter("abc")}), "values is 'abc'"),
    "strategy makes nothing": (lambda: tune(strategy=lambda problem: None), "<lambda>", "None"),
    "unknown study": (lambda: Tuner.attach("study"), "'study'", "known: none"),
}


@pytest.fixture
def strange_journals():
    """Files that are no journal that this version can use."""
    Path("text.db").write_text("Dear diary,\n" * 100)
    for path, pragmas in {
        "other.db": (),
        "newer.db": (f"application_id = {int.from_bytes(b'byoh')}", "user_version = 99"),
    }.items():
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE cats (name TEXT)")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        connection.commit()
        connection.close()


@pytest.mark.usefixtures("strange_journals")
@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_one_line_before_any_job(case):
    """The line names the thing, the value and the way out, and nothing is left behind."""
    attempt, *words = CASES[case]
    before = {path.name for path in Path().iterdir()} | {"train.py"}
    with pytest.raises(ByohpoError) as raised:
        attempt()
    message = str(raised.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert {path.name for path in Path().iterdir()} | {"train.py"} == before


def test_an_unknown_study_lists_the_known_ones():
    """So that a typo is seen."""
    Tuner(lambda h: 1.0, "loss", X, strategy="random", progress=False).fit(job_name="known")
    with pytest.raises(UnknownStudy, match=r"'knwon'.*known: known"):
        Tuner.attach("knwon")


def test_min_equal_to_max_is_allowed():
    """A fixed point is a range."""
    assert tune(lambda h: h["x"], ranges={"x": ContinuousParameter(2, 2)}, strategy="pso").best.value == 2.0
