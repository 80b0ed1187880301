"""A driver on another machine goes on with a study: whoever asks on this one is told, and nothing is written here."""

import json
import socket
from pathlib import Path

import pytest
from sagemaker_account import REQUEST, Leave, go_on, leave
from sagemaker_inside import Mirror

from byohpo_core import TrainingJob, Tuner
from byohpo_core.cli import main
from byohpo_core.journal import open_journal


@pytest.fixture
def gone_on(account, monkeypatch):
    """A study that this machine left after three trials; another one has driven it to its end since."""
    leave(account)
    account.study = go_on(account, monkeypatch, journal="elsewhere.db")
    account.emulator.calls.clear()
    return account


@pytest.fixture
def half(account, monkeypatch):
    """A study that this machine left; another one has come one trial further."""
    monkeypatch.setattr("sagemaker_account.LeavesAfter.trials", 2)
    leave(account)
    monkeypatch.setattr("sagemaker_account.LeavesAfter.trials", 5)
    with pytest.raises(Leave):
        account.attach(journal="elsewhere.db").resume()
    return account


def here():
    """How many events the journal of this machine has."""
    return open_journal("studies.db").find("study").last() + 1


@pytest.mark.parametrize("how", ["estimator", "argument", "variable"])
def test_a_tuner_tells_what_another_machine_has_done(gone_on, how, monkeypatch):
    """Where the user names the mirror's place; the journal stays as it is."""
    before, mirror = here(), None
    if how == "variable":
        monkeypatch.setenv("BYOHPO_MIRROR", "s3://bucket/out")
    elif how == "argument":
        mirror = "s3://bucket/out/"
    estimator = gone_on.training_job() if how == "estimator" else None
    tuner = Tuner.attach("study", journal="studies.db", estimator=estimator, mirror=mirror)
    assert tuner.study.stop_reason == gone_on.study.stop_reason
    assert [it.value for it in tuner.study.trials] == [it.value for it in gone_on.study.trials]
    assert tuner.best_training_job() == gone_on.study.best.job_name
    assert tuner.describe()["HyperParameterTuningJobStatus"] == "Completed"
    assert tuner.describe()["Driver"] is None
    assert here() == before
    assert gone_on.operations() == []


def test_a_tuner_asks_again_at_each_question(account, monkeypatch):
    """It was up to date once; then the other machine went on."""
    leave(account)
    tuner = account.attach()
    assert tuner.study.stop_reason is None
    study = go_on(account, monkeypatch, journal="elsewhere.db")
    assert tuner.study.stop_reason == study.stop_reason
    account.attach(journal="elsewhere.db").resume(max_jobs=9)
    assert tuner.study.jobs == 9
    assert tuner.study is tuner.study
    pulled = Tuner.attach("study", journal="third.db", mirror="s3://bucket/out")
    account.attach(journal="elsewhere.db").resume(max_jobs=10)
    assert pulled.study.jobs == 10
    assert not Path("third.db").exists()


@pytest.mark.parametrize("place", [None, "s3://other/out", "s3://bucket/ou"])
def test_a_place_that_nobody_names_is_not_read(gone_on, place):
    """Neither is another one: no call leaves this machine."""
    tuner = Tuner.attach("study", journal="studies.db", mirror=place)
    assert tuner.study.stop_reason is None
    assert gone_on.emulator.calls == []
    if place is not None:
        theirs = TrainingJob({**REQUEST, "OutputDataConfig": {"S3OutputPath": place}}, clock=gone_on.clock)
        tuner = Tuner.attach("study", journal="studies.db", estimator=theirs)
        assert tuner.study.stop_reason is None
        assert gone_on.emulator.calls == []


