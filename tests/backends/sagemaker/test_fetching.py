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
    """The laptop is lost: the study is found by its name's tag, and ends as if nothing had happened."""
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
    """And where several have the name, they are listed."""
    leave(account)
    first = account.attach().study.id
    leave(account, journal="second.db")
    with pytest.raises(UnknownStudy, match=f"several studies are named 'study': attach to one by its id: .*{first}"):
        account.attach(journal="third.db")
    assert go_on(account, monkeypatch, first, journal="third.db").id == first


def test_a_study_that_may_not_be_read_is_named(account):
    """With its mirror; and a job that only has a study's name is none of ours."""
    leave(account)
    job = next(iter(account.emulator.jobs.values())).request
    request = {**job, "TrainingJobName": "theirs", "Tags": [{"Key": "byohpo-name", "Value": "theirs"}]}
    account.emulator.client("sagemaker").create_training_job(**request)
    with pytest.raises(UnknownStudy, match=r"no study named 'theirs'"):
        account.attach("theirs")
    account.emulator.faults.denied = {"s3:GetObject"}
    with pytest.raises(
        UnknownStudy, match=r"study 'study-.*' cannot be read from s3://.*AWS does not allow s3:GetObject"
    ):
        account.attach(journal="other.db")


def test_what_is_nowhere_is_unknown(account):
    """The journal's own list is told."""
    account.tuner().fit(job_name="known")
    with pytest.raises(UnknownStudy, match=r"no study named 'unknown' \(known: known\)"):
        account.attach("unknown")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("denied", "AWS does not allow sagemaker:Search"),
        ("expired", "the AWS credentials have expired"),
        ("unreachable", "sagemaker:Search is not answered"),
        ("no region", "no AWS region|doesn't match a supported format"),
    ],
)
def test_a_misspelt_name_is_told_where_sagemaker_cannot_be_asked(make_account, monkeypatch, fault, reason):
    """The journal's own list comes first, and nobody waits long for it."""
    account = make_account(faults=Faults(denied={"sagemaker:Search"} if fault == "denied" else ()))
    open_journal("studies.db").create("known", {"format": 1})
    if fault == "expired":
        account.emulator.faults.inject("expired")
    elif fault == "unreachable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    elif fault == "no region":
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us east 1")
    began = monotonic()
    with pytest.raises(
        UnknownStudy, match=rf"no study named 'typo' \(known: known\).*; nor can it be .*({reason})"
    ) as told:
        account.attach("typo")
    assert "\n" not in str(told.value)
    assert monotonic() - began < 30


def test_attaching_by_id_beside_another_study_of_that_name_is_refused(account):
    """Resuming the other one would be the wrong advice."""
    first = account.tuner(max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    account.tuner(max_jobs=1, max_parallel_jobs=1, journal="other.db").fit(job_name="study")
    with pytest.raises(
        StudyExists, match=rf"^journal other\.db has another study named 'study': .*{first.id}.*journal="
    ):
        account.attach(first.id, journal="other.db")
