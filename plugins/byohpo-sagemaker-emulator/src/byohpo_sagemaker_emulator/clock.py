"""Clocks: the machine's own, and a virtual one that moves only on request."""

import time
from threading import Lock
from typing import Protocol


class Clock(Protocol):
    """A clock that gives the time in seconds since 1970."""

    def now(self) -> float: ...


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


class VirtualClock:
    """A clock that moves only when `sleep` or `sleep_until` is called. It is thread-safe."""

    def __init__(self, start: float = 1.8e9) -> None:
        self._now = start
        self._lock = Lock()

    def now(self) -> float:
        return self._now

    def sleep_until(self, time: float) -> None:
        """Move the clock to a time in seconds since 1970; do nothing if that time has passed."""
        with self._lock:
            self._now = max(self._now, time)

    def sleep(self, seconds: float) -> None:
        """Move the clock ahead."""
        with self._lock:
            self._now += max(0.0, seconds)
