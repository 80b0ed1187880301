"""The durable record of studies: an SQLite file of events that is only ever appended to, by one driver at a time."""

import json
import os
import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from byohpo_core.errors import JournalError, StudyExists, UnknownStudy
from byohpo_core.journal.lock import _locked_file, _one_in_this_process
from byohpo_core.journal.log import StudyRecord, _curve, _overtaken, journaled_event
from byohpo_core.journal.place import MEMORY, _on_network, command
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.naming import MAX_NAME_LENGTH, check_study_name, draw_id

APPLICATION_ID = 0x62796F68  # "byoh"
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0
_SCHEMA = (
    "CREATE TABLE studies (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, manifest TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE events (
        study TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
        time REAL NOT NULL, trial INTEGER, body TEXT NOT NULL, PRIMARY KEY (study, sequence)) WITHOUT ROWID""",
    "CREATE INDEX curves ON events (study, trial) WHERE kind = 'reported'",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Journal:
    """The studies of one SQLite file.

    A missing or empty file is an empty journal. It is created by the first study, never by reading.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[[], Journal] | None = None

    @property
    def folder(self) -> Path:
        """Where backends keep files of the studies in this journal: beside it."""
        return Path(self.path).absolute().parent / "byohpo-jobs"

    def create(self, name: str, manifest: Mapping[str, Any], events: Sequence[Event] = ()) -> StudyRecord:
        """A new study, and how it begins; its id is the name and four characters drawn now."""
        record = StudyRecord(draw_id(check_study_name(name)), name, manifest)
        self.take(record, events)
        return record

    def create_numbered(self, base: str, manifest: Mapping[str, Any], events: Sequence[Event] = ()) -> StudyRecord:
        """A new study with the first name of base-1, base-2, ... that is free; a long base is cut."""
        while True:
            with suppress(StudyExists):  # another process was faster
                return self.create(self._free_name(base), manifest, events)

    def take(self, record: StudyRecord, events: Sequence[Event]) -> None:
        """Add a study with all that happened in it, such as one that was found elsewhere."""
        with self._transaction(create=True) as connection:
            if connection.execute("SELECT 1 FROM studies WHERE name = ?", (record.name,)).fetchone():
                raise self._taken(record.name)
            row = (record.id, record.name, _to_json(record.manifest))
            connection.execute("INSERT INTO studies VALUES (?, ?, ?)", row)
            connection.executemany(_INSERT, _rows_of(record.id, events))

    def forget(self, record: StudyRecord) -> None:
        """Remove a study that could not begin."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM events WHERE study = ?", (record.id,))
            connection.execute("DELETE FROM studies WHERE id = ?", (record.id,))

    def _free_name(self, base: str) -> str:
        taken = {record.name for record in self.studies()}
        names = (f"{base[: MAX_NAME_LENGTH - len(str(n)) - 1].rstrip('-')}-{n}" for n in count(1))
        return next(name for name in names if name not in taken)

    def studies(self) -> list[StudyRecord]:
        """All studies, by name."""
        rows = self._rows("SELECT id, name, manifest FROM studies ORDER BY name")
        return [StudyRecord(study_id, name, json.loads(manifest)) for study_id, name, manifest in rows]

    def find(self, name: str) -> StudyRecord:
        """The study with this name or id."""
        studies = self.studies()
        for record in studies:
            if name in (record.name, record.id):
                return record
        known = ", ".join(record.name for record in studies) or "none"
        missing = "" if self.path == MEMORY or Path(self.path).exists() else ", which does not exist,"
        another = "" if self.path == MEMORY else ": journal=, --journal or the variable BYOHPO_JOURNAL names another"
        raise UnknownStudy(f"journal {self.path}{missing} has no study named {name!r} (known: {known}){another}")

    def append(self, study_id: str, events: Sequence[Event]) -> None:
        try:
            with self._transaction() as connection:
                connection.executemany(_INSERT, _rows_of(study_id, events))
        except sqlite3.IntegrityError as error:
            raise _overtaken(study_id) from error

    def read(self, study_id: str) -> Iterator[Event]:
        """All events of a study, in order."""
        for sequence, kind, version, time, body in self._rows(
            "SELECT sequence, kind, version, time, body FROM events WHERE study = ? ORDER BY sequence", (study_id,)
        ):
            yield journaled_event(study_id, sequence, kind, time, json.loads(body), version)

    def event(self, study_id: str, sequence: int) -> Event:
        """One event of a study."""
        for kind, version, time, body in self._rows(
            "SELECT kind, version, time, body FROM events WHERE study = ? AND sequence = ?", (study_id, sequence)
        ):
            return journaled_event(study_id, sequence, kind, time, json.loads(body), version)
        raise JournalError(f"journal {self.path}: study {study_id!r} has no event {sequence}")

    def last(self, study_id: str, kind: EventKind) -> int:
        """The sequence number of the last event of this kind, or -1."""
        rows = self._rows("SELECT max(sequence) FROM events WHERE study = ? AND kind = ?", (study_id, kind))
        return next((sequence for (sequence,) in rows if sequence is not None), -1)

    def curve(self, study_id: str, trial: int, metric: str, before: int) -> tuple[float, ...]:
        """Every value that a trial reported of a metric before an event, oldest first; those of its last attempt."""
        rows = self._rows(
            "SELECT body FROM events WHERE study = ? AND kind = 'reported' AND trial = ? AND sequence < ? "
            "ORDER BY sequence",
            (study_id, trial, before),
        )
        return _curve((json.loads(body)["points"] for (body,) in rows), metric)

    def request_stop(self, study_id: str) -> None:
        """Ask the study's driver, whatever process it is, to end the study."""
        self._stop_file(study_id).touch()

    def stop_requested(self, study_id: str) -> bool:
        """Whether somebody asked the study's driver to end it."""
        return self._stop_file(study_id).exists()

    def forget_stop(self, study_id: str) -> None:
        """The study has ended, or a new driver begins."""
        self._stop_file(study_id).unlink(missing_ok=True)

    def _stop_file(self, study_id: str) -> Path:
        return Path(f"{os.path.realpath(self.path)}.{study_id}.stop")

    def close(self) -> None:
        if self._closing is not None:
            self._closing()
        self._connection = self._closing = None

    @contextmanager
    def driver(self, study_id: str, *, take_over: bool = False) -> Iterator[None]:
        """Hold the one driver's place of a study; raises `StudyBusy`, naming the holder."""
        lock = Path(f"{os.path.realpath(self.path)}.{study_id}.lock")
        with _one_in_this_process(str(lock), study_id), _locked_file(lock, study_id, take_over=take_over):
            yield

    def _taken(self, name: str) -> StudyExists:
        told = "" if self.path == MEMORY else f", and `{command(self.path, 'studies')}` says what goes on with it"
        return StudyExists(
            f"journal {self.path} already has a study named {name!r}{told}: choose another job_name for a new one"
        )

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        connection = self._connect(create=False)
        if connection is None:
            return
        with self._explained():
            yield from connection.execute(statement, parameters)

    @contextmanager
    def _transaction(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        connection = self._connect(create=create)
        if connection is None:
            raise JournalError(f"journal {self.path} is gone")
        with self._explained():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise JournalError(f"journal {self.path}: {error}; what was committed is safe") from error

    def _connect(self, *, create: bool) -> sqlite3.Connection | None:
        if self._connection is not None:
            return self._connection
        path = Path(self.path)
        if not create and (not path.exists() or path.stat().st_size == 0):
            return None
        if path.is_dir():
            raise JournalError(f"journal {self.path} is a folder: name a file, such as {path / 'byohpo.db'}")
        if not path.absolute().parent.is_dir():
            raise JournalError(f"journal {self.path}: the folder {path.absolute().parent} does not exist")
        with self._explained():
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        self._closing = weakref.finalize(self, connection.close)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            # In this order: a file that is not empty has its application id, which comes with the tables.
            empty = _is_empty(connection)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):
                raise
            raise JournalError(f"{self.path} is not a journal of byohpo: choose another file") from error
        if not empty and application != APPLICATION_ID:
            raise JournalError(f"{self.path} is an SQLite file, but not a journal of byohpo: choose another file")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"journal {self.path} has schema {version}, written by a newer byohpo; this one reads up to "
                f"{SCHEMA_VERSION}: pip install --upgrade byohpo-core"
            )
        mode = "DELETE" if _on_network(Path(self.path)) else "WAL"
        _set_mode(connection, mode)
        connection.execute("PRAGMA synchronous = FULL")
        if empty:
            connection.execute("BEGIN IMMEDIATE")
            if _is_empty(connection):  # no other process was faster
                for statement in _SCHEMA:
                    connection.execute(statement)
            connection.execute("COMMIT")


def _set_mode(connection: sqlite3.Connection, mode: str) -> None:
    """Set the journal mode; SQLite itself does not wait for others that are at it, whatever its timeout."""
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or monotonic() > deadline:
                raise
            sleep(0.01)
        else:
            return


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _rows_of(study_id: str, events: Sequence[Event]) -> list[tuple[Any, ...]]:
    return [
        (study_id, it.sequence, it.kind.value, it.version, it.time, it.body.get("trial"), _to_json(it.body))
        for it in events
    ]
