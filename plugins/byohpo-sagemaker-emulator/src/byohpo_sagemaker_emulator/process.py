"""The process of one container, and its whole process group."""

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
    """A running process. *hear* is called with each line that it prints, in another thread.

    Raises JobError if the command cannot be started.
    """

    def __init__(
        self, command: Sequence[str], where: Path | None, variables: Mapping[str, str], hear: Callable[[bytes], None]
    ) -> None:
        self.last_line = ""
        self._hear = hear
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own code
                command,
                cwd=where,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
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
        _signal_group(self._process.pid, signal.SIGKILL)  # end also the processes that it has started
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
