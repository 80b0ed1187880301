"""The journal's second copy, on S3: another machine can go on, and two drivers cannot."""

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest
from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    IncompleteReadError,
    MetadataRetrievalError,
    ResponseStreamingError,
)
from botocore.response import StreamingBody
from byohpo_sagemaker_emulator import Faults
from sagemaker_account import REQUEST

from byohpo_core import ByohpoError, InvalidInput, StudyBusy, StudyExists, UnknownStudy, hookimpl
from byohpo_core.backends.sagemaker.aws import Aws, WallClock
from byohpo_core.backends.sagemaker.mirror import Mirror, MirroredLog
from byohpo_core.journal import open_journal
from byohpo_core.journal.memory import MemoryJournal
from byohpo_core.study.events import Event, EventKind


class Leave(BaseException):
    """The driver is gone, and its machine with it."""


class LeavesAfter:
    """The driver leaves when some trials are over."""

    trials = 3

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def stop(self, study):
        if sum(trial.finished for trial in study.trials) >= self.trials:
            raise Leave


def results(study):
    return [(dict(trial.hyperparameters), str(trial.status), trial.value, trial.attempt) for trial in study.trials]


def copy_journal(path, copy):
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def leave(account, **settings):
    with pytest.raises(Leave):
        account.tuner(extensions=[LeavesAfter], strategy="pso", **settings).fit(job_name="study")


def go_on(account, monkeypatch, name="study", **settings):
    monkeypatch.setattr(LeavesAfter, "trials", 99)
    return account.attach(name, **settings).resume()


def test_each_commit_is_an_object(account):
    """Beside the outputs, in the journal's own order, with all that the journal holds."""
    study = account.tuner().fit(job_name="study")
    client = account.emulator.client("s3")
    listed = client.list_objects_v2(Bucket="bucket", Prefix=f"out/byohpo/{study.id}/")["Contents"]
    keys = sorted(it["Key"] for it in listed)
    assert keys[-1] == f"out/byohpo/{study.id}/study.json"
    rows = []
    for key in keys[:-1]:
        body = json.loads(client.get_object(Bucket="bucket", Key=key)["Body"].read())
        assert int(Path(key).stem) == len(rows)
        rows += body["events"]
    events = open_journal("studies.db").find(study.id).read()
    assert rows == [[it.sequence, str(it.kind), it.version, it.time, dict(it.body)] for it in events]


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


def test_a_limit_is_measured_by_what_happened_elsewhere(account):
    """The journal of a machine that was left behind is brought forward first."""
    account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")

    with closing(sqlite3.connect("studies.db")) as journal, closing(sqlite3.connect("copy.db")) as copy:
        journal.backup(copy)
    account.attach().resume(max_jobs=6)
    with pytest.raises(InvalidInput, match="max_jobs is 4, and study 'study' has had 6 jobs"):
        account.attach(journal="copy.db").resume(max_jobs=4)


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


def test_a_stale_copy_catches_up(account, monkeypatch):
    """The study went on elsewhere: what happened there is taken from the mirror."""
    leave(account)
    copy_journal("studies.db", "copy.db")
    monkeypatch.setattr(LeavesAfter, "trials", 6)
    with pytest.raises(Leave):
        account.attach(journal="elsewhere.db").resume()
    study = go_on(account, monkeypatch, journal="copy.db")
    assert study.stop_reason == "max_jobs (8) reached"
    assert len(account.emulator.jobs) == 8


def test_a_journal_that_went_another_way_is_refused(account, monkeypatch):
    """Two histories of one study cannot be joined."""
    leave(account)
    journal = open_journal("studies.db")
    (log,) = journal.logs()
    count = len([*log.read()])
    copy_journal("studies.db", "copy.db")
    strange = open_journal("copy.db")
    strange.find(log.id).append([Event(count, EventKind.Opened, account.clock.now(), {"host": "other", "pid": 1})])
    strange.close()
    go_on(account, monkeypatch)
    with pytest.raises(StudyBusy, match="went on elsewhere"):
        account.attach(journal="copy.db").resume()


