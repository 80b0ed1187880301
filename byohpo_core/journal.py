"""The durable record of studies: an SQLite file of events that is only ever appended to, by one driver at a time."""

import fcntl
import json
import marshal
import os
import re
import socket
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any, Protocol

import attrs

from byohpo_core.advice import command
from byohpo_core.errors import InvalidInput, JournalError, StudyBusy, StudyExists, StudyLocked, UnknownStudy
from byohpo_core.study.events import EVENT_VERSION, Event, EventKind
from byohpo_core.study.naming import MAX_NAME_LENGTH, check_study_name, draw_id

APPLICATION_ID = 0x62796F68  # "byoh"
SCHEMA_VERSION = 1
MEMORY = ":memory:"
BUSY_SECONDS = 30.0
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "9p", "afs", "ceph"})
_SCHEMA = (
    "CREATE TABLE studies (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, manifest TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE events (
        study TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
        time REAL NOT NULL, trial INTEGER, body TEXT NOT NULL, PRIMARY KEY (study, sequence)) WITHOUT ROWID""",
    "CREATE INDEX curves ON events (study, trial) WHERE kind = 'reported'",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_KINDS = {kind.value: kind for kind in EventKind}
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
_to_json = json.JSONEncoder(separators=(",", ":")).encode


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


class MemoryJournal(Journal):
    """Studies of this process alone, for those who want no file: lists of events, gone with the object."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
        self._studies: dict[str, StudyRecord] = {}
        # Events are kept as bytes: the garbage collector would walk through ever more objects.
        self._events: dict[str, list[bytes]] = {}

    @property
    def folder(self) -> Path:
        return Path("byohpo-jobs").absolute()

    def take(self, record: StudyRecord, events: Sequence[Event]) -> None:
        if record.name in self._studies:
            raise self._taken(record.name)
        self._studies[record.name] = record
        self._events[record.id] = [*map(_packed, events)]

    def forget(self, record: StudyRecord) -> None:
        del self._studies[record.name], self._events[record.id]

    def request_stop(self, study_id: str) -> None:
        """No other process knows of these studies."""

    def stop_requested(self, study_id: str) -> bool:  # noqa: ARG002
        return False

    def forget_stop(self, study_id: str) -> None:
        """There is nothing to forget."""

    def studies(self) -> list[StudyRecord]:
        return [self._studies[name] for name in sorted(self._studies)]

    def append(self, study_id: str, events: Sequence[Event]) -> None:
        journaled = self._events[study_id]
        if events[0].sequence != len(journaled):
            raise _overtaken(study_id)
        journaled.extend(map(_packed, events))

    def read(self, study_id: str) -> Iterator[Event]:
        return (self.event(study_id, sequence) for sequence in range(len(self._events[study_id])))

    def event(self, study_id: str, sequence: int) -> Event:
        kind, time, version, body = marshal.loads(self._events[study_id][sequence])  # noqa: S302 - by _packed
        return journaled_event(study_id, sequence, kind, time, body, version)

    def last(self, study_id: str, kind: EventKind) -> int:
        return max((event.sequence for event in self.read(study_id) if event.kind is kind), default=-1)

    def curve(self, study_id: str, trial: int, metric: str, before: int) -> tuple[float, ...]:
        reports = (it.body for it in islice(self.read(study_id), before) if it.kind is EventKind.Reported)
        return _curve((body["points"] for body in reports if body["trial"] == trial), metric)

    @contextmanager
    def driver(self, study_id: str, *, take_over: bool = False) -> Iterator[None]:  # noqa: ARG002 - no other host
        with _one_in_this_process(str(id(self)), study_id):
            yield


def journaled_event(study_id: str, sequence: int, kind: str, time: float, body: Any, version: int) -> Event:
    """An event as it was written; raises `JournalError` for one that this release does not understand."""
    if kind not in _KINDS or version > EVENT_VERSION:
        raise JournalError(
            f"study {study_id!r} has an event {kind!r}, version {version}, which a newer byohpo has written: "
            "pip install --upgrade byohpo-core"
        )
    return Event(sequence, _KINDS[kind], time, body, version)


def _rows_of(study_id: str, events: Sequence[Event]) -> list[tuple[Any, ...]]:
    return [
        (study_id, it.sequence, it.kind.value, it.version, it.time, it.body.get("trial"), _to_json(it.body))
        for it in events
    ]


def _packed(event: Event) -> bytes:
    content: Any = (event.kind.value, event.time, event.version, event.body)
    return marshal.dumps(content)


def open_journal(path: str | os.PathLike[str] | None) -> Journal:
    """The journal at a path, `":memory:"`, or by default `BYOHPO_JOURNAL` or `byohpo.db` in the working folder."""
    path = path or os.environ.get("BYOHPO_JOURNAL") or "byohpo.db"
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidInput(f"journal is {path!r}, not a path")
    return MemoryJournal() if path == MEMORY else Journal(path)


def journal_files(study_id: str, names: Iterable[str]) -> set[str]:
    """Which of a folder's files are the journal of a study that is being driven, SQLite's, and locks and logs."""
    names = set(names)
    lock = f".{study_id}.lock"
    for journal in [name.removesuffix(lock) for name in names if name.endswith(lock)]:
        ours = re.compile(rf"{re.escape(journal)}(-wal|-shm|-journal|\..+\.(lock|stop|log))?")
        return {name for name in names if ours.fullmatch(name)}
    return set()


def _overtaken(study_id: str) -> StudyBusy:
    return StudyBusy(f"another driver has taken over study {study_id!r}; this one stops")


def _curve(reports: Iterable[Mapping[str, Any]], metric: str) -> tuple[float, ...]:
    values: list[float] = []
    for points in reports:
        start, fresh = points.get(metric, (len(values), ()))
        values[start:] = fresh
    return tuple(values)


_driving: set[tuple[str, str]] = set()
_driving_lock = threading.Lock()


@contextmanager
def _one_in_this_process(journal: str, study_id: str) -> Iterator[None]:
    """A POSIX lock does not hold against one's own process, so a registry does."""
    with _driving_lock:
        if (journal, study_id) in _driving:
            raise StudyBusy(f"study {study_id!r} is already being driven by this process")
        _driving.add((journal, study_id))
    try:
        yield
    finally:
        with _driving_lock:
            _driving.discard((journal, study_id))


@contextmanager
def _locked_file(path: Path, study_id: str, *, take_over: bool) -> Iterator[None]:
    host = socket.gethostname()
    # Only the driver ever opens this file: closing any descriptor of it would drop the process's lock.
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyBusy(f"study {study_id!r} is being driven by {_holder(file) or _UNNAMED}") from error
        holder = _holder(file)
        if holder and not holder.endswith(f"on {host}") and not take_over:
            raise StudyLocked(
                f"study {study_id!r} was left locked by {holder}, which may still run: "
                "if it does not, say it with --take-over (take_over=True)"
            )
        _write_holder(file, f"process {os.getpid()} on {host}")
        try:
            yield
        finally:
            _write_holder(file, "")


_UNNAMED = "another process, which begins or ends at this moment"


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()


def _write_holder(file: IO[str], holder: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(holder)
    file.flush()


def _on_network(path: Path) -> bool:
    """Whether the file lies on a network file system, where SQLite's WAL does not work."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return False
    place, kind = "", ""
    target = os.path.realpath(path)
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, file_system = line.split(" ")[:3]
        if len(mount) >= len(place) and (target == mount or target.startswith(mount.rstrip("/") + "/")):
            place, kind = mount, file_system
    return kind in NETWORK_FILE_SYSTEMS
