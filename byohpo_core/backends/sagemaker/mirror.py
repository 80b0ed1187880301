"""Keep a copy of a study's journal on S3, next to its jobs' outputs, so that any machine can resume the study.

Each commit is one object, `<S3OutputPath>/byohpo/<study id>/events/<sequence of its first event>.json`. It is written
only if no object has that name, so two drivers can never both write. The study's manifest is the object `study.json`
next to `events/`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws, Refused
from byohpo_core.errors import StudyBusy
from byohpo_core.journal.log import EventLog, StudyRecord, journaled_event
from byohpo_core.study.events import Event, EventKind

_DIGITS = 9
_NEAR = 1000
"""How many events back to look for the newest commit: more than one commit has, except after a resume."""


class Mirror:
    """The mirror of one study, as objects on S3."""

    def __init__(self, aws: Aws, output_path: str, study_id: str, *, owner: str | None = None) -> None:
        self._aws = aws
        self._owned = {} if owner is None else {"ExpectedBucketOwner": owner}
        """The account that must own the bucket, for reading."""
        self._bucket, prefix = _place(output_path)
        self._prefix = f"{prefix}/byohpo/{study_id}".lstrip("/")
        self._study_id = study_id
        self._token = aws.token

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def open(self, record: StudyRecord) -> None:
        """Write the manifest, unless it exists."""
        body = json.dumps({"id": record.id, "name": record.name, "manifest": record.manifest})
        self._put("study.json", body.encode())

    def record(self) -> StudyRecord:
        """The study as it was created."""
        body = self._get("study.json")
        return StudyRecord(body["id"], body["name"], body["manifest"])

    def append(self, events: Sequence[Event]) -> None:
        """Write one commit; raises `StudyBusy` if another driver has written one in its place."""
        body = json.dumps({"token": self._token, "events": _rows(events)}).encode()
        name = _name(events[0].sequence)
        if not self._put(name, body) and self._read(name) != body:
            raise StudyBusy(
                f"another driver has written event {events[0].sequence} of study {self._study_id!r} to {self}; "
                "this one stops"
            )

    def check_newest(self, sequence: int) -> None:
        """Raise `StudyBusy` if another driver wrote the newest commit, looked for near event *sequence*."""
        newest = self.commits(after=max(0, sequence - _NEAR))[-1:]
        if any(self._get(_name(commit))["token"] != self._token for commit in newest):
            raise StudyBusy(f"another driver has taken over study {self._study_id!r} at {self}; this one stops")

    def commits(self, after: int = -1) -> list[int]:
        """The sequence number of the first event of each commit *after* this one, in order."""
        request = {"Bucket": self._bucket, "Prefix": f"{self._prefix}/events/", **self._owned}
        if after >= 0:
            request["StartAfter"] = f"{self._prefix}/{_name(after)}"
        found: list[int] = []
        token: dict[str, str] = {}
        while True:
            page = self._aws.call("s3", "list_objects_v2", **request, **token)
            found += [int(it["Key"].rpartition("/")[2].partition(".")[0]) for it in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return sorted(found)
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def events(self, commit: int) -> list[Event]:
        """The events of one commit."""
        rows = self._get(_name(commit))["events"]
        return [
            journaled_event(self._study_id, sequence, kind, time, body, version)
            for sequence, kind, version, time, body in rows
        ]

    def _put(self, name: str, body: bytes) -> bool:
        """Write an object; return False if it exists already."""
        try:
            self._aws.call(
                "s3", "put_object", Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=body, IfNoneMatch="*"
            )
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
        return json.loads(self._read(name))


def studies_at(aws: Aws, output_path: str, name: str, owner: str) -> list[str]:
    """The ids of the studies with this name or id whose mirrors are below an output path.

    The account *owner* must own the bucket.
    """
    bucket, prefix = _place(output_path)
    found: set[str] = set()
    token: dict[str, str] = {}
    while True:
        request = {"Bucket": bucket, "Prefix": f"{prefix}/byohpo/{name}".lstrip("/"), "Delimiter": "/study.json"}
        request["ExpectedBucketOwner"] = owner
        page = aws.call("s3", "list_objects_v2", **request, **token)
        found |= {it["Prefix"].split("/")[-2] for it in page.get("CommonPrefixes", ())}
        if not page.get("IsTruncated"):
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    return sorted(it for it in found if name in (it, it.rpartition("-")[0]))


def _place(output_path: str) -> tuple[str, str]:
    """Split an output path into bucket and prefix."""
    bucket, _, prefix = re.sub(r"^(s3|https)://", "", output_path).rstrip("/").partition("/")
    return bucket, prefix


class MirroredLog(EventLog):
    """The log of a driver, which also writes each commit to the mirror before `append` returns."""

    def __init__(self, log: EventLog, mirror: Mirror) -> None:
        super().__init__(log.record, log.path)
        self._log = log
        self._mirror = mirror
        mirror.open(log.record)
        self._level()

    def append(self, events: Sequence[Event]) -> None:
        self._log.append(events)
        self._mirror.append(events)

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

    def request_stop(self) -> None:
        self._log.request_stop()

    def stop_requested(self) -> bool:
        return self._log.stop_requested()

    def _level(self) -> None:
        """Copy events that only the log or only the mirror has to the other; raises `StudyBusy` if the two differ."""
        mine = [*self._log.read()]
        commits = self._mirror.commits()
        known = 0
        """How many of my events the mirror has."""
        for commit in commits[_last_before(commits, len(mine)) :]:
            theirs = self._mirror.events(commit)
            shared = [event for event in theirs if event.sequence < len(mine)]
            # Compare as text, since a loss may be nan, which does not equal itself.
            if json.dumps(_rows(shared)) != json.dumps(_rows(mine[commit : commit + len(shared)])):
                raise StudyBusy(
                    f"study {self.id!r} was continued elsewhere: {self._mirror} and journal {self.path} differ from "
                    f"event {commit} on; move the journal away and attach to {self.id!r} again to resume from S3"
                )
            if fresh := theirs[len(shared) :]:
                self._log.append(fresh)
            known = commit + len(theirs)
        if known < len(mine):
            self._mirror.append(mine[known:])


def _name(commit: int) -> str:
    """The name of a commit's object, below the study's prefix."""
    return f"events/{commit:0{_DIGITS}}.json"


def _rows(events: Sequence[Event]) -> list[list[Any]]:
    return [[it.sequence, it.kind.value, it.version, it.time, it.body] for it in events]


def _last_before(commits: Sequence[int], count: int) -> int:
    """The index of the last commit that begins within the first *count* events."""
    return max(0, sum(commit < count for commit in commits) - 1)
