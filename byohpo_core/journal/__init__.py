"""The journal: a durable, append-only record of the events of studies. Each study has one driver at a time."""

import os

from byohpo_core.errors import InvalidInput
from byohpo_core.journal.memory import MemoryJournal
from byohpo_core.journal.place import MEMORY, default_journal
from byohpo_core.journal.studies import Journal


def open_journal(path: str | os.PathLike[str] | None = None) -> Journal:
    """Open the journal at a path, or `":memory:"`. Default: `BYOHPO_JOURNAL` or `byohpo.db` in the working folder."""
    path = path or default_journal()
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidInput(f"journal is {path!r}, not a path")
    if path == MEMORY:
        return MemoryJournal()
    from byohpo_core.journal.sqlite import SqliteJournal  # imported here, since SQLite and OpenSSL take a while

    return SqliteJournal(path)
