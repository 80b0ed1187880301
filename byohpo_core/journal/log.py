"""The events of one study: the interface that all code outside a journal uses."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs

from byohpo_core.errors import JournalError, StudyBusy, unreadable
from byohpo_core.study.bodies import complaint, is_finite
from byohpo_core.study.events import EVENT_VERSION, Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import is_study_id
from byohpo_core.study.problem import Problem

KINDS = {kind.value: kind for kind in EventKind}


@attrs.frozen
class StudyRecord:
    """A study as it was created: its id, its name and its manifest."""

    id: str
    name: str
    manifest: Mapping[str, Any]


class EventLog(ABC):
    """One study's record and its events. Only the driver that holds the study appends events."""

    def __init__(self, study_id: str, name: str, path: str) -> None:
        if not is_study_id(study_id):
            raise JournalError(f"journal {path}: {study_id!r} is not the id of a study; somebody else wrote it")
        self.id = study_id
        self.name = name
        self.path = path
        """The path of its journal."""

    @property
    @abstractmethod
    def record(self) -> StudyRecord:
        """The study as it was created."""

    @property
    def shared(self) -> bool:
        """Whether new files of the study are for the user's group too."""
        settings = self.record.manifest.get("settings")
        return isinstance(settings, Mapping) and settings.get("shared") is True

    def manifest(self) -> Mapping[str, Any]:
        """Return the study's current settings: its manifest with the changes of its newest epoch."""
        epoch = self.last(EventKind.Epoch)
        return self.record.manifest if epoch < 0 else {**self.record.manifest, **self.event(epoch).body}

    def study(self) -> Fold:
        """Build the study from its events. This needs no plugins."""
        study = self.blank_study()
        for event in self.read():
            study.apply(event)
        return study

    def has_ended(self) -> bool:
        """True if the study has a stop reason and no unfinished trial. Cheaper than building the study."""
        if self.last(EventKind.Stopped) <= self.last(EventKind.Epoch):
            return False
        left, reason = 0, None
        for event in self.read():
            if event.kind is EventKind.Asked:
                left += len(event.body["answer"])
            elif event.kind is EventKind.Finished:
                left -= 1
            elif event.kind in (EventKind.Stopped, EventKind.Epoch):
                reason = event.body.get("reason")
        return reason is not None and not left

    def blank_study(self) -> Fold:
        """Return the study before its first event. It reads curves from this log."""
        try:
            problem = Problem.from_json(self.record.manifest["problem"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            self.last()  # raises the right error if the journal is damaged
            raise unreadable(f"the manifest of study {self.id!r}", error) from error
        return Fold(self.id, self.name, problem, self.curve)

    @abstractmethod
    def append(self, events: Sequence[Event]) -> None:
        """Write events in one transaction; they are on disk when this returns.

        Raises `StudyBusy` if another driver has written in the meantime.
        """

    @abstractmethod
    def newer(self) -> Sequence[Event]:
        """Return the events that another driver has written since this driver's last commit; none while it drives.

        It is cheap while there is none.
        """

    @abstractmethod
    def read(self) -> Iterator[Event]:
        """Iterate over all events, in order."""

    @abstractmethod
    def event(self, sequence: int) -> Event:
        """Return the event with this sequence number."""

    @abstractmethod
    def last(self, kind: EventKind | None = None) -> int:
        """Return the sequence number of the last event, or of the last one of a kind; -1 if there is none."""

    @abstractmethod
    def curve(self, trial: int, metric: str, before: int) -> Sequence[float]:
        """Return the values of a metric that a trial's last attempt reported before event *before*, oldest first."""

    @abstractmethod
    def hold(self, *, take_over: bool = False) -> AbstractContextManager[None]:
        """Hold the study as its only driver; raise `StudyBusy`, which names the holder, if there is another.

        *take_over* breaks a lock that another host left behind. Earlier stop requests are discarded.
        """

    @abstractmethod
    def driver(self) -> str | None:
        """Tell which process on which host drives the study now; None if none does, as far as this machine can see."""

    @abstractmethod
    def request_stop(self) -> None:
        """Ask the study's driver, in whatever process, to end the study."""

    @abstractmethod
    def stop_requested(self) -> bool:
        """True if the study's driver was asked to end the study."""


def journaled_event(study_id: str, sequence: int, kind: str, time: float, body: Any, version: int) -> Event:
    """Restore an event from a journal or a mirror; its body is as `study/events.py` documents it.

    Raises `JournalError` if it is not, or if this release does not know its kind or version.
    """
    if kind not in KINDS or not isinstance(version, int) or version > EVENT_VERSION:
        raise JournalError(
            f"study {study_id!r} has an event {kind!r}, version {version}, from a newer byohpo: "
            "pip install --upgrade byohpo-core"
        )
    wrong = complaint(kind, body) if is_finite(time) else f"its time is {time!r}"
    if wrong is not None:
        raise unreadable(f"study {study_id!r}, event {sequence} ({kind})", wrong)
    return Event(sequence, KINDS[kind], time, body, version)


def overtaken(study_id: str) -> StudyBusy:
    """Return the error to raise in a driver when another driver has taken over its study."""
    return StudyBusy(f"another driver has taken over study {study_id!r}; this one stops")


def curve_of(reports: Iterable[Mapping[str, Any]], metric: str) -> tuple[float, ...]:
    """Join the reported points of one metric. An attempt that starts again replaces the earlier values."""
    values: list[float] = []
    for points in reports:
        start, fresh = points.get(metric, (len(values), ()))
        values[start:] = fresh
    return tuple(values)
