"""The SQLite file of a journal: open it, query it, commit to it, and notice when it is damaged or replaced."""

import os
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from byohpo_core import files
from byohpo_core.errors import ByohpoError, JournalDamaged, JournalError, one_line
from byohpo_core.journal import schema
from byohpo_core.journal.copies import is_read_only, last_change, private_copy
from byohpo_core.journal.place import command, is_on_network

BUSY_SECONDS = 30.0
_opening = threading.Lock()
"""A new file is closed before SQLite opens it: closing it later would drop the locks of this process."""
_DAMAGE = {
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT),
    *(sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE),
}
"""SQLite's codes for a file that is not as it was written: the statements are ours, and fit the tables."""


class Database:
    """An SQLite file that may not exist yet. Reading never creates or changes it; one that is read-only is copied.

    A question is asked within `kept`: it begins with what is at the path by then, and no thread changes that meanwhile.
    Threads share its connection in turns: two that use a statement at once fail, or bind each other's parameters.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.turn = threading.RLock()
        """Held by the thread that uses the connection, or what is known of the file."""
        self.connection: sqlite3.Connection | None = None
        self.renewals = 0
        """How often something newer was found at the path: what was known of the file before may not hold any more."""
        self._closing: weakref.finalize[..., Database] | None = None
        self._file = path
        self._identity: tuple[int, int] | None = None
        self._copied: tuple[object, ...] | None = None
        """The last change of the file before it was copied; None if the file itself is open."""
        self._keepers = set[object]()
        self._whole = self._writable = self._has_checksums = False

    @property
    def exists(self) -> bool:
        """False if there is no file, or one without tables."""
        with self.turn:
            return self._connect(create=False) is not None

    @property
    def has_checksums(self) -> bool:
        """True if its tables have checksums: those of release 0.1 do not."""
        with self._explained(), self.turn:
            if not self._has_checksums and self.connection is not None:
                self._has_checksums = schema.has_checksums(self.connection)
            return self._has_checksums

    def close(self) -> None:
        with self.turn:
            if self._closing is not None:
                self._closing()
            self.connection = self._closing = self._identity = self._copied = None
            self._whole = self._writable = self._has_checksums = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Begin with the file that is at the path now, with all its commits, and keep it open for the block.

        A driver does all its work in one block: it must notice that its journal was replaced, not take to the new one.
        """
        keeper = object()
        with self.turn:
            if self.connection is not None and not self._keepers and self._is_old():
                self.close()
                self.renewals += 1
            self._keepers.add(keeper)
        try:
            yield
        finally:
            self._keepers.discard(keeper)  # in one step, without the lock: this may run in a garbage collection

    def check(self) -> None:
        """Raise `JournalDamaged` if SQLite finds the file damaged. It looks once for each connection."""
        if not self._whole:
            found = [text for (text,) in self.rows("PRAGMA integrity_check(1)")]
            if found not in ([], ["ok"]):
                raise self.damaged(one_line(found[0]))
            self._whole = True

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a query; there are none if the file does not exist.

        They are all read: SQLite does not write, after another process has, while a query is only half read.
        """
        with self._explained(), self.turn:
            connection = self._connect(create=False)
            return [] if connection is None else connection.execute(statement, parameters).fetchall()

    @contextmanager
    def transaction(self, *, create: bool = False, shared: bool = False) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, which is on disk at its end. Only *create* makes a missing file."""
        with self._explained(), self.turn:
            connection = self._connect(create=create, shared=shared)
            if connection is None:
                raise JournalError(f"journal {self.path} does not exist any more")
            if not self._writable:
                self._prepare_to_write(connection, shared=shared)
            connection.execute("BEGIN IMMEDIATE")
            try:
                if not self.has_checksums:
                    (schema.create if schema.is_empty(connection) else schema.upgrade)(connection)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def moved(self) -> bool:
        """True if the file that is open is no longer the one at its path."""
        try:
            found = os.stat(self._file)  # noqa: PTH116 - fast, since it is asked at every commit
        except OSError:
            return self._identity is not None
        return self._identity not in (None, (found.st_dev, found.st_ino))

    def saved(self, suffix: str) -> Path:
        """Copy what is open to a new file, beside where the journal was if possible, and return its path."""
        assert self.connection is not None  # noqa: S101 - it was open when it moved
        folder = Path(self._file).parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            folder = Path(tempfile.mkdtemp(prefix="byohpo-"))
        target = unused(folder / f"{Path(self._file).name}.{suffix}")
        os.close(files.open_file(target, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        with closing(sqlite3.connect(target)) as copy, self.turn:
            self.connection.backup(copy)
        files.sync_folder(target)
        return target

    def damaged(self, what: str) -> JournalDamaged:
        """Return the error that tells of damage, and of the way out."""
        return JournalDamaged(
            f"journal {self.path}: it is damaged: {what}; `{command(self.path, 'repair')}` restores what is whole, or "
            "with --mirror what the mirror on S3 has"
        )

    def _is_old(self) -> bool:
        """True if there is something newer at the path than what is open."""
        if self._copied is None:
            return self.moved()
        path = Path(self._file)
        return last_change(path) != self._copied or not is_read_only(path)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: a text that is not UTF-8
            if code & 0xFF in _DAMAGE:
                raise self.damaged(one_line(error)) from error
            raise JournalError(f"journal {self.path}: {error}; what was committed is safe") from error
        except UnicodeDecodeError as error:  # SQLite quotes a part of the file that is no text
            raise self.damaged("the definitions of its tables cannot be read") from error

    def _connect(self, *, create: bool, shared: bool = False) -> sqlite3.Connection | None:
        if self.connection is not None:
            return self.connection
        with _opening:
            return self._open(create=create, shared=shared)

    def _open(self, *, create: bool, shared: bool) -> sqlite3.Connection | None:
        path = Path(self._file)
        if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises where it may not look
            raise JournalError(f"journal {self.path} is a folder: name a file, such as {path / 'byohpo.db'}")
        found = self._checked("")
        if not create and (found is None or found.st_size == 0):
            return None
        if not path.absolute().parent.is_dir():
            raise JournalError(f"journal {self.path}: the folder {path.absolute().parent} does not exist")
        for suffix in ("-wal", "-shm", "-journal"):
            self._checked(suffix)
        if found is None:
            self._create_file(shared=shared)
        opened, left, copied = path.absolute(), None, None
        now = opened.stat()
        if is_read_only(path):
            copied = last_change(opened)  # before it is copied: what is committed meanwhile is newer
            opened = private_copy(opened)
            left = opened.parent
        with self._explained():
            connection = sqlite3.connect(
                f"{opened.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                schema.check_is_ours(connection, self.path)
                is_missing = not create and schema.is_new(connection)
            except BaseException:
                _close(connection, left)
                raise
        if is_missing:
            _close(connection, left)
            return None
        self._file = os.path.abspath(path)  # noqa: PTH100 - also when the working folder changes
        self._identity = (now.st_dev, now.st_ino)
        self._copied = copied
        self.connection = connection
        self._closing = weakref.finalize(self, _close, connection, left)
        return connection

    def _checked(self, suffix: str) -> os.stat_result | None:
        try:
            return files.check_file(f"{self._file}{suffix}")
        except ByohpoError as error:
            raise JournalError(f"journal {self.path}: {error}") from error

    def _create_file(self, *, shared: bool) -> None:
        try:
            os.close(files.open_file(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, shared=shared))
        except FileExistsError:
            pass  # another process was faster
        except ByohpoError as error:
            raise JournalError(f"journal {self.path}: {error}") from error

    def _prepare_to_write(self, connection: sqlite3.Connection, *, shared: bool) -> None:
        path = Path(self._file)
        if self._copied is not None or is_read_only(path):
            raise JournalError(f"journal {self.path} is read-only: its file or folder may not be written to")
        files.warn_of_others(self.path, path.stat(), shared=shared)
        _set_mode(connection, "DELETE" if is_on_network(path) else "WAL")
        connection.execute("PRAGMA synchronous = FULL")
        self._writable = True


def unused(path: Path) -> Path:
    """Return the path, or with a number at its end if there is such a file."""
    number, found = 1, path
    while os.path.lexists(found):
        number += 1
        found = Path(f"{path}-{number}")
    return found


def _close(connection: sqlite3.Connection, copied: Path | None) -> None:
    connection.close()
    if copied is not None:
        shutil.rmtree(copied, ignore_errors=True)


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
