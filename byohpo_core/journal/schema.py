"""The tables of a journal, and the upgrade of those that earlier releases made. docs/journal.md describes them."""

import sqlite3

from byohpo_core.errors import JournalError
from byohpo_core.journal.chain import Head, linked

APPLICATION_ID = 0x62796F68  # "byoh"
SCHEMA_VERSION = 2
"""Version 1 has no checksums. Reading leaves it as it is; the first append upgrades it."""
_HEADS = """CREATE TABLE heads (study TEXT PRIMARY KEY, count INTEGER NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID"""
_CREATE = (
    "CREATE TABLE studies (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, manifest TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE events (
        study TEXT NOT NULL, sequence INTEGER NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
        time REAL NOT NULL, trial INTEGER, body TEXT NOT NULL, checksum BLOB,
        PRIMARY KEY (study, sequence)) WITHOUT ROWID""",
    "CREATE INDEX curves ON events (study, trial) WHERE kind = 'reported'",
    _HEADS,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def is_empty(connection: sqlite3.Connection) -> bool:
    """True if the file has no tables yet."""
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def is_new(connection: sqlite3.Connection) -> bool:
    """True if whoever created the file died before its tables were committed; a damaged one keeps its id."""
    ids = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")]
    return ids == [(0,), (0,)] and is_empty(connection)


def check_is_ours(connection: sqlite3.Connection, path: str) -> None:
    """Raise `JournalError` if the file is not a journal, or one of a newer release."""
    try:
        # Check for emptiness first: the application id is committed together with the tables.
        empty = is_empty(connection)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if "not a database" not in str(error):
            raise
        raise JournalError(f"{path} is not a byohpo journal: choose another file") from error
    if not empty and application != APPLICATION_ID:
        raise JournalError(f"{path} is an SQLite file, but not a byohpo journal: choose another file")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"journal {path} has schema {version}, written by a newer byohpo; this one reads up to "
            f"{SCHEMA_VERSION}: pip install --upgrade byohpo-core"
        )


def has_checksums(connection: sqlite3.Connection) -> bool:
    """True if the tables are those of this release. Another process may upgrade them at any time."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    heads = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'heads'").fetchone()
    return heads is not None or version >= SCHEMA_VERSION


def create(connection: sqlite3.Connection) -> None:
    """Create the tables."""
    for statement in _CREATE:
        connection.execute(statement)


def upgrade(connection: sqlite3.Connection) -> None:
    """Make the tables of an earlier release those of this one.

    Each study gets the head of the chain that its events have, although they do not store their checksums. So the
    first new event also covers all earlier ones.
    """
    connection.execute("ALTER TABLE events ADD COLUMN checksum BLOB")
    connection.execute(_HEADS)
    for study in connection.execute("SELECT id, name, manifest FROM studies").fetchall():
        head = Head.of_record(*study)
        count, checksum = head.count, head.checksum
        for row in connection.execute(
            "SELECT sequence, kind, version, time, trial, body FROM events WHERE study = ? ORDER BY sequence", study[:1]
        ):
            checksum = linked(checksum, *row)
            count = row[0] + 1
        connection.execute("INSERT INTO heads VALUES (?, ?, ?)", (study[0], count, checksum))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
