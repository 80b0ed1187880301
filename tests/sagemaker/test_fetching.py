"""A study that this journal lacks is looked for elsewhere only where the user says so."""

from pathlib import Path

import pytest

from byohpo_core import StudyExists, Tuner, UnknownStudy
from byohpo_core.cli import main
from byohpo_core.journal import open_journal


@pytest.fixture
def driven(account):
    """An account in which a study was driven, from a journal that this machine does not have."""
    account.study = account.tuner(max_jobs=4, journal="elsewhere.db").fit(job_name="study")
    account.emulator.calls.clear()
    return account


@pytest.mark.usefixtures("driven")
def test_an_unknown_name_asks_nobody_and_writes_nothing(account):
    """A misspelt name calls no service; the error names the command that fetches."""
    with pytest.raises(UnknownStudy, match=r"'study'.*`byohpo pull study --journal here.db`"):
        Tuner.attach("study", journal="here.db")
    assert account.emulator.calls == []
    assert not Path("here.db").exists()


@pytest.mark.parametrize("how", ["argument", "variable"])
@pytest.mark.parametrize("name", ["name", "id"])
def test_a_place_on_s3_is_where_it_is_fetched_from(driven, how, name, monkeypatch):
    """By name or id; no job is looked for."""
    if how == "variable":
        monkeypatch.setenv("BYOHPO_MIRROR", "s3://bucket/out")
    mirror = "s3://bucket/out" if how == "argument" else None
    tuner = Tuner.attach(getattr(driven.study, name), journal="here.db", mirror=mirror)
    assert [trial.value for trial in tuner.study.trials] == [trial.value for trial in driven.study.trials]
    assert open_journal("here.db").find("study").id == driven.study.id
    assert driven.operations() == []


@pytest.mark.usefixtures("driven")
def test_what_is_not_there_is_unknown():
    """Neither another name nor the beginning of one is taken for it."""
    for name in ("stud", "other"):
        with pytest.raises(UnknownStudy, match=f"'{name}'"):
            Tuner.attach(name, journal="here.db", mirror="s3://bucket/out")
    assert not Path("here.db").exists()


def test_two_studies_of_one_name_are_told_apart_by_id(driven):
    """The error names both ids."""
    again = driven.tuner(max_jobs=1, max_parallel_jobs=1, journal="another.db").fit(job_name="study")
    with pytest.raises(UnknownStudy) as raised:
        Tuner.attach("study", journal="here.db", mirror="s3://bucket/out")
    assert driven.study.id in str(raised.value)
    assert again.id in str(raised.value)


def test_the_command_fetches_by_the_tags_of_jobs(driven, capsys):
    """Then every other command works; a second time, or of another name, it says so and exits with 2."""
    assert main(["resume", "study", "--journal", "here.db"]) == 2
    assert "byohpo pull study --journal here.db" in capsys.readouterr().err
    assert main(["pull", "study", "--journal", "here.db"]) == 0
    assert driven.study.id in capsys.readouterr().out
    assert main(["results", "study", "--journal", "here.db"]) == 0
    assert main(["resume", "study", "--journal", "here.db"]) == 0
    capsys.readouterr()
    assert main(["pull", "study", "--journal", "here.db"]) == 2
    assert "'study'" in capsys.readouterr().err
    assert main(["pull", "typo", "--journal", "here.db"]) == 2
    assert "'typo'" in capsys.readouterr().err


def test_the_command_fetches_from_a_place(driven, capsys):
    """A place that is none on S3 is refused."""
    assert main(["pull", "study", "--journal", "here.db", "--mirror", "s3://bucket/out/"]) == 0
    assert driven.operations() == []
    capsys.readouterr()
    assert main(["pull", "other", "--journal", "here.db", "--mirror", "bucket/out"]) == 2
    assert "'bucket/out'" in capsys.readouterr().err


def test_another_study_of_that_name_is_left_alone(driven):
    """A journal has each name once."""
    driven.tuner(max_jobs=1, max_parallel_jobs=1, journal="here.db").fit(job_name="study")
    with pytest.raises(StudyExists, match=driven.study.id):
        Tuner.attach(driven.study.id, journal="here.db", mirror="s3://bucket/out")
