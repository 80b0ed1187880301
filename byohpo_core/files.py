"""Open, create and rename files safely: for their owner only, without following links, and durably.

Here is the one place where the modes of new files and folders stand. What is *shared* is for the owner's group too.
"""

import errno
import os
import shlex
import stat
from pathlib import Path
from typing import BinaryIO

from byohpo_core.errors import ByohpoError
from byohpo_core.logger import logger as _logger

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
"""Errors of a machine or a user that has too much open or running."""


def file_mode(*, shared: bool = False) -> int:
    """The mode of a new file."""
    return 0o660 if shared else 0o600


def folder_mode(*, shared: bool = False) -> int:
    """The mode of a new folder."""
    return 0o770 if shared else 0o700


def umask(*, shared: bool = False) -> int:
    """The umask that gives new files and folders these modes."""
    return 0o777 & ~folder_mode(shared=shared)


def open_file(path: str | os.PathLike[str], flags: int, *, shared: bool = False) -> int:
    """Open a file with the flags of `os.open`, and return its descriptor; a new one is for its owner only.

    Raises `ByohpoError` if it is a link or no plain file. Its folder may be reached through links.
    """
    is_new = check_file(path) is None
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, file_mode())
    except FileExistsError:
        raise
    except OSError as error:
        raise ByohpoError(f"{os.fspath(path)} cannot be opened: {error.strerror}") from error
    found = os.fstat(descriptor)
    if is_new and shared and found.st_uid == os.geteuid():
        os.fchmod(descriptor, file_mode(shared=True))
    warn_of_others(path, found, shared=shared)
    return descriptor


def check_file(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the state of a file, or None if there is none; raise `ByohpoError` if it is a link or no plain file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ByohpoError(f"{os.fspath(path)} cannot be opened: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise ByohpoError(f"{os.fspath(path)} is a symbolic link: name the file itself, or remove the link")
    if not stat.S_ISREG(found.st_mode):
        raise ByohpoError(f"{os.fspath(path)} is not a file: remove it, or choose another name")
    return found


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file of a job to read it. Never waits, whatever the job has put there, even at this moment.

    Raises `OSError` if it is a link, no plain file or not there. Its folder may be reached through links.
    """
    # Only the open file tells what it is: a name may lead to something else by the time that it is opened.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", os.fspath(path))
    return os.fdopen(descriptor, "rb")


def read_start(path: str | os.PathLike[str], most: int) -> bytes | None:
    """Return up to *most* bytes of a file of a job; None if it is a link or no plain file, or cannot be read.

    Raises `OSError` if it may be read later.
    """
    try:
        with open_plain(path) as file:
            return file.read(most)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
    return None


def warn_of_others(path: str | os.PathLike[str], found: os.stat_result, *, shared: bool = False) -> None:
    """Warn if others than a file's owner may write to it."""
    if found.st_mode & (stat.S_IWOTH if shared else stat.S_IWOTH | stat.S_IWGRP):
        _logger.warning("others may write to %s: chmod go-w %s", os.fspath(path), shlex.quote(os.fspath(path)))


def create_folder(path: Path, *, shared: bool = False) -> None:
    """Create a folder and its missing parents, for their owner only."""
    if path.is_dir():
        return
    create_folder(path.parent, shared=shared)
    try:
        path.mkdir(folder_mode())
        path.chmod(folder_mode(shared=shared))  # the umask may have taken bits away
    except FileExistsError:
        if not path.is_dir():
            raise


def rename(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a file or folder, over a file if there is one; the new name is on disk when this returns."""
    os.replace(source, target)  # noqa: PTH105
    sync_folder(target)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Write the names in a file's folder to disk."""
    _sync(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120


def sync_tree(folder: Path) -> None:
    """Write all files in a folder, and their names, to disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            if stat.S_ISREG(os.lstat(os.path.join(place, name)).st_mode):  # noqa: PTH118
                _sync(os.path.join(place, name))  # noqa: PTH118
        _sync(place)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
