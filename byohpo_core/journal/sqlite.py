"""A journal in an SQLite file. Each event is a row, and a commit returns only when it is on disk."""

import json
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from byohpo_core.errors import JournalError
from byohpo_core.journal.lock import held
from byohpo_core.journal.log import EventLog, StudyRecord, curve_of, journaled_event, overtaken
from byohpo_core.journal.place import is_on_network
from byohpo_core.journal.studies import Journal
from byohpo_core.study.events import Event, EventKind

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


class SqliteJournal(Journal):
    """A journal in one SQLite file.

    A missing or empty file is an empty journal. The first study creates it; reading never does.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(path))
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[[], SqliteJournal] | None = None

    @property
    def folder(self) -> Path:
        return Path(self.path).absolute().parent / "byohpo-jobs"

    def logs(self) -> list[EventLog]:
        rows = self.rows("SELECT id, name, manifest FROM studies ORDER BY name")
        return [SqliteLog(self, StudyRecord(study_id, name, json.loads(manifest))) for study_id, name, manifest in rows]

    def take(self, record: StudyRecord, events: Sequence[Event]) -> EventLog:
        with self.transaction(create=True) as connection:
            if connection.execute("SELECT 1 FROM studies WHERE name = ?", (record.name,)).fetchone():
                raise self._taken(record.name)
            row = (record.id, record.name, _to_json(record.manifest))
            connection.execute("INSERT INTO studies VALUES (?, ?, ?)", row)
            connection.executemany(_INSERT, _rows_of(record.id, events))
        return SqliteLog(self, record)

    def forget(self, log: EventLog) -> None:
        with self.transaction() as connection:
            connection.execute("DELETE FROM events WHERE study = ?", (log.id,))
            connection.execute("DELETE FROM studies WHERE id = ?", (log.id,))

    def close(self) -> None:
        if self._closing is not None:
            self._closing()
        self._connection = self._closing = None

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Iterate over the rows of a query; there are none if the file does not exist."""
        connection = self._connect(create=False)
        if connection is None:
            return
        with self._explained():
            yield from connection.execute(statement, parameters)

    @contextmanager
    def transaction(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, which is on disk at its end. Only *create* makes a missing file."""
        connection = self._connect(create=create)
        if connection is None:
            raise JournalError(f"journal {self.path} does not exist any more")
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
            # Check for emptiness first: the application id is committed together with the tables.
            empty = _is_empty(connection)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error):
                raise
            raise JournalError(f"{self.path} is not a byohpo journal: choose another file") from error
        if not empty and application != APPLICATION_ID:
            raise JournalError(f"{self.path} is an SQLite file, but not a byohpo journal: choose another file")
        if version > SCHEMA_VERSION:
            raise JournalError(
                f"journal {self.path} has schema {version}, written by a newer byohpo; this one reads up to "
                f"{SCHEMA_VERSION}: pip install --upgrade byohpo-core"
            )
        mode = "DELETE" if is_on_network(Path(self.path)) else "WAL"
        _set_mode(connection, mode)
        connection.execute("PRAGMA synchronous = FULL")
        if empty:
            connection.execute("BEGIN IMMEDIATE")
            if _is_empty(connection):  # no other process has created them meanwhile
                for statement in _SCHEMA:
                    connection.execute(statement)
            connection.execute("COMMIT")


class SqliteLog(EventLog):
    """One study's events in an SQLite file. The lock and the stop request are files beside it."""

    def __init__(self, journal: SqliteJournal, record: StudyRecord) -> None:
        super().__init__(record, journal.path)
        self._journal = journal

    def append(self, events: Sequence[Event]) -> None:
        try:
            with self._journal.transaction() as connection:
                connection.executemany(_INSERT, _rows_of(self.id, events))
        except sqlite3.IntegrityError as error:
            raise overtaken(self.id) from error

    def read(self) -> Iterator[Event]:
        for sequence, kind, version, time, body in self._journal.rows(
            "SELECT sequence, kind, version, time, body FROM events WHERE study = ? ORDER BY sequence", (self.id,)
        ):
            yield journaled_event(self.id, sequence, kind, time, json.loads(body), version)

    def event(self, sequence: int) -> Event:
        for kind, version, time, body in self._journal.rows(
            "SELECT kind, version, time, body FROM events WHERE study = ? AND sequence = ?", (self.id, sequence)
        ):
            return journaled_event(self.id, sequence, kind, time, json.loads(body), version)
        raise JournalError(f"journal {self.path}: study {self.id!r} has no event {sequence}")

    def last(self, kind: EventKind | None = None) -> int:
        newest = "SELECT max(sequence) FROM events WHERE study = ?"
        if kind is None:
            rows = self._journal.rows(newest, (self.id,))
        else:
            rows = self._journal.rows(f"{newest} AND kind = ?", (self.id, kind))
        return next((sequence for (sequence,) in rows if sequence is not None), -1)

    def curve(self, trial: int, metric: str, before: int) -> tuple[float, ...]:
        rows = self._journal.rows(
            "SELECT body FROM events WHERE study = ? AND kind = 'reported' AND trial = ? AND sequence < ? "
            "ORDER BY sequence",
            (self.id, trial, before),
        )
        return curve_of((json.loads(body)["points"] for (body,) in rows), metric)

    @contextmanager
    def hold(self, *, take_over: bool = False) -> Iterator[None]:
        with held(self._beside("lock"), self.id, take_over=take_over):
            self._forget_stop()
            try:
                yield
            finally:
                self._forget_stop()

    def request_stop(self) -> None:
        self._beside("stop").touch()

    def stop_requested(self) -> bool:
        return self._beside("stop").exists()

    def _forget_stop(self) -> None:
        self._beside("stop").unlink(missing_ok=True)

    def _beside(self, what: str) -> Path:
        return Path(f"{os.path.realpath(self.path)}.{self.id}.{what}")


def _rows_of(study_id: str, events: Sequence[Event]) -> list[tuple[Any, ...]]:
    return [
        (study_id, it.sequence, it.kind.value, it.version, it.time, it.body.get("trial"), _to_json(it.body))
        for it in events
    ]


def _set_mode(connection: sqlite3.Connection, mode: str) -> None:
    """Set SQLite's journal mode, with retries: here SQLite ignores its timeout if another process holds the lock."""
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
