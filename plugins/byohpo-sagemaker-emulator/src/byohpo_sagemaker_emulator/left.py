"""Read the files that a job has left in its folder, and nothing to which a link leads outside it."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import attrs

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_CHANGED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""Errors of opening a file that the job has deleted or replaced since it was listed."""


@attrs.frozen
class Left:
    """The files in one of a job's folders. A link counts as the file that it leads to, if that is in *base*."""

    base: Path
    """The real path of all that is the job's, as it was before the job ran."""
    folder: Path

    def files(self) -> list[Path]:
        """The plain files, sorted."""
        if not self.holds(self.folder):
            return []
        return sorted(file for file in self.folder.rglob("*") if file.is_file() and self.holds(file))

    def holds(self, path: Path) -> bool:
        """Whether a path leads to something in *base*."""
        return _real(path).is_relative_to(self.base)

    def open(self, file: Path) -> BinaryIO | None:
        """Open a file; None if the job has deleted it, or has put something else there. Never waits."""
        real = _real(file)
        if not real.is_relative_to(self.base):
            return None
        try:
            descriptor = _open_real(real)
        except OSError as error:
            if error.errno in _CHANGED:
                return None
            raise
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # `Path.resolve` raises an error for links in a circle


def _open_real(path: Path) -> int:
    """Open a file by a path of which no part is a link, or becomes one meanwhile."""
    folder = os.open(path.anchor, _FOLDER)
    try:
        for part in path.parts[1:-1]:
            above, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
            os.close(above)
        return os.open(path.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
