"""Keep a copy of a study's journal on S3, next to its jobs' outputs, so that any machine can resume the study.

Each commit is one object, `<S3OutputPath>/byohpo/<study id>/events/<sequence of its first event>.json`. It is written
only if no object has that name, so two drivers can never both write. The study's manifest is the object `study.json`
next to `events/`. Each object has the head of the chain of checksums up to it (`journal/chain.py`).
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs

from byohpo_core.backends.sagemaker.aws import Aws, Refused
from byohpo_core.backends.sagemaker.request import bucket_and_key
from byohpo_core.errors import JournalDamaged, StudyBusy
from byohpo_core.journal.chain import Head, stored, to_json
from byohpo_core.journal.log import EventLog, StudyRecord, journaled_event
from byohpo_core.study.events import Event, EventKind

_DIGITS = 9
_NAME = re.compile(rf"events/(\d{{{_DIGITS}}})\.json")


@attrs.frozen
class Commit:
    """What one object holds."""

    study_id: str
    rows: Sequence[Sequence[Any]]
    """Its events as they are in the object."""
    head: Head | None
    """The end of the chain after these events; None if an earlier release wrote them."""
    previous: bytes | None
    """The checksum before these events."""

    @property
    def events(self) -> list[Event]:
        """Its events; raises `JournalError` if another release wrote them differently."""
        return [
            journaled_event(self.study_id, sequence, kind, float(time), body, version)
            for sequence, kind, version, time, body in self.rows
        ]


class Mirror:
    """The mirror of one study, as objects on S3."""

    def __init__(self, aws: Aws, output_path: str, study_id: str, *, owner: str | None = None) -> None:
        self._aws = aws
        self._owned = {} if owner is None else {"ExpectedBucketOwner": owner}
        """The account that must own the bucket, for reading."""
        self._bucket, prefix = bucket_and_key(output_path.rstrip("/"))
        self._prefix = f"{prefix}/byohpo/{study_id}".lstrip("/")
        self._study_id = study_id
        self._token = aws.token
        self._written: int | None = None
        """The last commit that was written here."""

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def open(self, record: StudyRecord) -> None:
        """Write the manifest, unless it exists."""
        checksum = start(record).checksum.hex()
        body = {"id": record.id, "name": record.name, "manifest": record.manifest, "checksum": checksum}
        self._put("study.json", json.dumps(body).encode())

    def record(self) -> StudyRecord:
        """The study as it was created."""
        body = self._get("study.json")
        try:
            record = StudyRecord(body["id"], body["name"], body["manifest"])
            checksum = body.get("checksum")
            whole = isinstance(record.manifest, dict) and record.id == self._study_id
        except (LookupError, TypeError, AttributeError) as error:
            raise self._damaged("study.json", "it lacks a part") from error
        if not whole or checksum not in (None, start(record).checksum.hex()):
            raise self._damaged("study.json", "it is not as it was written")
        return record

    def append(self, events: Sequence[Event], head: Head) -> Head:
        """Write one commit and return the new head; *head* is the one before.

        Raises `StudyBusy` if another driver has written a commit in its place.
        """
        after = head.after(map(stored, events))
        body = {
            "token": self._token,
            "previous": head.checksum.hex(),
            "events": _rows(events),
            "count": after.count,
            "checksum": after.checksum.hex(),
        }
        text, name = json.dumps(body).encode(), _name(events[0].sequence)
        if not self._put(name, text) and self._read(name) != text:
            raise StudyBusy(
                f"another driver has written event {events[0].sequence} of study {self._study_id!r} to {self}; "
                "this one stops"
            )
        self._written = events[0].sequence
        return after

    def read(self, record: StudyRecord) -> Iterator[Event]:
        """Iterate over all events; raise `JournalDamaged` at the first object that is missing or not as written."""
        head = start(record)
        for number in self.commits():
            if number > head.count:
                raise self._damaged(_name(head.count), "it is missing")
            commit = self.commit(number)
            head = self.checked(commit, head)
            yield from commit.events

    def checked(self, commit: Commit, head: Head) -> Head:
        """Return the head after a commit, *head* being the one before; raise `JournalDamaged` if it is another."""
        first = commit.rows[0][0]
        if first != head.count:
            raise self._damaged(_name(first), f"it begins with event {first}, where {head.count} follows")
        after = head.after(
            (sequence, kind, version, float(time), body.get("trial"), to_json(body))
            for sequence, kind, version, time, body in commit.rows
        )
        if commit.head not in (None, after):
            raise self._damaged(_name(first), "it, or an object before it, is not as it was written")
        return after

    def newer(self) -> list[Event]:
        """The events that another driver has written since the last commit that was written here."""
        if self._written is None:
            return []
        return [event for commit in self.commits(after=self._written) for event in self.commit(commit).events]

    def commits(self, after: int = -1) -> list[int]:
        """The sequence number of the first event of each commit *after* this one, in order."""
        request = {"Bucket": self._bucket, "Prefix": f"{self._prefix}/events/", **self._owned}
        if after >= 0:
            request["StartAfter"] = f"{self._prefix}/{_name(after)}"
        keys = (it["Key"] for page in self._aws.listed(**request) for it in page.get("Contents", ()))
        names = (key.removeprefix(f"{self._prefix}/") for key in keys)
        return sorted(int(it[1]) for name in names if (it := _NAME.fullmatch(name)))

    def events(self, commit: int) -> list[Event]:
        """The events of one commit."""
        return self.commit(commit).events

    def commit(self, number: int) -> Commit:
        """The commit whose first event has this number; raises `JournalDamaged` if its object is not one."""
        body = self._get(_name(number))
        try:
            rows, checksum, previous = body["events"], body.get("checksum"), body.get("previous")
            head = None if checksum is None else Head(body["count"], bytes.fromhex(checksum))
            before = None if previous is None else bytes.fromhex(previous)
            if not rows or [row[0] for row in rows] != [*range(number, number + len(rows))]:
                raise self._damaged(_name(number), f"its events are not those from {number} on")
            for _, kind, version, time, content in rows:
                if not isinstance(kind, str) or not isinstance(version, int) or not isinstance(content, dict):
                    raise self._damaged(_name(number), "an event of it lacks a part")
                float(time)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged(_name(number), "it lacks a part") from error
        return Commit(self._study_id, rows, head, before)

    def _put(self, name: str, body: bytes) -> bool:
        """Write an object; return False if it exists already."""
        try:
            place = {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}", **self._owned}
            self._aws.call("s3", "put_object", **place, Body=body, IfNoneMatch="*")
        except Refused as refusal:
            if refusal.code == "PreconditionFailed":
                return False
            raise Refused(f"the journal's mirror {self} cannot be written: {refusal}", refusal.code) from refusal
        return True

    def _read(self, name: str) -> bytes:
        key = f"{self._prefix}/{name}"
        body: bytes = self._aws.call("s3", "get_object", Bucket=self._bucket, Key=key, **self._owned)["Body"]
        return body

    def _get(self, name: str) -> Any:
        try:
            return json.loads(self._read(name))
        except (ValueError, RecursionError) as error:
            raise self._damaged(name, "it is not JSON") from error

    def _damaged(self, name: str, what: str) -> JournalDamaged:
        return JournalDamaged(
            f"the mirror of study {self._study_id!r} is damaged: object {self}/{name}: {what}; the events before it "
            "are whole, and the journal of the machine that drives the study has all"
        )


def start(record: StudyRecord) -> Head:
    """The chain of a study without events."""
    return Head.of_record(record.id, record.name, to_json(record.manifest))


def studies_at(aws: Aws, output_path: str, name: str, owner: str) -> list[str]:
    """The ids of the studies with this name or id whose mirrors are below an output path.

    The account *owner* must own the bucket.
    """
    bucket, prefix = bucket_and_key(output_path.rstrip("/"))
    request = {"Bucket": bucket, "Prefix": f"{prefix}/byohpo/{name}".lstrip("/"), "Delimiter": "/study.json"}
    pages = aws.listed(**request, ExpectedBucketOwner=owner)
    found = {it["Prefix"].split("/")[-2] for page in pages for it in page.get("CommonPrefixes", ())}
    return sorted(it for it in found if name in (it, it.rpartition("-")[0]))


class MirroredLog(EventLog):
    """The log of a driver, which also writes each commit to the mirror before `append` returns."""

    def __init__(self, log: EventLog, mirror: Mirror) -> None:
        super().__init__(log.id, log.name, log.path)
        self._log = log
        self._mirror = mirror
        mirror.open(log.record)
        self._head = self._level()
        """The end of the mirror's chain."""

    @property
    def record(self) -> StudyRecord:
        return self._log.record

    def append(self, events: Sequence[Event]) -> None:
        self._log.append(events)
        self._head = self._mirror.append(events, self._head)

    def newer(self) -> Sequence[Event]:
        return self._log.newer() or self._mirror.newer()

    def read(self) -> Iterator[Event]:
        return self._log.read()

    def event(self, sequence: int) -> Event:
        return self._log.event(sequence)

    def last(self, kind: EventKind | None = None) -> int:
        return self._log.last(kind)

    def curve(self, trial: int, metric: str, before: int) -> Sequence[float]:
        return self._log.curve(trial, metric, before)

    def hold(self, *, take_over: bool = False) -> AbstractContextManager[None]:
        return self._log.hold(take_over=take_over)

    def driver(self) -> str | None:
        return self._log.driver()

    def request_stop(self) -> None:
        self._log.request_stop()

    def stop_requested(self) -> bool:
        return self._log.stop_requested()

    def _level(self) -> Head:
        """Copy events that only the log or only the mirror has to the other; raise `StudyBusy` if the two differ.

        Returns the head of both.
        """
        commits, count = self._mirror.commits(), self._log.last() + 1
        newest = commits[_last_before(commits, count) :]
        head, mine = start(self._log.record), list[Event]()
        """What is before the newest commits that may be new, and my events from there on."""
        for event in self._log.read():
            if not newest or event.sequence < newest[0]:
                head = head.after([stored(event)])
            else:
                mine.append(event)
        for number in newest:
            commit = self._mirror.commit(number)
            after = None
            if commit.previous in (None, head.checksum):
                after = self._mirror.checked(commit, head)
            theirs = commit.events
            shared = theirs[: len(mine)]
            # Compare as text, since a loss may be nan, which does not equal itself.
            if after is None or to_json(_rows(shared)) != to_json(_rows(mine[: len(shared)])):
                raise StudyBusy(
                    f"study {self.id!r} was continued elsewhere: {self._mirror} and journal {self.path} differ from "
                    f"event {number} on; move the journal away and attach to {self.id!r} again to resume from S3"
                )
            head = after
            mine = mine[len(shared) :]
            if fresh := theirs[len(shared) :]:
                self._log.append(fresh)
        return self._mirror.append(mine, head) if mine else head


def _name(commit: int) -> str:
    """The name of a commit's object, below the study's prefix."""
    return f"events/{commit:0{_DIGITS}}.json"


def _rows(events: Sequence[Event]) -> list[list[Any]]:
    return [[it.sequence, it.kind.value, it.version, it.time, it.body] for it in events]


def _last_before(commits: Sequence[int], count: int) -> int:
    """The index of the last commit that begins within the first *count* events."""
    return max(0, sum(commit < count for commit in commits) - 1)
