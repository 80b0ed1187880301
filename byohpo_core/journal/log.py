"""The events of one study, as everybody but the journal itself is handed them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs

from byohpo_core.errors import JournalError, StudyBusy
from byohpo_core.study.events import EVENT_VERSION, Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.problem import Problem

_KINDS = {kind.value: kind for kind in EventKind}


@attrs.frozen
class StudyRecord:
    """A study as it was created: its id, its name and its manifest."""

    id: str
    name: str
    manifest: Mapping[str, Any]


class EventLog(ABC):
    """One study's record and its events, which only the driver that holds it appends to."""

    def __init__(self, record: StudyRecord, path: str) -> None:
        self.record = record
        self.path = path
        """Where its journal is."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    def manifest(self) -> Mapping[str, Any]:
        """What the study is set up with now: its manifest, with what its newest epoch changed."""
        epoch = self.last(EventKind.Epoch)
        return self.record.manifest if epoch < 0 else {**self.record.manifest, **self.event(epoch).body}

    def study(self) -> Fold:
        """The study as its events tell it; no plugin is needed."""
        study = self.blank_study()
        for event in self.read():
            study.apply(event)
        return study

    def blank_study(self) -> Fold:
        """The study before its first event; its curves are read from this log."""
        return Fold(self.id, self.name, Problem.from_json(self.record.manifest["problem"]), self.curve)

    @abstractmethod
    def append(self, events: Sequence[Event]) -> None:
        """Write events in one transaction; they are on disk when this returns.

        Raises `StudyBusy` if another driver has written meanwhile.
        """

    @abstractmethod
    def read(self) -> Iterator[Event]:
        """All events, in order."""

    @abstractmethod
    def event(self, sequence: int) -> Event:
        """One event."""

    @abstractmethod
    def last(self, kind: EventKind | None = None) -> int:
        """The sequence number of the last event, or of the last of a kind; -1 if there is none."""

    @abstractmethod
    def curve(self, trial: int, metric: str, before: int) -> Sequence[float]:
        """Every value that a trial reported of a metric before an event, oldest first; those of its last attempt."""

    @abstractmethod
    def hold(self, *, take_over: bool = False) -> AbstractContextManager[None]:
        """Be the study's one driver; raises `StudyBusy`, naming the holder, while there is another.

        *take_over* breaks a lock that another host left behind. Older requests to stop are forgotten.
        """

    @abstractmethod
    def request_stop(self) -> None:
        """Ask the study's driver, whatever process it is, to end the study."""

    @abstractmethod
    def stop_requested(self) -> bool:
        """Whether somebody asked the study's driver to end it."""


def journaled_event(study_id: str, sequence: int, kind: str, time: float, body: Any, version: int) -> Event:
    """An event as it was written; raises `JournalError` for one that this release does not understand."""
    if kind not in _KINDS or version > EVENT_VERSION:
        raise JournalError(
            f"study {study_id!r} has an event {kind!r}, version {version}, which a newer byohpo has written: "
            "pip install --upgrade byohpo-core"
        )
    return Event(sequence, _KINDS[kind], time, body, version)


def overtaken(study_id: str) -> StudyBusy:
    """The error of a driver whose place another has taken."""
    return StudyBusy(f"another driver has taken over study {study_id!r}; this one stops")


def curve_of(reports: Iterable[Mapping[str, Any]], metric: str) -> tuple[float, ...]:
    """One metric's values from the points of reports; an attempt that begins again replaces what came before."""
    values: list[float] = []
    for points in reports:
        start, fresh = points.get(metric, (len(values), ()))
        values[start:] = fresh
    return tuple(values)
