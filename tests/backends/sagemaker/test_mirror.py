"""The mirror is a copy of the journal on S3; of two drivers of one study, only one can write to it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from botocore.exceptions import (
    IncompleteReadError,
    ResponseStreamingError,
)
from botocore.response import StreamingBody
from byohpo_sagemaker_emulator import Faults
from inside import Head, fetch_study, repair_journal
from sagemaker_account import REQUEST, Leave, LeavesAfter, go_on, leave
from sagemaker_inside import Aws, EventKind, Mirror, MirroredLog

from byohpo_core import (
    ByohpoError,
    Event,
    InvalidInput,
    JournalError,
    StudyBusy,
)
from byohpo_core.journal import open_journal

START = Head.of_record("study-abcd", "study", "{}")


def copy_journal(path, copy):
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def mirror_of(account, study_id="study-abcd"):
    return Mirror(Aws(None, account.clock, 4.0), "s3://bucket/out", study_id)


def event(sequence):
    return Event(sequence, EventKind.Opened, 1.0, {"host": "here", "pid": sequence})


def test_each_commit_is_an_object(account):
    """The objects beside the jobs' outputs hold all events of the journal, in the same order."""
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


def test_of_two_drivers_one_goes_on(account):
    """The driver that writes an event second gets StudyBusy."""
    first, second = mirror_of(account), mirror_of(account)
    first.append([event(0)], START)
    with pytest.raises(StudyBusy, match=r"driver.*\b0\b"):
        second.append([event(0)], START)


def test_our_own_retry_is_no_other_driver(make_account):
    """If the answer to a write is lost, the refusal of the second try does not stop the driver."""
    faults = Faults()
    account = make_account(faults=faults)
    mirror = mirror_of(account)
    faults.inject("timeout", "PutObject", times=1)
    mirror.append([event(0), event(1)], START)
    assert mirror.commits() == [0]
    assert mirror.events(0) == [event(0), event(1)]


@pytest.mark.parametrize(
    "lost",
    [ResponseStreamingError(error="reset by peer"), IncompleteReadError(actual_bytes=1, expected_bytes=2)],
    ids=["reset", "short"],
)
def test_a_connection_lost_within_an_object_is_made_again(account, monkeypatch, lost):
    """An object whose reading breaks off is read again."""
    mirror = mirror_of(account)
    mirror.append([event(0)], START)
    read, errors = StreamingBody.read, [lost]

    def interrupted(self, amt=None):
        if errors:
            raise errors.pop()
        return read(self, amt)

    monkeypatch.setattr(StreamingBody, "read", interrupted)
    assert mirror.events(0) == [event(0)]
    assert errors == []


def test_a_commit_that_did_not_reach_the_mirror_is_brought_there(account):
    """If the driver died between the disk and S3, the next commit copies what is missing."""
    journal = open_journal("studies.db")
    log = journal.create("study", {"format": 1})
    mirrored = MirroredLog(log, mirror_of(account, log.id))
    mirrored.append([event(0)])
    log.append([event(1), event(2)])
    again = mirror_of(account, log.id)
    MirroredLog(log, again).append([event(3)])
    assert again.commits() == [0, 1, 3]
    assert [it for commit in again.commits() for it in again.events(commit)] == [event(number) for number in range(4)]


def objects_of(account, study_id):
    """The mirror's objects of a study, by key, those of its commits in order."""
    client = account.emulator.client("s3")
    listed = client.list_objects_v2(Bucket="bucket", Prefix=f"out/byohpo/{study_id}/")["Contents"]
    keys = sorted(it["Key"] for it in listed)
    return client, {key: client.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}


def test_journal_and_mirror_have_the_same_chain(account):
    """The newest object has the head that the journal has."""
    study = account.tuner().fit(job_name="study")
    _, objects = objects_of(account, study.id)
    newest = json.loads([*objects.values()][-2])
    with closing(sqlite3.connect("studies.db")) as connection:
        ((count, checksum),) = connection.execute("SELECT count, checksum FROM heads").fetchall()
    assert (newest["count"], newest["checksum"]) == (count, checksum.hex())


def test_damage_of_the_newest_object_is_told_to_the_driver(account, monkeypatch):
    """It is not taken for another driver, and no job starts."""
    leave(account)
    study_id = account.attach().study.id
    client, objects = objects_of(account, study_id)
    key = [*objects][-2]
    client.put_object(Bucket="bucket", Key=key, Body=objects[key].replace(b'"trial"', b'"trail"'))
    jobs = len(account.emulator.jobs)
    with pytest.raises(JournalError, match=rf"mirror of study '{study_id}' is damaged: object s3://bucket/{key}"):
        go_on(account, monkeypatch)
    assert len(account.emulator.jobs) == jobs


@pytest.mark.parametrize("which", [0, 2])
def test_a_missing_object_is_told_to_another_machine(account, which):
    """The study is not put together from what is left."""
    leave(account)
    client, objects = objects_of(account, account.attach().study.id)
    key = [*objects][which]
    client.delete_object(Bucket="bucket", Key=key)
    with pytest.raises(ByohpoError, match=rf"{key}: it is missing"):
        account.attach(journal="elsewhere.db")
    assert not Path("elsewhere.db").exists()


