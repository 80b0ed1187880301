"""What commands print: text is shown, never obeyed by a terminal, and never fails to be encoded."""

import os
import shutil
import sys
import textwrap
from typing import TextIO

from byohpo_core.errors import ByohpoError, encodable, shown

COLUMNS = 80


def open_closed_streams() -> None:
    """Open the standard streams that are closed, lest a file that is opened later, such as a journal, take their place.

    What is written to them is lost.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def say(line: str) -> None:
    """Print one line."""
    write(shown(line) + "\n")


def say_error(line: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(shown(line, sys.stderr.encoding) + "\n")


def write(text: str) -> None:
    """Print text that is safe already, or is to be left as it is."""
    try:
        sys.stdout.write(encodable(text, sys.stdout.encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up(sys.stdout)
        raise ByohpoError(f"standard output cannot be written: {error.strerror}") from error


def give_up(stream: TextIO) -> None:
    """Lose what is still to be written, so that Python does not try it again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say_columns(table: list[list[str]]) -> None:
    """Print aligned columns, one unwrapped line a row."""
    lines = [[shown(cell) for cell in line] for line in table]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say_wrapped(text: str, *, first: str = "", rest: str = "") -> None:
    """Print text in lines of at most 80 columns: *first* begins the first line, *rest* the others."""
    for line in textwrap.wrap(
        shown(text), COLUMNS, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    ):
        say(line)


class Transient:
    """A line that is written over by the next one, on a terminal; elsewhere it is not shown."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        """Show this line in place of the last one."""
        if self.terminal:
            room = shutil.get_terminal_size((COLUMNS, 24)).columns - 1
            line = shown(text)[:room]
            write(f"\r{line.ljust(min(self._width, room))}")
            self._width = len(line)

    def clear(self) -> None:
        """Leave no line."""
        self.show("")
        if self.terminal:
            write("\r")
