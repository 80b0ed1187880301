"""A study that this journal lacks is looked for elsewhere only where the user says so."""

import json
from pathlib import Path

import pytest
from sagemaker_account import REQUEST

from byohpo_core import StudyExists, TrainingJob, Tuner, UnknownStudy
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
    """By name or id; no job is looked for, and only `resume` brings it into the journal."""
    if how == "variable":
        monkeypatch.setenv("BYOHPO_MIRROR", "s3://bucket/out")
    mirror = "s3://bucket/out" if how == "argument" else None
    tuner = Tuner.attach(getattr(driven.study, name), journal="here.db", mirror=mirror)
    assert [trial.value for trial in tuner.study.trials] == [trial.value for trial in driven.study.trials]
    assert driven.operations() == []
    assert not Path("here.db").exists()
    assert tuner.resume().stop_reason == driven.study.stop_reason
    assert open_journal("here.db").find("study").id == driven.study.id


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


def test_tags_lead_only_to_places_that_the_user_has_named(driven, capsys):
    """Anybody who may tag a job could name a place, and what is there would run."""
    assert main(["pull", "study", "--journal", "here.db"]) == 2
    assert "--mirror s3://bucket/out" in capsys.readouterr().err
    theirs = TrainingJob({**REQUEST, "OutputDataConfig": {"S3OutputPath": "s3://bucket/output"}}, clock=driven.clock)
    with pytest.raises(UnknownStudy, match="'s3://bucket/out'"):
        Tuner.attach("study", journal="here.db", estimator=theirs)
    assert Tuner.attach("study", journal="here.db", estimator=driven.training_job()).study.id == driven.study.id
    assert not Path("here.db").exists()


def test_tags_may_lead_to_sagemaker_s_default_bucket(account, capsys):
    """In this account it is the user's own."""
    bucket = "sagemaker-us-east-1-123456789012"
    account.emulator.client("s3").create_bucket(Bucket=bucket)
    job = account.training_job({**REQUEST, "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/digits"}})
    study = account.tuner(job, max_jobs=1, max_parallel_jobs=1, journal="elsewhere.db").fit(job_name="study")
    assert main(["pull", "study", "--journal", "here.db"]) == 0
    assert study.id in capsys.readouterr().out


@pytest.mark.parametrize("forged", ["id", "name", "kind", "outputs", "nothing"])
def test_what_is_not_the_mirror_of_this_study_is_left_alone(driven, forged, capsys):
    """Its id, its name, its kind of jobs and their place have to be the ones that it is found by."""
    s3, key = driven.emulator.client("s3"), f"out/byohpo/{driven.study.id}/study.json"
    body = json.loads(s3.get_object(Bucket="bucket", Key=key)["Body"].read())
    match forged:
        case "id" | "name":
            body[forged] = "other"
        case "kind":
            body["manifest"]["backend"] = {"kind": "local", "python": "/tmp/evil"}
        case "outputs":
            body["manifest"]["backend"]["request"]["OutputDataConfig"]["S3OutputPath"] = "s3://theirs/out"
        case "nothing":
            body = []
    s3.put_object(Bucket="bucket", Key=key, Body=json.dumps(body).encode())
    assert main(["pull", "study", "--journal", "here.db", "--mirror", "s3://bucket/out"]) == 2
    assert driven.study.id in capsys.readouterr().err
    assert not Path("here.db").exists()


@pytest.mark.usefixtures("driven")
def test_a_bucket_must_be_this_account_s_own(calls):
    """Every read says whose bucket it expects."""
    Tuner.attach("study", journal="here.db", mirror="s3://bucket/out")
    owners = {parameters.get("ExpectedBucketOwner") for _, parameters in calls if "Bucket" in parameters}
    assert owners == {"123456789012"}


def test_a_driver_s_bucket_must_be_this_account_s_own(account, calls):
    """Every read and write of its mirror says whose bucket it expects."""
    account.tuner(max_jobs=3).fit(job_name="study")
    account.attach().resume(max_jobs=4)
    owners = {it.get("ExpectedBucketOwner") for _, it in calls if "/byohpo/" in it.get("Key", it.get("Prefix", ""))}
    assert owners == {"123456789012"}


def test_a_command_fetches_what_the_others_then_know(driven, capsys, monkeypatch):
    """A second time, or of another name, it says so and exits with 2."""
    monkeypatch.setenv("BYOHPO_MIRROR", "s3://bucket/out")
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
    attached = Tuner.attach(driven.study.id, journal="here.db", mirror="s3://bucket/out")
    with pytest.raises(StudyExists, match=driven.study.id):
        attached.resume()
