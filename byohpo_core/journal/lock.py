"""One driver of a study at a time: a locked file between processes, a registry inside one."""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from byohpo_core.errors import StudyBusy, StudyLocked

_driving: set[tuple[str, str]] = set()
_driving_lock = threading.Lock()


@contextmanager
def one_in_this_process(journal: str, study_id: str) -> Iterator[None]:
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
def held(lock: Path, study_id: str, *, take_over: bool) -> Iterator[None]:
    """Be the one driver of a study; raises `StudyBusy`, naming the holder."""
    with one_in_this_process(str(lock), study_id), _locked_file(lock, study_id, take_over=take_over):
        yield


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
