"""The process of one container, and all that it starts."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import IO, cast

from byohpo_sagemaker_emulator import keeper
from byohpo_sagemaker_emulator.errors import JobError

_LOOK_SECONDS = 0.05
_SAVE_SECONDS = 0.5
_EVENT_BYTES = 256 * 1024
"""The size of the largest log event; a longer line becomes several."""
_DRAIN_SECONDS = 10.0


class Process:
    """A running process, whose parent is a `keeper`. *hear* is called with each line that it prints, in another thread.

    Raises JobError if the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], where: Path | None, variables: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> None:
        self.last_line = ""
        self._hear = hear
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own code
                [sys.executable, "-I", "-S", keeper.__file__, *command],
                cwd=where,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise JobError(f"ClientError: cannot run the container's command: {error}") from error
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def code(self) -> int:
        """The exit code in the convention of shells: 128 plus the signal's number if a signal ended the process."""
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def watch(
        self, why_end: Callable[[float], str | None], save: Callable[[], None], closing: Event, grace_seconds: float
    ) -> str:
        """Wait until the process ends. Return `ended`, or the reason why it was ended from here.

        *why_end* gets the seconds since the start and returns a reason to end the process, or None. With a reason, the
        process gets SIGTERM, and SIGKILL after *grace_seconds*. When *closing* is set, it gets SIGKILL at once. *save*
        is called every half second.
        """
        ending = self._wait(why_end, save, closing, grace_seconds)
        self._reader.join(_DRAIN_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            # A job that has killed its keeper may leave something behind that holds the output open.
            if pipe is not None and not self._reader.is_alive():
                pipe.close()
        return ending

    def _wait(
        self, why_end: Callable[[float], str | None], save: Callable[[], None], closing: Event, grace_seconds: float
    ) -> str:
        began = saved = time.monotonic()
        ending, deadline = "ended", float("inf")
        while True:
            try:
                self._process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            else:
                return ending
            if closing.is_set() or now > deadline:
                self._tell(signal.SIGKILL)
            elif ending == "ended" and (why := why_end(now - began)):
                ending, deadline = why, now + grace_seconds
                self._tell(signal.SIGTERM)
            if now - saved > _SAVE_SECONDS:
                save()
                saved = now

    def _tell(self, number: signal.Signals) -> None:
        """Send a signal to the command's process group; SIGKILL ends all that it has started, too."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has just ended
                os.write(self._process.stdin.fileno(), bytes([number]))

    def _read(self) -> None:
        output = cast("IO[bytes]", self._process.stdout)
        while line := output.readline(_EVENT_BYTES):
            self.last_line = line.decode("utf-8", errors="replace").strip() or self.last_line
            self._hear(line)
