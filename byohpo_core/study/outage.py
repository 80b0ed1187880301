"""Tell an outage of the infrastructure from the bad luck of one trial."""

import attrs

_FAILURES = 3
_TRIALS = 2


@attrs.define
class Outage:
    """The infrastructure's failures in a row: no job that was started after the first of them has worked yet.

    Three failures, of at least two trials, are an outage.
    """

    since: float | None = None
    """When the outage began, or None if there is none."""
    last: float = 0.0
    """When the infrastructure failed last."""
    reason: str | None = None
    """Why it failed last."""
    probes: int = 0
    """How many jobs that were started during the outage have failed."""
    _failures: int = 0
    _first: float = 0.0
    _trials: frozenset[int] = frozenset()

    def includes(self, number: int) -> bool:
        """True if one more failure, of this trial, is part of an outage."""
        return self._failures + 1 >= _FAILURES and len(self._trials | {number}) >= _TRIALS

    def fail(self, number: int, started: float, now: float, reason: str) -> None:
        """Count a failure of a trial's job, which was started at the time *started*."""
        if not self._failures:
            self._first = now
        if self.since is not None:
            self.probes += started > self.since
        elif self.includes(number):
            self.since = now
        self._failures += 1
        self._trials |= {number}
        self.last, self.reason = now, reason

    def ends_with(self, started: float) -> bool:
        """True if there are failures, and a job that was started at this time shows that they are over if it works."""
        return self._failures > 0 and started >= self._first
