"""Files and folders that only their owner can read, whatever the umask is."""

import errno
import os
import stat
from pathlib import Path

from byohpo_core.files import rename

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
"""Errors of a machine or a user that has too much open or running."""


def create_empty(path: Path) -> None:
    """Create a private file if it does not exist."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.fchmod(file, 0o600)
    os.close(file)


def write_durably(path: Path, text: str) -> None:
    """Write a private file atomically; it and its name are on disk when this returns."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    rename(temporary, path)


def read_small(path: Path, most: int = 65536) -> str | None:
    """Return the text of a regular file; None if it is something else, too long, not UTF-8 or cannot be read.

    Raises `OSError` if it may be read later.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - of a descriptor
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_size <= most:
                return file.read(most).decode()
    except UnicodeDecodeError:
        return None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
    return None


def make_private(folder: Path) -> None:
    """Take the rights of everybody else from all that is in a folder; symbolic links are not followed."""
    for place, _, names in os.walk(folder):
        Path(place).chmod(0o700)
        for path in (Path(place, name) for name in names):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700 | 0o600)


def local_path(place: str) -> Path:
    """The absolute path of a channel that is a folder or file on this machine."""
    return Path(place.removeprefix("file://")).absolute()
