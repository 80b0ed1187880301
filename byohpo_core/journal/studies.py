"""The studies in one journal: create them, list them, and find them by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
    """The base class of journals. Each study is an `EventLog`."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder where backends keep files of these studies."""

    @abstractmethod
    def logs(self) -> list[EventLog]:
        """Return all studies, sorted by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all studies, sorted."""

    @abstractmethod
    def look_up(self, name: str) -> EventLog | None:
        """Return the study with this name or id, or None."""

    @abstractmethod
    def take(self, record: StudyRecord, events: Sequence[Event]) -> EventLog:
        """Add a study with its events, for example one that was found elsewhere.

        Raises `StudyExists` if the name is taken.
        """

    @abstractmethod
    def forget(self, log: EventLog) -> None:
        """Remove a study that could not start."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources of the journal. It opens again on the next use."""

    def create(
        self,
        name: str,
        manifest: Mapping[str, Any],
        events: Sequence[Event] = (),
        prepare: Callable[[str], object] = lambda _: None,
    ) -> EventLog:
        """Create a study with its first events. Its id is the name plus four random characters.

        *prepare* is called with the id before the study exists.
        """
        study_id = draw_id(check_study_name(name))
        prepare(study_id)
        return self.take(StudyRecord(study_id, name, manifest), events)

    def bring(self, log: EventLog) -> EventLog:
        """Add a copy of a study that was read elsewhere. Raises `StudyExists` if the name is taken."""
        try:
            return self.take(log.record, [*log.read()])
        except StudyExists as error:
            raise StudyExists(
                f"journal {self.path} has another study named {log.name!r}: give another journal for {log.id!r} "
                "(journal=, --journal)"
            ) from error

    def create_numbered(
        self,
        base: str,
        manifest: Mapping[str, Any],
        events: Sequence[Event] = (),
        prepare: Callable[[str], object] = lambda _: None,
    ) -> EventLog:
        """Create a study with the first free name of base-1, base-2, ...; a long base is cut."""
        while True:
            with suppress(StudyExists):  # another process took the name first
                return self.create(self._free_name(base), manifest, events, prepare)

    def find(self, name: str) -> EventLog:
        """Return the study with this name or id; raise `UnknownStudy` if there is none."""
        log = self.look_up(name)
        if log is not None:
            return log
        known = ", ".join(self.names()) or "none"
        missing = "" if self.path == MEMORY or Path(self.path).exists() else ", which does not exist,"
        another = "" if self.path == MEMORY else ": journal=, --journal or the variable BYOHPO_JOURNAL selects another"
        raise UnknownStudy(f"journal {self.path}{missing} has no study named {name!r} (known: {known}){another}")

    def _free_name(self, base: str) -> str:
        taken = {*self.names()}
        names = (f"{base[: MAX_NAME_LENGTH - len(str(n)) - 1].rstrip('-')}-{n}" for n in count(1))
        return next(name for name in names if name not in taken)

    def _taken(self, name: str) -> StudyExists:
        told = "" if self.path == MEMORY else f" (to continue it, see `{command(self.path, 'studies')}`)"
        return StudyExists(
            f"journal {self.path} already has a study named {name!r}{told}: choose another job_name for a new study"
        )
