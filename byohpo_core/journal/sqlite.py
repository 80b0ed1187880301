"""A journal in an SQLite file. Each event is a row with its checksum, and a commit returns only when it is on disk."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from byohpo_core.errors import ByohpoError, JournalDamaged, JournalError
from byohpo_core.journal.chain import Head, linked, stored, to_json
from byohpo_core.journal.database import Database
from byohpo_core.journal.lock import driver, held
from byohpo_core.journal.log import EventLog, StudyRecord, curve_of, journaled_event, overtaken
from byohpo_core.journal.place import beside
from byohpo_core.journal.stops import StopFile
from byohpo_core.journal.studies import Journal
from byohpo_core.study.events import Event, EventKind

_STUDIES = "SELECT id, name, manifest FROM studies"
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_NEW = """
    SELECT sequence, kind, version, time, trial, body, it.checksum, heads.count, heads.checksum
    FROM heads LEFT JOIN events AS it ON it.study = heads.study AND sequence >= ?
    WHERE heads.study = ? ORDER BY sequence LIMIT ?"""
_NEW_UNCHECKED = """
    SELECT sequence, kind, version, time, trial, body, NULL, NULL, NULL
    FROM events WHERE sequence >= ? AND study = ? ORDER BY sequence LIMIT ?"""
_PART = """
    SELECT sequence, kind, version, time, trial, body, checksum
    FROM events WHERE study = ? AND sequence >= ? AND sequence < ? ORDER BY sequence"""
_ROWS = 1000
"""Rows that are read by one query, and held in memory together."""
_PREVIOUS = "(SELECT checksum FROM events WHERE study = it.study AND sequence = it.sequence - 1)"
_ONE = """
    SELECT sequence, kind, version, time, trial, body, checksum, $previous
    FROM events AS it WHERE study = ? AND sequence = ?"""
_CURVE = """
    SELECT sequence, kind, version, time, trial, body, checksum, $previous
    FROM events AS it WHERE study = ? AND kind = 'reported' AND trial = ? AND sequence < ? ORDER BY sequence"""


class SqliteJournal(Journal):
    """A journal in one SQLite file.

    A missing or empty file is an empty journal. The first study creates it; reading never does.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(path))
        self.database = Database(self.path)

    @property
    def folder(self) -> Path:
        return Path(self.path).absolute().parent / "byohpo-jobs"

    def logs(self) -> list[EventLog]:
        with self.database.kept():
            self._check()
            return [SqliteLog(self.database, row) for row in self.database.rows(f"{_STUDIES} ORDER BY name")]

    def names(self) -> list[str]:
        with self.database.kept():
            return [str(name) for (name,) in self.database.rows("SELECT name FROM studies ORDER BY name")]

    def look_up(self, name: str) -> EventLog | None:
        if not _is_text(name):
            return None
        question = f"{_STUDIES} WHERE name = ? OR id = ? ORDER BY name = ? DESC LIMIT 1"
        with self.database.kept():
            rows = self.database.rows(question, (name,) * 3)
            if not rows:
                self._check()
            return SqliteLog(self.database, rows[0]) if rows else None

    def take(self, record: StudyRecord, events: Sequence[Event]) -> EventLog:
        row = (record.id, record.name, to_json(record.manifest))
        log = SqliteLog(self.database, row, Head.of_record(*row))
        with self.database.kept(), self.database.transaction(create=True, shared=log.shared) as connection:
            if connection.execute("SELECT 1 FROM studies WHERE name = ?", (record.name,)).fetchone():
                raise self._taken(record.name)
            connection.execute("INSERT INTO studies VALUES (?, ?, ?)", row)
            connection.execute("INSERT INTO heads VALUES (?, 0, ?)", (record.id, Head.of_record(*row).checksum))
            log.write(connection, events)
        return log

    def forget(self, log: EventLog) -> None:
        with self.database.transaction(shared=log.shared) as connection:
            for table in ("events", "heads"):
                connection.execute(f"DELETE FROM {table} WHERE study = ?", (log.id,))  # noqa: S608 - our tables
            connection.execute("DELETE FROM studies WHERE id = ?", (log.id,))

    def close(self) -> None:
        self.database.close()

    def _check(self) -> None:
        """Raise `JournalDamaged` if a study may be missing."""
        self.database.check()
        if self.database.has_checksums:
            lost = self.database.rows("SELECT study FROM heads WHERE study NOT IN (SELECT id FROM studies)")
            if lost:
                raise self.database.damaged(f"study {lost[0][0]!r} is missing")


