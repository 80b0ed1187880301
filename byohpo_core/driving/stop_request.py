"""Requests to end a study and stop its jobs, and what becomes of one that a driver does not read any more.

A driver reads requests while it works, but not while it leaves, which may take as long as a call that is under way. So
whoever asks waits some seconds: until the driver obeys or, if it leaves without that, to end the study in its place.
"""

import threading
from contextlib import ExitStack
from time import monotonic, sleep

import attrs

from byohpo_core.errors import StudyBusy, StudyLocked
from byohpo_core.journal.log import EventLog
from byohpo_core.study.events import EventKind

PATIENCE_SECONDS = 10.0
"""How long to wait for a driver that neither obeys nor leaves."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 1.0


@attrs.define(eq=False)
class StopRequest:
    """A request to the call that has the turn of a tuner. Any thread may make it."""

    reason: str | None = None
    _thread: int = attrs.field(factory=threading.get_ident, init=False)
    """The thread of that call."""
    _read: bool = attrs.field(default=False, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _settled: threading.Event = attrs.field(factory=threading.Event, init=False)

    def make(self) -> None:
        """Ask for it, in the words of `stop_tuning_job`."""
        self.reason = "stopped by stop_tuning_job"

    def is_made_in_time(self) -> bool:
        """Ask for it, and wait for the call; False if that has ended without reading it."""
        self.make()
        if threading.get_ident() != self._thread:  # else a plugin asks, and its driver reads it right after
            self._settled.wait(PATIENCE_SECONDS)
        return self._read or not self._over

    def read(self) -> str | None:
        """Return the reason to the driver, which obeys it; None if there is no request."""
        if self.reason is not None:
            self._read = True
            self._settled.set()
        return self.reason

    def close(self) -> None:
        """The call has ended."""
        self._over = True
        self._settled.set()


def held_or_asked(stack: ExitStack, log: EventLog, *, take_over: bool) -> bool:
    """Hold a study until the *stack* is closed. Return False if its driver was asked to end it instead.

    What a driver reads depends on when the request is made:

    - before it has the lock: it takes the request for one to an earlier driver, and removes it;
    - from then on until its last step: it obeys;
    - while it leaves, or after that: it reads nothing more.

    So the request is made again after each try to hold the study, until the journal tells that the driver obeys.
    """
    deadline, pause = monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
    while True:
        try:
            stack.enter_context(log.hold(take_over=take_over))
            return True
        except StudyBusy as error:
            log.request_stop()
            if isinstance(error, StudyLocked):
                raise
        if _is_stopping(log) or monotonic() > deadline:
            return False
        sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_stopping(log: EventLog) -> bool:
    """True if the study is ending for good, and its jobs with it."""
    stopped = log.last(EventKind.Stopped)
    if stopped <= log.last(EventKind.Epoch):
        return False
    body = log.event(stopped).body
    return body["reason"] is not None and body.get("jobs") is True
