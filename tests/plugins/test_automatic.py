"""An algorithm is chosen for those who name none: by the problem and by what is installed, once."""

import re
from contextlib import closing

import pytest
from studies import JOURNAL, attach, tune

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Simulated,
    Simulation,
    Tuner,
    UnknownPlugin,
)
from byohpo_core.journal import open_journal

RANGES = {"x": ContinuousParameter(0, 1)}
SMALL = {"n": IntegerParameter(1, 3), "c": CategoricalParameter(["a", "b"])}
MANY = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(61)}


def manifest():
    """What the journal has of the study."""
    with closing(open_journal(JOURNAL)) as journal:
        return journal.find("s").manifest()


def job(hyperparameters):
    return Simulation({"loss": len(hyperparameters), "size": 1.0}, 1.0)


def chosen(ranges=RANGES, objectives="loss", **settings):
    """The name of the algorithm and the reason that the manifest has."""
    settings = {"max_jobs": 2, "max_parallel_jobs": 1, **settings}
    tune(Simulated(job), ranges, objectives, strategy="auto", **settings)
    kept = manifest()
    return kept["plugins"][0]["name"], kept["chosen_for"]


@pytest.fixture
def only(monkeypatch):
    """Let only these algorithms be installed."""

    def set_names(*names):
        monkeypatch.setattr("byohpo_core.plugins.automatic.installed", lambda _: dict.fromkeys(names))

    return set_names


@pytest.mark.parametrize(
    ("settings", "name", "told"),
    [
        ({}, "gp", r"\b2 jobs and 1 hyperparameters"),
        ({"ranges": SMALL, "max_jobs": 6}, "grid", r"6 jobs.*6 configurations"),
        ({"ranges": SMALL, "max_jobs": 5}, "gp", r"5 jobs"),
        ({"ranges": MANY}, "cmaes", r"61 hyperparameters"),
        ({"resource": "epochs", "max_resource": 9}, "hyperband", r"epochs"),
        ({"objectives": ["loss", "size"]}, "gp", r"2 jobs"),
    ],
    ids=["small", "every configuration", "one too few", "many dimensions", "a resource", "two objectives"],
)
def test_the_problem_decides(settings, name, told):
    """The manifest has the algorithm and the reason."""
    found, reason = chosen(**settings)
    assert found == name
    assert re.search(told, reason)


@pytest.mark.parametrize(("installed", "name"), [(("random", "pso"), "pso"), (("random",), "random")])
def test_the_next_best_is_taken_where_the_best_is_not_installed(only, installed, name):
    """The reason names what would do better."""
    only(*installed)
    found, reason = chosen()
    assert found == name
    assert "gp" in reason


def test_none_installed_is_told_before_anything_happens(only):
    """The error names a distribution of ours."""
    only()
    with pytest.raises(UnknownPlugin, match="pip install byohpo-plugin-gp"):
        chosen()


def test_the_choice_stands_whatever_is_installed_later(only):
    """A resume goes on with the algorithm in the manifest."""
    only("random")
    chosen()
    only("gp", "random")
    study = attach("s", estimator=Simulated(job)).resume(max_jobs=4)
    assert study.jobs == 4
    assert manifest()["plugins"][0]["name"] == "random"


def test_it_is_the_default_and_told(capfd):
    """The first line of the progress says what was chosen, and why."""
    Tuner(Simulated(job), "loss", SMALL, max_jobs=6, journal=JOURNAL).fit()
    first = capfd.readouterr().err.splitlines()[0]
    assert re.search(r"grid.*6 jobs.*6 configurations", first)


def test_a_study_whose_algorithm_was_named_has_no_reason(capfd):
    """Its manifest is as it was."""
    Tuner(Simulated(job), "loss", SMALL, strategy="random", max_jobs=2, journal=JOURNAL).fit(job_name="s")
    assert "chosen_for" not in manifest()
    assert "auto" not in capfd.readouterr().err


def test_options_are_for_an_algorithm_that_is_named():
    """Which one they would go to, the user cannot know."""
    with pytest.raises(InvalidInput, match=r"strategy_options.*auto"):
        Tuner(Simulated(job), "loss", RANGES, strategy_options={"population": 4})
