"""Allow one driver per study: a locked file between processes, and a registry inside a process."""

import fcntl
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from byohpo_core import files
from byohpo_core.errors import ByohpoError, StudyBusy, StudyLocked

_driving: set[tuple[str, str]] = set()
_driving_lock = threading.Lock()
_FLOCK, _KIND = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi4x", 0)
"""The C structure of a lock, and which of its fields is the kind; the others may be zero here."""


@contextmanager
def one_in_this_process(journal: str, study_id: str) -> Iterator[None]:
    """Raise `StudyBusy` for a second driver in this process. A POSIX lock does not exclude its own process."""
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
def held(lock: Path, study_id: str, *, take_over: bool, shared: bool = False) -> Iterator[None]:
    """Hold a study's lock as its only driver; raise `StudyBusy`, which names the holder, if it is taken."""
    with one_in_this_process(str(lock), study_id), _locked_file(lock, study_id, take_over, shared):
        yield


@contextmanager
def _locked_file(path: Path, study_id: str, take_over: bool, shared: bool) -> Iterator[None]:
    host = socket.gethostname()
    # Only the driver's process may hold this file open: closing any descriptor of it would release its lock.
    descriptor = files.open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, shared=shared)
    with os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyBusy(f"study {study_id!r} is being driven by {_holder(file) or _UNNAMED}") from error
        holder = _holder(file)
        if holder and not holder.endswith(f"on {host}") and not take_over:
            raise StudyLocked(
                f"study {study_id!r} was left locked by {holder}, which may still be running: "
                "if it is not, use --take-over (take_over=True)"
            )
        _write_holder(file, this_process())
        try:
            yield
        finally:
            _write_holder(file, "")


def this_process() -> str:
    """Return this process in the words of a lock."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def driver_in_this_process(journal: str, study_id: str) -> str | None:
    """Return this process if it drives the study, else None."""
    with _driving_lock:
        return this_process() if (journal, study_id) in _driving else None


def driver(lock: Path, study_id: str, *, shared: bool = False) -> str | None:
    """Tell which process on which host drives a study; None if none does. This takes no lock, and writes nothing."""
    with _driving_lock:  # nobody in this process takes the lock now, so closing the file releases none
        if (str(lock), study_id) in _driving:
            return this_process()
        if not os.path.lexists(lock):
            return None
        try:
            descriptor = files.open_file(lock, os.O_RDONLY, shared=shared)
            with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
                holder, held = _holder(file), _is_held(file)
        except ByohpoError:  # it is for its owner only
            return f"another user, unless {lock} was left behind" if lock.lstat().st_size else None
    if held:
        return holder or _UNNAMED
    if holder and not holder.endswith(f"on {socket.gethostname()}"):
        return f"{holder}, unless it has left its lock behind"
    return None


def _is_held(file: IO[Any]) -> bool:
    """True if another process has locked the file."""
    wanted = [0] * 5
    wanted[_KIND] = fcntl.F_WRLCK
    found = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, *wanted)))
    return bool(found[_KIND] != fcntl.F_UNLCK)


_UNNAMED = "another process, which is just starting or ending"
_LONGEST = 300
"""Characters of a holder. A file with more is no lock of ours, and only its beginning is told."""


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read(_LONGEST).strip()


def _write_holder(file: IO[str], holder: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(holder)
    file.flush()
