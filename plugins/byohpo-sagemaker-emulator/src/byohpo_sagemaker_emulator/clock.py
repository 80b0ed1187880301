"""Two clocks: the machine's, and one that jumps."""

import time
from threading import Lock
from typing import Protocol


class Clock(Protocol):
    """What the emulator asks for the time; seconds since 1970."""

    def now(self) -> float: ...


class RealClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()


class VirtualClock:
    """A clock that stands still until somebody sleeps on it; several threads may."""

    def __init__(self, start: float = 1.8e9) -> None:
        self._now = start
        self._lock = Lock()

    def now(self) -> float:
        return self._now

    def sleep_until(self, time: float) -> None:
        """Jump to a time, never back."""
        with self._lock:
            self._now = max(self._now, time)

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        with self._lock:
            self._now += max(0.0, seconds)
