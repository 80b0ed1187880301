"""Restore what is whole in a damaged journal: for each study the events up to the first damaged one."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from byohpo_core import files
from byohpo_core.errors import ByohpoError, JournalDamaged, JournalError, UnknownStudy, one_line
from byohpo_core.journal import schema
from byohpo_core.journal.chain import Head, linked
from byohpo_core.journal.copies import private_copy
from byohpo_core.journal.database import unused
from byohpo_core.journal.lock import held
from byohpo_core.journal.log import EventLog, StudyRecord, journaled_event
from byohpo_core.journal.place import beside
from byohpo_core.journal.sqlite import SqliteJournal
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger
from byohpo_core.study.events import Event

_CHECKED = """SELECT sequence, kind, version, time, trial, body, checksum
    FROM events WHERE study = ? ORDER BY sequence"""
_UNCHECKED = _CHECKED.replace("checksum", "NULL")
Fetch: TypeAlias = Callable[[Journal, str], EventLog | None]
"""Copies the study with this id from its mirror into a journal."""


@attrs.frozen
class Restored:
    """What became of one study."""

    name: str
    study_id: str
    whole: bool
    count: int | None
    """How many events it has now; None if nothing of it is whole."""
    mirrored: bool = False
    """True if they come from the mirror."""


def repair(path: Path, fetch: Fetch | None = None) -> tuple[list[Restored], Path | None]:
    """Replace a damaged journal by one with all that is whole; tell of its studies, and where the damaged one is kept.

    A journal without damage is left as it is; then there is no path. No study of it may be driven meanwhile.
    """
    if not path.exists():
        raise UnknownStudy(f"journal {path} does not exist")
    if not is_damaged(path):
        return [], None
    copy = private_copy(path)
    try:
        with closing(sqlite3.connect(copy)) as connection, ExitStack() as stack:
            try:
                studies = [*_studies(connection)]
            except sqlite3.Error as error:
                raise JournalError(f"journal {path}: no study in it can be read: {one_line(error)}") from error
            for study_id, *_ in studies:
                stack.enter_context(held(beside(str(path), study_id, "lock"), study_id, take_over=False))
            fresh = unused(Path(f"{path}.repaired"))
            try:
                with closing(SqliteJournal(fresh)) as journal:
                    restored = [_restore(connection, study, journal, fetch) for study in studies]
                if not fresh.exists():
                    raise JournalError(f"journal {path}: nothing in it is whole")
                return restored, _replaced(path, fresh)
            finally:
                fresh.unlink(missing_ok=True)
    finally:
        shutil.rmtree(copy.parent, ignore_errors=True)


def is_damaged(path: Path) -> bool:
    """True if anything in a journal is not as it was written."""
    try:
        with closing(SqliteJournal(path)) as journal:
            for log in journal.logs():
                log.record  # noqa: B018 - it is read
                log.last()
    except JournalDamaged:
        return True
    return False


def _studies(connection: sqlite3.Connection) -> Iterator[Sequence[Any]]:
    """Yield id, name and manifest of the studies that can be read."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > schema.SCHEMA_VERSION:
        raise JournalError(f"it has schema {version}, of a newer byohpo: pip install --upgrade byohpo-core")
    rows = connection.execute("SELECT id, name, manifest FROM studies")
    with suppress(sqlite3.DatabaseError):
        yield from (row for row in rows if all(isinstance(value, str) for value in row))


def _restore(
    connection: sqlite3.Connection, study: Sequence[str], journal: SqliteJournal, fetch: Fetch | None
) -> Restored:
    study_id, name, _ = study
    salvaged = _salvage(connection, study)
    if salvaged is not None and salvaged.whole:
        journal.take(salvaged.record, salvaged.events)
        return Restored(name, study_id, whole=True, count=len(salvaged.events))
    if fetch is not None:
        try:
            log = fetch(journal, study_id)
        except ByohpoError as error:
            _logger.warning("study %s cannot be restored from its mirror: %s", study_id, error)
            log = None
        if log is not None and (salvaged is None or log.last() + 1 >= len(salvaged.events)):
            return Restored(name, study_id, whole=False, count=log.last() + 1, mirrored=True)
        if log is not None:
            journal.forget(log)
    if salvaged is None:
        return Restored(name, study_id, whole=False, count=None)
    journal.take(salvaged.record, salvaged.events)
    return Restored(name, study_id, whole=False, count=len(salvaged.events))


@attrs.frozen
class _Salvaged:
    """What can be restored from the damaged file."""

    record: StudyRecord
    events: Sequence[Event]
    whole: bool


def _salvage(connection: sqlite3.Connection, study: Sequence[str]) -> _Salvaged | None:
    """Return a study with all events that its checksums prove; None if they prove nothing.

    Without checksums, in a journal of an earlier release, these are all events that can be read.
    """
    checked, told = _told(connection, study[0])
    rows: list[Sequence[Any]] = []
    with suppress(sqlite3.DatabaseError):
        rows.extend(connection.execute(_CHECKED if checked else _UNCHECKED, study[:1]))
    head = Head.of_record(*study)
    proven = 0 if head == told else None
    for *row, kept in rows:
        if row[0] != head.count or not _is_json(row[-1]):
            break
        head = Head(head.count + 1, linked(head.checksum, *row))
        if kept == head.checksum or head == told:
            proven = head.count
    if not checked:
        proven = head.count
    if proven is None or not _is_json(study[2]):
        return None
    events = [
        journaled_event(study[0], sequence, kind, time, json.loads(body), version)
        for sequence, kind, version, time, _, body, _ in rows[:proven]
    ]
    whole = head == told if checked else proven == len(rows)
    return _Salvaged(StudyRecord(study[0], study[1], json.loads(study[2])), events, whole)


def _is_json(text: Any) -> bool:
    try:
        json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _told(connection: sqlite3.Connection, study_id: str) -> tuple[bool, Head | None]:
    """Return whether the journal has checksums, and the head that it tells of a study."""
    if not schema.has_checksums(connection):
        return False, None
    with suppress(sqlite3.DatabaseError):
        row = connection.execute("SELECT count, checksum FROM heads WHERE study = ?", (study_id,)).fetchone()
        if row is not None:
            return True, Head(*row)
    return True, None


def _replaced(path: Path, fresh: Path) -> Path:
    """Put a repaired journal in the place of the damaged one, and return where that is kept, with its WAL."""
    kept = unused(Path(f"{path}.damaged"))
    fresh.chmod(path.stat().st_mode)
    try:
        os.link(path, kept)
    except OSError:  # a file system without hard links
        files.rename(path, kept)
    for suffix in ("-wal", "-journal"):
        with suppress(FileNotFoundError):
            files.rename(f"{path}{suffix}", f"{kept}{suffix}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    files.rename(fresh, path)
    return kept