def test_commands_tell_it_too(gone_on, capsys, monkeypatch):
    """`studies` and `results` read the mirror where its place is named, and call nobody without."""
    before = here()
    assert main(["studies", "--journal", "studies.db"]) == 0
    assert "not ended" in capsys.readouterr().out
    assert gone_on.emulator.calls == []
    assert main(["studies", "--journal", "studies.db", "--mirror", "s3://bucket/out"]) == 0
    assert gone_on.study.stop_reason in capsys.readouterr().out
    monkeypatch.setenv("BYOHPO_MIRROR", "s3://bucket/out")
    assert main(["studies", "--journal", "studies.db"]) == 0
    assert gone_on.study.stop_reason in capsys.readouterr().out
    assert main(["results", "study", "--journal", "studies.db", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(gone_on.study.trials)
    assert here() == before


def test_who_drives_it_elsewhere_is_named_not_how_to_resume_it(half, capsys):
    """The other machine may be at work: nobody here can tell."""
    assert main(["studies", "--journal", "studies.db", "--mirror", "s3://bucket/out"]) == 0
    told = capsys.readouterr().out
    assert f" on {socket.gethostname()}" in told
    assert "resume" not in told
    assert socket.gethostname() in half.attach().describe()["Driver"]


def test_a_driver_of_this_machine_that_commits_meanwhile_is_no_difference(gone_on, monkeypatch, caplog):
    """Its commits are in the journal and then in the mirror, while somebody asks what is new there."""
    tuner = gone_on.attach()
    commits = Mirror.commits

    def slow(mirror, after=-1):
        monkeypatch.setattr(Mirror, "commits", commits)
        tuner.resume()
        return commits(mirror, after)

    monkeypatch.setattr(Mirror, "commits", slow)
    asking = gone_on.attach()
    assert asking.study.stop_reason == gone_on.study.stop_reason
    assert caplog.messages == []


@pytest.mark.parametrize("fault", ["unreachable", "denied", "damaged"])
def test_a_mirror_that_cannot_be_read_is_told_in_one_line(gone_on, fault, monkeypatch, caplog):
    """The answer is the journal's, and comes at once; the next question asks again."""
    tuner = gone_on.attach()
    last = sorted(gone_on.emulator.client("s3").list_objects_v2(Bucket="bucket")["Contents"], key=lambda it: it["Key"])
    events = [it["Key"] for it in last if "/events/" in it["Key"]]
    with monkeypatch.context() as patch:
        if fault == "unreachable":
            patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        elif fault == "denied":
            gone_on.emulator.faults.denied = {"s3:GetObject"}
        else:
            whole = gone_on.emulator.client("s3").get_object(Bucket="bucket", Key=events[-1])["Body"].read()
            gone_on.emulator.client("s3").put_object(Bucket="bucket", Key=events[-1], Body=whole.replace(b"n", b"m"))
        for _ in range(2):
            assert tuner.study.stop_reason is None
    (told,) = caplog.messages
    assert "study" in told
    assert "studies.db" in told
    if fault == "denied":
        gone_on.emulator.faults.denied = set()
    elif fault == "damaged":
        gone_on.emulator.client("s3").put_object(Bucket="bucket", Key=events[-1], Body=whole)
    assert tuner.study.stop_reason == gone_on.study.stop_reason


@pytest.mark.parametrize("forged", [{"S3OutputPath": 5}, {}], ids=["another type", "missing"])
def test_a_manifest_without_a_place_hides_no_other_study(half, forged, capsys, caplog):
    """The journal's answer is shown, with one line that says why."""
    journal = open_journal("studies.db")
    manifest = json.loads(json.dumps(journal.find("study").record.manifest))
    manifest["backend"]["request"]["OutputDataConfig"] = forged
    journal.create("forged", manifest)
    assert main(["studies", "--journal", "studies.db", "--mirror", "s3://bucket/out"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    (told,) = caplog.messages
    assert "forged" in told
    assert "S3OutputPath" in told


def test_a_study_that_has_ended_here_and_went_on_elsewhere_is_brought_by_resume(account):
    """Resume writes what the mirror has, and returns that."""
    account.tuner(max_jobs=4).fit(job_name="study")
    account.attach(journal="elsewhere.db").resume(max_jobs=6)
    events = open_journal("elsewhere.db").find("study").last()
    assert account.attach().resume().jobs == 6
    assert open_journal("studies.db").find("study").last() == events
    assert Tuner.attach("study", journal="studies.db").study.jobs == 6