def _is_text(name: str) -> bool:
    """False if no journal can have this name: part of it is no character, as in an argument in another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class SqliteLog(EventLog):
    """One study's events in an SQLite file. The lock and the stop request are files beside it.

    All events are verified when they are read for the first time, also of a file that took the place of another one;
    later, what is new and what is returned.
    """

    def __init__(self, database: Database, row: Sequence[Any], head: Head | None = None) -> None:
        super().__init__(str(row[0]), str(row[1]), database.path)
        self._database = database
        self._row = row
        self._head = head
        """The end of the chain as far as it is verified."""
        self._renewals = database.renewals
        """The database's number when the head was verified."""
        self._written: int | None = None
        """The number of events after the last commit that was written here."""

    @cached_property
    def record(self) -> StudyRecord:
        try:
            manifest = json.loads(self._row[2])
        except (ValueError, TypeError, RecursionError):
            manifest = None
        if not isinstance(manifest, dict):
            raise self._database.damaged(f"the manifest of study {self.id!r} cannot be read")
        return StudyRecord(self.id, self.name, manifest)

    def append(self, events: Sequence[Event]) -> None:
        if self._database.moved():
            raise self._saved(events)
        with self._database.turn:
            if events and self._verified_to(events[0].sequence).count != events[0].sequence:
                raise overtaken(self.id)
            try:
                with self._database.transaction(shared=self.shared) as connection:
                    head = self.write(connection, events)
            except sqlite3.IntegrityError as error:
                raise overtaken(self.id) from error
            self._head = head
            if events:
                self._written = events[-1].sequence + 1

    def newer(self) -> list[Event]:
        if self._written is None or self._verified().count == self._written:
            return []
        return [*islice(self.read(), self._written, None)]

    def write(self, connection: sqlite3.Connection, events: Sequence[Event]) -> Head | None:
        """Write events after the verified ones, within a transaction, and return the new head."""
        head = self._head
        if not events:
            return head
        assert head is not None  # noqa: S101 - verified by the caller
        count, checksum, rows = head.count, head.checksum, []
        for event in events:
            row = stored(event)
            if row[0] != count:
                raise overtaken(self.id)
            checksum = linked(checksum, *row)
            count += 1
            rows.append((self.id, *row, checksum))
        head, before = Head(count, checksum), head
        changed = connection.execute(
            "UPDATE heads SET count = ?, checksum = ? WHERE study = ? AND count = ? AND checksum = ?",
            (head.count, head.checksum, self.id, before.count, before.checksum),
        )
        if not changed.rowcount:
            raise overtaken(self.id)
        connection.executemany(_INSERT, rows)
        return head

    def read(self) -> Iterator[Event]:
        with self._database.kept():
            known = self._verified()
            head = self._start()
            count, checksum = head.count, head.checksum
            for first in range(0, known.count, _ROWS):
                for *row, kept in self._rows(_PART, (self.id, first, min(first + _ROWS, known.count))):
                    checksum = self._link(count, checksum, row, kept)
                    count += 1
                    yield self._event(*row)
            if (count, checksum) != (known.count, known.checksum):
                raise self._damage(count, "it has changed since it was verified")

    def event(self, sequence: int) -> Event:
        with self._database.kept():
            self._verified()
            for *row, kept, previous in self._rows(_ONE, (self.id, sequence)):
                self._link(sequence, previous if sequence else self._start().checksum, row, kept)
                return self._event(*row)
        raise JournalError(f"journal {self.path}: study {self.id!r} has no event {sequence}")

    def last(self, kind: EventKind | None = None) -> int:
        with self._database.kept():
            known = self._verified()
            if kind is None:
                return known.count - 1
            statement = "SELECT max(sequence) FROM events WHERE study = ? AND kind = ? AND sequence < ?"
            rows = self._database.rows(statement, (self.id, kind, known.count))
            return next((sequence for (sequence,) in rows if sequence is not None), -1)

    def curve(self, trial: int, metric: str, before: int) -> tuple[float, ...]:
        with self._database.kept():
            self._verified()
            return curve_of(self._points(self._rows(_CURVE, (self.id, trial, before))), metric)

    @contextmanager
    def hold(self, *, take_over: bool = False) -> Iterator[None]:
        lock, earlier = beside(self.path, self.id, "lock"), self._stop.seen()
        with (
            held(lock, self.id, take_over=take_over, shared=self.shared),
            self._stop.heeded(earlier),
            self._database.kept(),
        ):
            yield

    def driver(self) -> str | None:
        return driver(beside(self.path, self.id, "lock"), self.id, shared=self.shared)

    def request_stop(self) -> None:
        self._stop.make()

    def stop_requested(self) -> bool:
        return self._stop.is_made()

    @cached_property
    def _stop(self) -> StopFile:
        return StopFile(beside(self.path, self.id, "stop"), self.shared)

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[Any]:
        """Return rows with their checksums, which are NULL in a journal of an earlier release."""
        if self._database.has_checksums:
            statement = statement.replace("$previous", _PREVIOUS)
        else:
            statement = statement.replace("$previous", "NULL").replace("checksum", "NULL")
        return self._database.rows(statement, parameters)

    def _start(self) -> Head:
        return Head.of_record(*self._row)

    def _verified_to(self, sequence: int) -> Head:
        """Return the head, and verify what is new unless the head is where it is expected."""
        return self._head if self._head is not None and self._head.count == sequence else self._verified()

    def _verified(self) -> Head:
        """Verify what is new, or all events if none was read yet, and return the head."""
        with self._database.turn:
            if not self._database.exists:
                raise JournalError(f"journal {self.path} does not exist any more")
            if self._renewals != self._database.renewals:
                self._head, self._renewals = None, self._database.renewals
            return self._verify()

    def _verify(self) -> Head:
        if self._head is None:
            self._database.check()
        head = self._head or self._start()
        count, checksum = head.count, head.checksum
        told: tuple[Any, ...] | None = None
        checked = self._database.has_checksums
        statement, more = _NEW if checked else _NEW_UNCHECKED, True
        while more:
            rows = self._database.rows(statement, (count, self._row[0], _ROWS))
            more = len(rows) == _ROWS
            for *row, kept, told_count, told_checksum in rows:
                told = (told_count, told_checksum)
                if row[0] is not None:
                    checksum = self._link(count, checksum, row, kept)
                    count += 1
        if checked and told != (count, checksum):
            if self._head is not None:  # another one is at its path
                self._head = None
                return self._verify()
            raise self._headless(count, told)
        if self._head is None or self._head.count != count:
            self._head = Head(count, checksum)
        return self._head

    def _link(self, count: int, checksum: bytes | None, row: Sequence[Any], kept: bytes | None) -> bytes:
        """Verify that a row is event *count*, and return its checksum, which *kept* must be if it is known."""
        if row[0] != count:
            raise self._damage(count, "it is missing" if type(row[0]) is int and row[0] > count else "it is wrong")
        if checksum is None:  # the event before is of an earlier release
            return b""
        checksum = linked(checksum, *row)
        if kept is not None and kept != checksum:
            raise self._damage(count, "it or its checksum is not as it was written")
        return checksum

    def _headless(self, count: int, told: Sequence[Any] | None) -> JournalError:
        if told is None:
            if self._database.rows("SELECT 1 FROM studies WHERE id = ?", self._row[:1]):
                return self._damage(count, "the number of events is not known any more")
            return JournalError(f"journal {self.path} has no study {self.id!r} any more")
        if isinstance(told[0], int) and told[0] > count:
            return self._damage(count, f"it is missing, and all up to event {told[0] - 1}")
        return self._damage(count, "what the journal says of its last event is wrong", whole=0)

    def _damage(self, sequence: int, what: str, whole: int | None = None) -> JournalDamaged:
        whole = sequence if whole is None else whole
        kept = {0: "nothing before it", 1: "event 0 is whole"}.get(whole, f"events 0 to {whole - 1} are whole")
        return self._database.damaged(f"study {self.id!r}, event {sequence}: {what} ({kept})")

    def _event(self, sequence: int, kind: Any, version: Any, time: Any, _: Any, body: Any) -> Event:
        return journaled_event(self.id, sequence, kind, time, self._body(sequence, body), version)

    def _body(self, sequence: int, text: Any) -> Any:
        try:
            return json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._damage(sequence, "its body cannot be read") from error

    def _points(self, rows: Iterable[Any]) -> Iterator[Any]:
        for *row, kept, previous in rows:
            self._link(row[0], previous if row[0] else self._start().checksum, row, kept)
            yield self._event(*row).body["points"]

    def _saved(self, events: Sequence[Event]) -> JournalError:
        """Save what the driver wrote, and these events, since the file at the journal's path is another one."""
        told = f"journal {self.path} was deleted or replaced while study {self.id!r} was driven, which stops here"
        try:
            path = self._database.saved(f"{self.id}.saved")
            with closing(SqliteJournal(path)) as journal:
                log = journal.look_up(self.id)
                assert log is not None  # noqa: S101 - it was just copied
                log.append(events)
        except (OSError, sqlite3.Error, ByohpoError) as error:
            return JournalError(f"{told}; its events cannot be saved: {error}")
        return JournalError(f"{told}; its events are kept in {path}: move it to {self.path} and resume")
