"""A study is found again by its name."""

import re
import sys
from importlib import import_module

import pytest
from studies import attach, eventful, objective, outcome, tune, tuned

from byohpo_core import InvalidInput, Simulated, Simulation, StudyExists, Tuner, UnknownStudy


def test_another_function_is_taken_with_a_warning(caplog):
    """It may be renamed, or the wrong one."""
    eventful("random", max_jobs=4).fit(job_name="s")
    other = Simulated(lambda _: Simulation({"loss": 1.0}, 60))
    attach(estimator=other).resume(max_jobs=5)
    (told,) = caplog.messages
    assert re.search("studies:eventful_job.*<lambda>", told)
    attach().resume(max_jobs=6)
    assert caplog.messages == [told]  # the same one is no news


def test_an_ended_study_is_returned_as_it_is_without_its_function_or_plugin():
    """No estimator, no algorithm and no driver is needed to look at what is over."""
    first = eventful(max_jobs=4).fit(job_name="s")
    again = Tuner.attach("s", journal="studies.db").resume()
    assert outcome(again) == outcome(first)


def test_names_are_unique_in_a_journal_and_unknown_ones_list_the_known():
    """A taken name and an unknown one are told with the way out."""
    eventful(max_jobs=4).fit(job_name="known")
    with pytest.raises(StudyExists, match="'known'"):
        eventful().fit(job_name="known")
    with pytest.raises(UnknownStudy, match=r"'unknown'.*known: known"):
        attach("unknown")


def test_looking_creates_nothing(own_folder):
    """A missing journal stays missing."""
    with pytest.raises(UnknownStudy, match="known: none"):
        Tuner.attach("s", journal="nowhere.db")
    assert not list(own_folder.iterdir())


def test_a_function_whose_module_fails_is_told_in_one_line(tmp_path, monkeypatch):
    """Whatever the module raises when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "broken_objective.py"
    module.write_text("def f(hyperparameters):\n    return 1.0\n")
    tune(import_module("broken_objective").f, max_jobs=1, max_parallel_jobs=1)
    monkeypatch.delitem(sys.modules, "broken_objective")
    module.write_text("raise RuntimeError('no such\\ndevice')")
    with pytest.raises(InvalidInput, match=r"broken_objective:f.*RuntimeError: no such device"):
        Tuner.attach("s", journal="studies.db", progress=False).resume(max_jobs=2)


def test_an_attached_tuner_takes_an_algorithm_by_name_and_begins_nothing():
    """It resumes; a new study wants a new tuner."""
    tune()
    attached = attach(estimator=objective, strategy="random")
    with pytest.raises(InvalidInput, match=r"resume\(\)"):
        attached.fit()
    assert attached.resume(max_jobs=14).jobs == 14
    assert attached.describe()["Manifest"]["problem"]["max_jobs"] == 14


def test_an_attached_tuner_tells_what_has_happened_since():
    """Another driver goes on; every question reads the journal again."""
    first = tuned()
    attached, before = attach(estimator=objective), attach(estimator=objective).study
    assert attached.study.jobs == 12
    first.resume(max_jobs=15)
    assert (attached.study.jobs, before.jobs) == (15, 12)
    assert len(attached.analytics().dataframe()) == len(attached.study.trials)
    assert attached.study is attached.study