def mirror_of(account, study_id="study-abcd"):
    return Mirror(Aws(None, account.clock, 4.0), "s3://bucket/out", study_id)


def event(sequence):
    return Event(sequence, EventKind.Opened, 1.0, {"host": "here", "pid": sequence})


def test_of_two_drivers_one_goes_on(account):
    """Who writes an event second has to stop."""
    first, second = mirror_of(account), mirror_of(account)
    first.append([event(0)])
    with pytest.raises(StudyBusy, match="another driver has written event 0"):
        second.append([event(0)])


def test_our_own_retry_is_no_other_driver(make_account):
    """The answer was lost, the object was written: the refusal of the second try is ours."""
    faults = Faults()
    account = make_account(faults=faults)
    mirror = mirror_of(account)
    faults.inject("timeout", "PutObject", times=1)
    mirror.append([event(0), event(1)])
    assert mirror.commits() == [0]
    assert mirror.events(0) == [event(0), event(1)]


@pytest.mark.parametrize(
    "lost",
    [ResponseStreamingError(error="reset by peer"), IncompleteReadError(actual_bytes=1, expected_bytes=2)],
    ids=["reset", "short"],
)
def test_a_connection_lost_within_an_object_is_made_again(account, monkeypatch, lost):
    """Like one that is lost before."""
    mirror = mirror_of(account)
    mirror.append([event(0)])
    read, errors = StreamingBody.read, [lost]

    def interrupted(self, amt=None):
        if errors:
            raise errors.pop()
        return read(self, amt)

    monkeypatch.setattr(StreamingBody, "read", interrupted)
    assert mirror.events(0) == [event(0)]
    assert errors == []


def test_a_commit_that_did_not_reach_the_mirror_is_brought_there(account):
    """The driver died between the disk and S3."""
    journal = open_journal("studies.db")
    log = journal.create("study", {"format": 1})
    mirrored = MirroredLog(log, mirror_of(account, log.id))
    mirrored.append([event(0)])
    log.append([event(1), event(2)])
    again = mirror_of(account, log.id)
    MirroredLog(log, again).append([event(3)])
    assert again.commits() == [0, 1, 3]
    assert [it for commit in again.commits() for it in again.events(commit)] == [event(number) for number in range(4)]


def test_a_bucket_at_its_top_can_be_the_output(account):
    """Without a prefix, keys begin with byohpo/."""
    request = {**REQUEST, "OutputDataConfig": {"S3OutputPath": "s3://bucket"}}
    study = account.tuner(account.training_job(request), max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    listed = account.emulator.client("s3").list_objects_v2(Bucket="bucket", Prefix=f"byohpo/{study.id}/events/")
    assert listed["KeyCount"] > 0


def test_a_loss_that_was_nan_is_the_same_on_both_sides(account):
    """A driver that goes on in this process compares what it remembers with the copy, and nan equals nothing."""
    journal = MemoryJournal()
    log = journal.create("study", {"format": 1})
    points = {"trial": 0, "points": {"loss": [0, [float("nan")]]}}
    MirroredLog(log, mirror_of(account, log.id)).append([Event(0, EventKind.Reported, 1.0, points)])
    again = mirror_of(account, log.id)
    MirroredLog(log, again).append([event(1)])
    assert again.commits() == [0, 1]


def test_credentials_that_worked_for_the_mirror_are_waited_for_by_the_jobs(make_account):
    """They expire between the first commit and the first job: the study has begun, and goes on with new ones."""
    faults = Faults()
    account = make_account(faults=faults)
    faults.inject("expired", "CreateTrainingJob")
    study = account.tuner().fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert faults.hits["expired"] > 0


def told_of_credentials(caplog):
    return sum("have expired" in message for message in caplog.messages)


def test_expired_credentials_are_told_once(make_account, caplog):
    """However many calls wait for new ones."""
    faults = Faults()
    account = make_account(faults=faults)
    aws = Aws(None, account.clock, 100.0)
    aws.call("s3", "list_objects_v2", Bucket="bucket")
    faults.inject("expired")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: aws.call("sagemaker", "list_training_jobs"), range(3)))
    assert faults.hits["expired"] > 1
    assert told_of_credentials(caplog) == 1


