"""Match a regular expression on one line: in this process if that is sure to be fast, else in a helper process."""

import atexit
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from byohpo_core.errors import ByohpoError
from byohpo_core.metrics.harmless import harmless_length

LINE_SECONDS = 1.0
"""How long one match may take in the helper process."""
_ANSWER_SECONDS = 1.25
"""How long this process waits for an answer: a helper that is stopped or starved does not end itself."""
_START_SECONDS = 30.0
_HELPER = Path(__file__).with_name("helper.py")


class TooSlow(Exception):
    """The match took longer than it may, and the helper process was killed."""


def spans(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Return where the first group of each match is in a line; (-1, -1) if the group took no part in the match.

    Raises `TooSlow` after some `LINE_SECONDS`.
    """
    if len(text) <= harmless_length(pattern):
        return [match.span(1) for match in pattern.finditer(text)]
    return _helper.spans(pattern, text)


def end_helper() -> None:
    """End the helper process, if there is one; the next need starts another."""
    _helper.end()


class _Helper:
    """The one helper process of this process, started at need and used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def spans(self, pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
        regex, line = (it.encode("utf-8", "surrogatepass") for it in (pattern.pattern, text))
        request = b"%d %d %d\n%b%b" % (pattern.flags, len(regex), len(line), regex, line)
        with self._lock:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._start()
                answer = self._answer(request)
            except BaseException:  # Ctrl-C: an answer that nobody has read would be taken for the next one
                self._end()
                raise
            return [(start, end) for start, end in json.loads(answer)]

    def end(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._end()
        command = [sys.executable, "-I", "-S", str(_HELPER), str(LINE_SECONDS)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C on the terminal is for the driver
            )
        except OSError as error:
            raise ByohpoError(f"the helper process that matches metrics did not start: {error}") from error
        if not _read_line(self._answers, _START_SECONDS):
            raise ByohpoError("the helper process that matches metrics did not start")

    def _answer(self, request: bytes) -> bytes:
        with suppress(BrokenPipeError):  # it has just died, and gives no answer
            _write(self._requests, request)
        answer = _read_line(self._answers, _ANSWER_SECONDS)
        if not answer:
            raise TooSlow
        return answer

    @property
    def _requests(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process and self._process.stdin)

    @property
    def _answers(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process and self._process.stdout)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # waits, and closes the pipes
                pass


def _write(requests: IO[bytes], request: bytes) -> None:
    """Write all of a request, which fits into the empty pipe."""
    left = memoryview(request)
    while left:
        left = left[os.write(requests.fileno(), left) :]


def _read_line(answers: IO[bytes], seconds: float) -> bytes:
    """One line; empty if none comes within this time or the other end is closed."""
    deadline = time.monotonic() + seconds
    poll = select.poll()  # unlike `select`, for any number of open files
    poll.register(answers, select.POLLIN)
    line = b""
    while not line.endswith(b"\n"):
        readable = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        part = os.read(answers.fileno(), 65536) if readable else b""
        if not part:
            return b""
        line += part
    return line


_helper = _Helper()
atexit.register(end_helper)
