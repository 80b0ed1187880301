"""A journal in memory, without a file. Its studies are lost with the journal object."""

import marshal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from byohpo_core.errors import JournalError
from byohpo_core.journal.lock import driver_in_this_process, one_in_this_process
from byohpo_core.journal.log import KINDS, EventLog, StudyRecord, curve_of, overtaken
from byohpo_core.journal.place import MEMORY
from byohpo_core.journal.studies import Journal
from byohpo_core.study.events import Event, EventKind


class MemoryJournal(Journal):
    """A journal that keeps its studies in this object."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        self._logs: dict[str, MemoryLog] = {}

    @property
    def folder(self) -> Path:
        return Path("byohpo-jobs").absolute()

    def logs(self) -> list[EventLog]:
        return [self._logs[name] for name in sorted(self._logs)]

    def names(self) -> list[str]:
        return sorted(self._logs)

    def look_up(self, name: str) -> EventLog | None:
        ids = {log.id: log for log in self._logs.values()}
        return self._logs.get(name) or ids.get(name)

    def take(self, record: StudyRecord, events: Sequence[Event]) -> EventLog:
        if record.name in self._logs:
            raise self._taken(record.name)
        log = self._logs[record.name] = MemoryLog(record)
        log.append(events)
        return log

    def forget(self, log: EventLog) -> None:
        del self._logs[log.name]

    def close(self) -> None:
        """Do nothing: this journal holds no resources."""


class MemoryLog(EventLog):
    """One study's events, stored as bytes so that the garbage collector need not visit many objects."""

    def __init__(self, record: StudyRecord) -> None:
        super().__init__(record.id, record.name, MEMORY)
        self._record = record
        self._events: list[bytes] = []

    @property
    def record(self) -> StudyRecord:
        return self._record

    def append(self, events: Sequence[Event]) -> None:
        if events and events[0].sequence != len(self._events):
            raise overtaken(self.id)
        self._events.extend(map(_packed, events))

    def newer(self) -> list[Event]:
        """Return none: one process holds the study, and no other can access it."""
        return []

    def read(self) -> Iterator[Event]:
        return map(self.event, range(len(self._events)))

    def event(self, sequence: int) -> Event:
        if not 0 <= sequence < len(self._events):
            raise JournalError(f"study {self.id!r} has no event {sequence}")
        kind, time, version, body = marshal.loads(self._events[sequence])  # noqa: S302 - written by _packed
        return Event(sequence, KINDS[kind], time, body, version)  # checked before, if it came from elsewhere

    def last(self, kind: EventKind | None = None) -> int:
        return max((event.sequence for event in self.read() if kind in (None, event.kind)), default=-1)

    def curve(self, trial: int, metric: str, before: int) -> tuple[float, ...]:
        reports = (it.body for it in islice(self.read(), before) if it.kind is EventKind.Reported)
        return curve_of((body["points"] for body in reports if body["trial"] == trial), metric)

    @contextmanager
    def hold(self, *, take_over: bool = False) -> Iterator[None]:
        """Hold the study. *take_over* has no effect, because no other host can hold it."""
        with one_in_this_process(str(id(self)), self.id):
            yield

    def driver(self) -> str | None:
        return driver_in_this_process(str(id(self)), self.id)

    def request_stop(self) -> None:
        """Do nothing: no other process can access these studies."""

    def stop_requested(self) -> bool:
        return False


def _packed(event: Event) -> bytes:
    content: Any = (event.kind.value, event.time, event.version, event.body)
    return marshal.dumps(content)
