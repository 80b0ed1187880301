"""The process of one container, from its start to the end of all that it started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

from byohpo_sagemaker_emulator.artifacts import JobError

_LOOK_SECONDS = 0.05
_SAVE_SECONDS = 0.5


class Process:
    """A running process; *hear* gets each line that it prints."""

    def __init__(
        self, command: Sequence[str], where: Path | None, variables: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> None:
        self.last_line = ""
        self._hear = hear
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own code, no shell but what the request asks for
                command,
                cwd=where,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise JobError(f"ClientError: the container's command cannot be run: {error}") from error
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def code(self) -> int:
        """The exit code, as a shell tells it: 128 and its number for a signal."""
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def watch(
        self, why_end: Callable[[float], str | None], save: Callable[[], None], closing: Event, grace_seconds: float
    ) -> str:
        """Wait for the end, or bring it about: SIGTERM, and after the grace SIGKILL.

        *why_end* gets the seconds since the start and gives the reason to end the process, if there is one. *save* is
        called now and then. Returns that reason, or `ended`.
        """
        ending = self._wait(why_end, save, closing, grace_seconds)
        _signal_group(self._process.pid, signal.SIGKILL)  # a container's end is the end of all that it started
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
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
                _signal_group(self._process.pid, signal.SIGKILL)
            elif ending == "ended" and (why := why_end(now - began)):
                ending, deadline = why, now + grace_seconds
                _signal_group(self._process.pid, signal.SIGTERM)
            if now - saved > _SAVE_SECONDS:
                save()
                saved = now

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.last_line = line.decode("utf-8", errors="replace").strip() or self.last_line
            self._hear(line)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