def test_expired_credentials_are_told_after_another_fault(account, caplog, monkeypatch):
    """And again when they expire again."""
    codes = ["", *["ThrottlingException", "ExpiredTokenException", "ExpiredTokenException", ""] * 2]

    class Client:
        def list_training_jobs(self):
            if code := codes.pop(0):
                raise ClientError({"Error": {"Code": code, "Message": ""}}, "ListTrainingJobs")
            return {}

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    for _ in range(3):
        aws.call("sagemaker", "list_training_jobs")
    assert codes == []
    assert told_of_credentials(caplog) == 2


def test_a_refusal_that_is_read_after_the_renewal_is_no_news(account, caplog, monkeypatch):
    """Another call has been refused, told and answered, while this one's refusal was on its way."""
    answers = ["answered", "overtaken", "refused", "answered", "answered", "refused", "answered"]

    class Client:
        def list_training_jobs(self):
            if (answer := answers.pop(0)) == "answered":
                return {}
            if answer == "overtaken":
                aws.call("sagemaker", "list_training_jobs")
            raise ClientError({"Error": {"Code": "ExpiredTokenException", "Message": ""}}, "ListTrainingJobs")

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    for _ in range(2):
        aws.call("sagemaker", "list_training_jobs")
    assert told_of_credentials(caplog) == 1
    aws.call("sagemaker", "list_training_jobs")
    assert told_of_credentials(caplog) == 2  # but the next one is
    assert answers == []


@pytest.mark.parametrize(
    "error",
    [
        ConfigParseError(path="credentials"),
        MetadataRetrievalError(error_msg="no answer"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_are_being_renewed_are_waited_for(account, caplog, monkeypatch, error):
    """However boto3 tells that they cannot be read now."""
    errors = [None, error, None]

    class Client:
        def list_training_jobs(self):
            if error := errors.pop(0):
                raise error
            return {}

    aws = Aws(None, account.clock, 100.0)
    monkeypatch.setattr(aws, "_client", lambda service: Client())
    aws.call("sagemaker", "list_training_jobs")
    aws.call("sagemaker", "list_training_jobs")
    assert any("waiting for new ones" in message for message in caplog.messages)


@pytest.mark.parametrize(("calls_per_second", "rates"), [(0.01, {}), (100.0, {"expired": 1})], ids=["turn", "expired"])
def test_who_waits_gives_up_when_the_driver_leaves(make_account, calls_per_second, rates):
    """On the real clock, for its turn or for new credentials."""
    account = make_account(clock=WallClock())
    aws = Aws(None, WallClock(), calls_per_second)
    aws.call("sagemaker", "list_training_jobs")
    account.emulator.faults.rates = rates
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(aws.call, "sagemaker", "list_training_jobs") for _ in range(3)]
        assert not wait(waiting, timeout=0.5).done
        left = monotonic()
        aws.close()
        for it in waiting:
            with pytest.raises(ByohpoError, match="the driver has left"):
                it.result()
    assert monotonic() - left < 10


def test_a_study_of_an_earlier_release_goes_on(account):
    """Its journal is copied to the mirror, its jobs are found or made again, and its results stand."""
    released = Path(__file__).parents[2] / "journals" / "0.1.0-2026-11.db"
    Path("studies.db").write_bytes(released.read_bytes())
    old = account.attach("cloud")
    assert (old.study.jobs, old.study.finished_count) == (6, 4)
    before = [trial.value for trial in old.study.trials if trial.value is not None]
    study = old.resume()
    assert (study.jobs, study.stop_reason) == (8, "max_jobs (8) reached")
    assert [trial.value for trial in study.trials if trial.value in before] == before
    assert len(account.emulator.jobs) == 4
