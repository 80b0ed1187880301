"""Real time that never goes back and never jumps, whatever happens to the machine's clock."""

import time

_TICKING = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts on while the machine sleeps; where there is no such clock, one that stands still meanwhile."""


class SteadyClock:
    """Unix time as of its start, and from then on the seconds that have passed.

    It starts at the machine's time or at *earliest*, whichever is later. Setting the machine's clock changes nothing.
    """

    def __init__(self, earliest: float = 0.0) -> None:
        self._start = max(earliest, time.time())
        self._ticks = time.clock_gettime(_TICKING)

    def now(self) -> float:
        """Unix time in seconds."""
        return self._start + time.clock_gettime(_TICKING) - self._ticks

    def advance_to(self, earliest: float) -> None:
        """Tell no time before *earliest* or the machine's from now on: another driver starts."""
        self._start += max(0.0, max(earliest, time.time()) - self.now())

    def sleep_until(self, moment: float, /) -> None:
        """Wait until that time; return at once if it has passed."""
        time.sleep(max(0.0, moment - self.now()))
