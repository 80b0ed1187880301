"""A request to the driver of a study, in whatever process, to end the study: a file beside the journal."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from byohpo_core import files


@attrs.define(eq=False)
class StopFile:
    """The file that is there while somebody asks a study's driver to end the study.

    A driver obeys a request that is made while it holds the lock. It removes the file at its beginning if that was
    there before it had the lock, and at its end if it has obeyed. Any other file stays: whoever made it, and sees that
    the driver is gone or that the file is, makes it again or ends the study.
    """

    path: Path
    shared: bool
    """Whether the file is for the user's group too."""
    _obeyed: bool = False

    def make(self) -> None:
        """Make the request. If it was made before, it is a new one."""
        descriptor = files.open_file(self.path, os.O_WRONLY | os.O_CREAT, shared=self.shared)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)

    def is_made(self) -> bool:
        """True if there is a request. A driver that asks obeys it."""
        self._obeyed = os.path.lexists(self.path)
        return self._obeyed

    def seen(self) -> tuple[int, int] | None:
        """Return what identifies the request; None if there is none."""
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def heeded(self, earlier: tuple[int, int] | None) -> Iterator[None]:
        """Begin and end a driver's work; *earlier* is the request that was seen before it had the lock."""
        self._obeyed = False
        if earlier is not None and self.seen() == earlier:
            self.path.unlink(missing_ok=True)
        try:
            yield
        finally:
            if self._obeyed:
                self.path.unlink(missing_ok=True)
