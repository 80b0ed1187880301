"""The events of one study, as everybody but the journal itself is handed them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from byohpo_core.errors import JournalError, StudyBusy
from byohpo_core.study.events import EVENT_VERSION, Event, EventKind

_KINDS = {kind.value: kind for kind in EventKind}


@attrs.frozen
class StudyRecord:
    """A study as it was created: its id, its name and its manifest."""

    id: str
    name: str
    manifest: Mapping[str, Any]


class EventLog(Protocol):
    """What a driver writes to."""

    @property
    def path(self) -> str:
        """Where the journal is."""

    def append(self, study_id: str, events: Sequence[Event]) -> None:
        """Write events in one transaction; they are on disk when this returns.

        Raises `StudyBusy` if another driver has written meanwhile.
        """


def journaled_event(study_id: str, sequence: int, kind: str, time: float, body: Any, version: int) -> Event:
    """An event as it was written; raises `JournalError` for one that this release does not understand."""
    if kind not in _KINDS or version > EVENT_VERSION:
        raise JournalError(
            f"study {study_id!r} has an event {kind!r}, version {version}, which a newer byohpo has written: "
            "pip install --upgrade byohpo-core"
        )
    return Event(sequence, _KINDS[kind], time, body, version)


def _overtaken(study_id: str) -> StudyBusy:
    return StudyBusy(f"another driver has taken over study {study_id!r}; this one stops")


def _curve(reports: Iterable[Mapping[str, Any]], metric: str) -> tuple[float, ...]:
    values: list[float] = []
    for points in reports:
        start, fresh = points.get(metric, (len(values), ()))
        values[start:] = fresh
    return tuple(values)
