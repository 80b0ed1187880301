"""Restore what is whole in a damaged journal: for each study the events up to the first damaged one."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TypeAlias

import attrs

from byohpo_core import files
from byohpo_core.errors import ByohpoError, JournalDamaged, JournalError, UnknownStudy, one_line
from byohpo_core.journal.copies import private_copy
from byohpo_core.journal.database import unused
from byohpo_core.journal.lock import held
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import beside
from byohpo_core.journal.salvage import DamagedJournal, Lost
from byohpo_core.journal.sqlite import SqliteJournal
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger

Fetch: TypeAlias = Callable[[Journal, str], EventLog | None]
"""Copies the study with this id from its mirror into a journal."""


@attrs.frozen
class Restored:
    """What became of one study."""

    name: str
    study_id: str
    whole: bool
    count: int
    """How many events it has now."""
    mirrored: bool = False
    """True if they come from the mirror."""


def repair(path: Path, fetch: Fetch | None = None) -> tuple[list[Restored], list[Lost], Path | None]:
    """Replace a damaged journal by one with all that is whole; tell of its studies, and where the damaged one is kept.

    A journal without damage is left as it is; then there is no path. No study of it may be driven meanwhile.
    """
    if files.check_file(path) is None:
        raise UnknownStudy(f"journal {path} does not exist")
    if not is_damaged(path):
        return [], [], None
    copy = private_copy(path)
    try:
        with closing(sqlite3.connect(copy)) as connection, ExitStack() as stack:
            try:
                damaged = DamagedJournal(connection)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise JournalError(f"journal {path}: no study in it can be read: {one_line(error)}") from error
            for study_id in damaged.ids:
                stack.enter_context(held(beside(str(path), study_id, "lock"), study_id, take_over=False))
            fresh = unused(Path(f"{path}.repaired"))
            try:
                with closing(SqliteJournal(fresh)) as journal:
                    restored = _restored(damaged, journal, fetch)
                lost = damaged.lost({it.study_id for it in restored})
                if not restored:
                    raise _nothing_whole(path, lost)
                return restored, lost, _replaced(path, fresh)
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


def _restored(damaged: DamagedJournal, journal: SqliteJournal, fetch: Fetch | None) -> list[Restored]:
    """Put all that is whole into a new journal."""
    restored = (_restore(it, damaged, journal, fetch) for it in damaged.ids)
    return sorted((it for it in restored if it is not None), key=lambda it: it.study_id)


def _nothing_whole(path: Path, lost: Sequence[Lost]) -> JournalError:
    """Return the error for a journal of which nothing can be restored. It stays as it is."""
    told = "; ".join(f"{it.study_id}: {it.reason}" for it in lost) or "no study in it can be read"
    return JournalError(
        f"journal {path}: nothing in it is whole ({told}): --mirror restores studies of SageMaker jobs; for new "
        "studies, name another journal (--journal)"
    )


def _restore(study_id: str, damaged: DamagedJournal, journal: SqliteJournal, fetch: Fetch | None) -> Restored | None:
    """Put a study into a new journal; return None if nothing of it is whole."""
    salvaged = damaged.salvaged(study_id)
    if study_id in damaged.explained:
        return None
    if fetch is not None and not (salvaged is not None and salvaged.whole):
        try:
            log = fetch(journal, study_id)
        except ByohpoError as error:
            _logger.warning("study %s cannot be restored from its mirror: %s", study_id, error)
            log = None
        if log is not None and (salvaged is None or log.last() + 1 >= len(salvaged.events)):
            return Restored(log.name, study_id, whole=False, count=log.last() + 1, mirrored=True)
        if log is not None:
            journal.forget(log)
    if salvaged is None:
        return None
    name = journal.take(salvaged.record, salvaged.events).name
    return Restored(name, study_id, whole=salvaged.whole, count=len(salvaged.events))


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