def test_the_mirror_of_an_earlier_release_is_read_and_continued(account, monkeypatch):
    """Its objects have no checksums; the next one covers them all."""
    leave(account)
    study_id = account.attach().study.id
    client, objects = objects_of(account, study_id)
    for key, content in objects.items():
        body = json.loads(content)
        for name in ("previous", "count", "checksum"):
            body.pop(name, None)
        client.put_object(Bucket="bucket", Key=key, Body=json.dumps(body).encode())
    study = go_on(account, monkeypatch, journal="elsewhere.db")
    assert study.stop_reason == "max_jobs (8) reached"
    _, objects = objects_of(account, study_id)
    with closing(sqlite3.connect("elsewhere.db")) as connection:
        ((count, checksum),) = connection.execute("SELECT count, checksum FROM heads").fetchall()
    newest = json.loads([*objects.values()][-2])
    assert (newest["count"], newest["checksum"]) == (count, checksum.hex())


def test_a_damaged_journal_is_restored_from_the_mirror(account, monkeypatch):
    """With all its events, also those after the damage; then the study goes on."""
    leave(account)
    with closing(sqlite3.connect("studies.db")) as connection, connection:
        ((count,),) = connection.execute("SELECT count FROM heads").fetchall()
        connection.execute("UPDATE events SET time = time + 1 WHERE sequence = 3")
    restored, lost, kept = repair_journal(
        Path("studies.db"), lambda journal, name: fetch_study(journal, name, None, "s3://bucket/out")
    )
    assert [(it.name, it.count, it.mirrored) for it in restored] == [("study", count, True)]
    assert lost == []
    assert kept == Path("studies.db.damaged")
    assert go_on(account, monkeypatch).stop_reason == "max_jobs (8) reached"


def test_a_bucket_at_its_top_can_be_the_output(account):
    """If S3OutputPath is a bucket without a prefix, the keys begin with byohpo/."""
    request = {**REQUEST, "OutputDataConfig": {"S3OutputPath": "s3://bucket"}}
    study = account.tuner(account.training_job(request), max_jobs=1, max_parallel_jobs=1).fit(job_name="study")
    listed = account.emulator.client("s3").list_objects_v2(Bucket="bucket", Prefix=f"byohpo/{study.id}/events/")
    assert listed["KeyCount"] > 0


def test_a_loss_that_was_nan_is_the_same_on_both_sides(account):
    """An event with nan equals its copy on S3, although nan does not equal itself."""
    journal = open_journal(":memory:")
    log = journal.create("study", {"format": 1})
    points = {"trial": 0, "points": {"loss": [0, [float("nan")]]}}
    MirroredLog(log, mirror_of(account, log.id)).append([Event(0, EventKind.Reported, 1.0, points)])
    again = mirror_of(account, log.id)
    MirroredLog(log, again).append([event(1)])
    assert again.commits() == [0, 1]


def test_a_stale_copy_catches_up(account, monkeypatch):
    """A journal that is behind takes the missing events from the mirror."""
    leave(account)
    copy_journal("studies.db", "copy.db")
    monkeypatch.setattr(LeavesAfter, "trials", 6)
    with pytest.raises(Leave):
        account.attach(journal="elsewhere.db").resume()
    study = go_on(account, monkeypatch, journal="copy.db")
    assert study.stop_reason == "max_jobs (8) reached"
    assert len(account.emulator.jobs) == 8


def test_a_journal_that_went_another_way_is_refused(account, monkeypatch):
    """A journal whose events differ from the mirror's is refused with the study's id."""
    leave(account)
    journal = open_journal("studies.db")
    (log,) = journal.logs()
    count = len([*log.read()])
    copy_journal("studies.db", "copy.db")
    strange = open_journal("copy.db")
    strange.find(log.id).append([Event(count, EventKind.Opened, account.clock.now(), {"host": "other", "pid": 1})])
    strange.close()
    go_on(account, monkeypatch)
    with pytest.raises(StudyBusy, match="study-"):
        account.attach(journal="copy.db").resume()


def test_a_limit_is_measured_by_what_happened_elsewhere(account):
    """A new max_jobs is compared with the jobs in the mirror, even if the journal is behind."""
    account.tuner(max_jobs=2, max_parallel_jobs=1).fit(job_name="study")

    with closing(sqlite3.connect("studies.db")) as journal, closing(sqlite3.connect("copy.db")) as copy:
        journal.backup(copy)
    account.attach().resume(max_jobs=6)
    with pytest.raises(InvalidInput, match=r"max_jobs\b.*\b4\b.*'study'.*\b6\b"):
        account.attach(journal="copy.db").resume(max_jobs=4)


def test_a_study_of_an_earlier_release_goes_on(account):
    """The journal of an earlier release is mirrored, its jobs are found or made again, and its results stay."""
    released = Path(__file__).parents[2] / "journal" / "released" / "0.1.0-2026-11.db"
    Path("studies.db").write_bytes(released.read_bytes())
    old = account.attach("cloud")
    assert (old.study.jobs, old.study.finished_count) == (6, 4)
    before = [trial.value for trial in old.study.trials if trial.value is not None]
    study = old.resume(trust=True)  # it was created elsewhere
    assert (study.jobs, study.stop_reason) == (8, "max_jobs (8) reached")
    assert [trial.value for trial in study.trials if trial.value in before] == before
    assert len(account.emulator.jobs) == 4


def test_a_bucket_that_does_not_exist_is_told(account):
    """The error names the bucket before any job is created."""
    request = {**REQUEST, "OutputDataConfig": {"S3OutputPath": "s3://nowhere/out"}}
    with pytest.raises(ByohpoError, match=r"nowhere.*NoSuchBucket|NoSuchBucket.*nowhere"):
        account.tuner(account.training_job(request)).fit(job_name="study")
    assert not account.emulator.jobs
