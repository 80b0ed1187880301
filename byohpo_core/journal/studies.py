"""Many studies in one journal: created under a name, listed, and found again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from byohpo_core.errors import StudyExists, UnknownStudy
from byohpo_core.journal.log import EventLog, StudyRecord
from byohpo_core.journal.place import MEMORY, command
from byohpo_core.study.events import Event
from byohpo_core.study.naming import MAX_NAME_LENGTH, check_study_name, draw_id


class Journal(ABC):
    """The studies that are kept in one place, each as an `EventLog`."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where backends keep files of these studies."""

    @abstractmethod
    def logs(self) -> list[EventLog]:
        """All studies, by name."""

    @abstractmethod
    def take(self, record: StudyRecord, events: Sequence[Event]) -> EventLog:
        """Add a study with all that happened in it, such as one that was found elsewhere.

        Raises `StudyExists` if the name is taken.
        """

    @abstractmethod
    def forget(self, log: EventLog) -> None:
        """Remove a study that could not begin."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; the journal opens again when it is used."""

    def create(self, name: str, manifest: Mapping[str, Any], events: Sequence[Event] = ()) -> EventLog:
        """A new study, and how it begins; its id is the name and four characters drawn now."""
        return self.take(StudyRecord(draw_id(check_study_name(name)), name, manifest), events)

    def create_numbered(self, base: str, manifest: Mapping[str, Any], events: Sequence[Event] = ()) -> EventLog:
        """A new study with the first name of base-1, base-2, ... that is free; a long base is cut."""
        while True:
            with suppress(StudyExists):  # another process was faster
                return self.create(self._free_name(base), manifest, events)

    def find(self, name: str) -> EventLog:
        """The study with this name or id; raises `UnknownStudy`."""
        logs = self.logs()
        for log in logs:
            if name in (log.name, log.id):
                return log
        known = ", ".join(log.name for log in logs) or "none"
        missing = "" if self.path == MEMORY or Path(self.path).exists() else ", which does not exist,"
        another = "" if self.path == MEMORY else ": journal=, --journal or the variable BYOHPO_JOURNAL names another"
        raise UnknownStudy(f"journal {self.path}{missing} has no study named {name!r} (known: {known}){another}")

    def _free_name(self, base: str) -> str:
        taken = {log.name for log in self.logs()}
        names = (f"{base[: MAX_NAME_LENGTH - len(str(n)) - 1].rstrip('-')}-{n}" for n in count(1))
        return next(name for name in names if name not in taken)

    def _taken(self, name: str) -> StudyExists:
        told = "" if self.path == MEMORY else f", and `{command(self.path, 'studies')}` says what goes on with it"
        return StudyExists(
            f"journal {self.path} already has a study named {name!r}{told}: choose another job_name for a new one"
        )
