"""The studies of this process alone, gone with the journal's object."""

import marshal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from byohpo_core.journal.lock import _one_in_this_process
from byohpo_core.journal.log import StudyRecord, _curve, _overtaken, journaled_event
from byohpo_core.journal.place import MEMORY
from byohpo_core.journal.sqlite import Journal
from byohpo_core.study.events import Event, EventKind


class MemoryJournal(Journal):
    """Studies of this process alone, for those who want no file: lists of events, gone with the object."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        self._studies: dict[str, StudyRecord] = {}
        # Events are kept as bytes: the garbage collector would walk through ever more objects.
        self._events: dict[str, list[bytes]] = {}

    @property
    def folder(self) -> Path:
        return Path("byohpo-jobs").absolute()

    def take(self, record: StudyRecord, events: Sequence[Event]) -> None:
        if record.name in self._studies:
            raise self._taken(record.name)
        self._studies[record.name] = record
        self._events[record.id] = [*map(_packed, events)]

    def forget(self, record: StudyRecord) -> None:
        del self._studies[record.name], self._events[record.id]

    def request_stop(self, study_id: str) -> None:
        """No other process knows of these studies."""

    def stop_requested(self, study_id: str) -> bool:  # noqa: ARG002
        return False

    def forget_stop(self, study_id: str) -> None:
        """There is nothing to forget."""

    def studies(self) -> list[StudyRecord]:
        return [self._studies[name] for name in sorted(self._studies)]

    def append(self, study_id: str, events: Sequence[Event]) -> None:
        journaled = self._events[study_id]
        if events[0].sequence != len(journaled):
            raise _overtaken(study_id)
        journaled.extend(map(_packed, events))

    def read(self, study_id: str) -> Iterator[Event]:
        return (self.event(study_id, sequence) for sequence in range(len(self._events[study_id])))

    def event(self, study_id: str, sequence: int) -> Event:
        kind, time, version, body = marshal.loads(self._events[study_id][sequence])  # noqa: S302 - by _packed
        return journaled_event(study_id, sequence, kind, time, body, version)

    def last(self, study_id: str, kind: EventKind) -> int:
        return max((event.sequence for event in self.read(study_id) if event.kind is kind), default=-1)

    def curve(self, study_id: str, trial: int, metric: str, before: int) -> tuple[float, ...]:
        reports = (it.body for it in islice(self.read(study_id), before) if it.kind is EventKind.Reported)
        return _curve((body["points"] for body in reports if body["trial"] == trial), metric)

    @contextmanager
    def driver(self, study_id: str, *, take_over: bool = False) -> Iterator[None]:  # noqa: ARG002 - no other host
        with _one_in_this_process(str(id(self)), study_id):
            yield


def _packed(event: Event) -> bytes:
    content: Any = (event.kind.value, event.time, event.version, event.body)
    return marshal.dumps(content)
