"""Allow one driver per study: a locked file between processes, and a registry inside a process."""

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from byohpo_core import files
from byohpo_core.errors import StudyBusy, StudyLocked

_driving: set[tuple[str, str]] = set()
_driving_lock = threading.Lock()


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
def held(lock: Path, study_id: str, *, take_over: bool) -> Iterator[None]:
    """Hold a study's lock as its only driver; raise `StudyBusy`, which names the holder, if it is taken."""
    with one_in_this_process(str(lock), study_id), _locked_file(lock, study_id, take_over=take_over):
        yield


@contextmanager
def _locked_file(path: Path, study_id: str, *, take_over: bool) -> Iterator[None]:
    host = socket.gethostname()
    # Only the driver may open this file: closing any descriptor of it would release the lock of the process.
    with os.fdopen(files.open_file(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+", encoding="utf-8") as file:
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
        _write_holder(file, f"process {os.getpid()} on {host}")
        try:
            yield
        finally:
            _write_holder(file, "")


_UNNAMED = "another process, which is just starting or ending"


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()


def _write_holder(file: IO[str], holder: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(holder)
    file.flush()
