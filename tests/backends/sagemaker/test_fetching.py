"""A study that this journal does not have is found by the tags of its jobs and read from its mirror."""

import shutil
from time import monotonic

import pytest
from byohpo_sagemaker_emulator import Faults
from sagemaker_account import go_on, leave

from byohpo_core import StudyExists, UnknownStudy
from byohpo_core.journal import open_journal


def results(study):
    return [(dict(trial.hyperparameters), str(trial.status), trial.value, trial.attempt) for trial in study.trials]


def test_another_machine_goes_on(account, monkeypatch, tmp_path):
    """A study whose machine was lost is found by the tag with its name, and ends as if nothing had happened."""
    undisturbed = results(account.tuner(strategy="pso", journal="other.db").fit(job_name="other"))
    leave(account)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "byohpo-jobs", ignore_errors=True)
    study = go_on(account, monkeypatch, journal="studies.db")
    assert results(study) == undisturbed
    names = [name for name in account.emulator.jobs if name.startswith("study-")]
    assert len(names) == 8
    assert all(account.emulator.jobs[name].processes_started == 1 for name in names)


def test_a_study_is_found_by_its_id_too(account, monkeypatch):
    """If several studies have the name, the error lists their ids, and an id finds one."""
    leave(account)
    first = account.attach().study.id
    leave(account, journal="second.db")
    with pytest.raises(UnknownStudy, match=rf"'study'.*\bid\b.*{first}"):
        account.attach(journal="third.db")
    assert go_on(account, monkeypatch, first, journal="third.db").id == first


def test_a_study_that_may_not_be_read_is_named(account):
    """The error names the study and its mirror; a job that only has a tag with a name is not taken for ours."""
    leave(account)
    job = next(iter(account.emulator.jobs.values())).request
    request = {**job, "TrainingJobName": "theirs", "Tags": [{"Key": "byohpo-name", "Value": "theirs"}]}
    account.emulator.client("sagemaker").create_training_job(**request)
    with pytest.raises(UnknownStudy, match="'theirs'"):
        account.attach("theirs")
    account.emulator.faults.denied = {"s3:GetObject"}
    with pytest.raises(UnknownStudy, match=r"'study-\w{4}'.*s3://.*s3:GetObject"):
        account.attach(journal="other.db")


def test_what_is_nowhere_is_unknown(account):
    """The error lists the studies that the journal knows."""
    account.tuner().fit(job_name="known")
    with pytest.raises(UnknownStudy, match=r"'unknown'.*\bknown\b"):
        account.attach("unknown")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("denied", "sagemaker:Search"),
        ("expired", "credentials"),
        ("unreachable", "sagemaker:Search"),
        ("no region", "region|us east 1"),
    ],
)
def test_a_misspelt_name_is_told_where_sagemaker_cannot_be_asked(make_account, monkeypatch, fault, reason):
    """The error lists the journal's studies and says why SageMaker was not asked; it comes within 30 seconds."""
    account = make_account(faults=Faults(denied={"sagemaker:Search"} if fault == "denied" else ()))
    open_journal("studies.db").create("known", {"format": 1})
    if fault == "expired":
        account.emulator.faults.inject("expired")
    elif fault == "unreachable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    elif fault == "no region":
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us east 1")
    began = monotonic()
    with pytest.raises(UnknownStudy, match=rf"'typo'.*\bknown\b.*({reason})") as told:
        account.attach("typo")
    assert "\n" not in str(told.value)
    assert monotonic() - began < 30


def test_attaching_by_id_beside_another_study_of_that_name_is_refused(account):
    """The error names both studies' name, the id, and the argument that chooses another journal."""
    first = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    account.tuner(max_jobs=1, max_parallel_jobs=1, journal="other.db").fit(job_name="study")
    with pytest.raises(StudyExists, match=rf"other\.db.*'study'.*{first.id}.*journal="):
        account.attach(first.id, journal="other.db").resume()
