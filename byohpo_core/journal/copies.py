"""Copy a journal that cannot be written to, to read it: SQLite must write beside a file even to read it."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from byohpo_core.errors import JournalError

_ATTEMPTS = 20
_PAUSE_SECONDS = 0.05
_TICK_SECONDS = 0.1
"""A file that is written twice within less may keep its time: clocks of file systems are coarse."""
_WAL_HEADER = 32
"""Bytes; they change whenever SQLite begins the file anew. In between it only grows."""


def is_read_only(path: Path) -> bool:
    """True if this process may not write to the file or beside it."""
    return not (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK))


def private_copy(path: Path) -> Path:
    """Copy a journal, with the commits that are still in files beside it, into a new folder for this user only."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="byohpo-")).absolute()
        copy = folder / "journal.db"
        for _ in range(_ATTEMPTS):
            before = _state(path)
            for suffix in ("", "-wal", "-journal"):
                _copy(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"))
            if _state(path) == before:
                return copy
            time.sleep(_PAUSE_SECONDS)  # a driver moves commits between the files just now
    except OSError as error:
        _remove(folder)
        raise JournalError(f"journal {path} is read-only and cannot be copied to read it: {error}") from error
    _remove(folder)
    raise JournalError(f"journal {path} is read-only and changes too fast to copy it: try again")


def last_change(path: Path) -> tuple[object, ...]:
    """Return what tells whether a journal was changed later: the sizes and times of its files.

    Of one that has changed just now, it equals nothing: the next commit may leave the same sizes and times.
    """
    found = [_stat(Path(f"{path}{suffix}")) for suffix in ("", "-wal", "-journal")]
    now = time.time()
    recent = any(it is not None and abs(now - it.st_mtime) < _TICK_SECONDS for it in found)
    return (*(it and (it.st_ino, it.st_size, it.st_mtime_ns) for it in found), now if recent else None)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    if source.exists():
        shutil.copyfile(source, target)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _state(path: Path) -> tuple[object, ...]:
    """What must be the same before and after a copy. The WAL may grow: a commit that is cut off is not read."""
    found = path.stat()
    journal = Path(f"{path}-journal")
    wal = Path(f"{path}-wal")
    return (
        (found.st_ino, found.st_size, found.st_mtime_ns),
        journal.stat().st_mtime_ns if journal.exists() else None,
        _beginning(wal) if wal.exists() else None,
    )


def _beginning(wal: Path) -> bytes:
    with wal.open("rb") as file:
        return file.read(_WAL_HEADER)
