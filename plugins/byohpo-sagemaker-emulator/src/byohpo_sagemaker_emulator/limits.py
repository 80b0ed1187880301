"""Limits: calls per second, and instances in use."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs


@attrs.define(eq=False)
class Rates:
    """A token bucket per operation. The rate `*` is for operations without their own rate."""

    calls_per_second: Mapping[str, float]
    _buckets: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False)

    def change(self, calls_per_second: Mapping[str, float]) -> None:
        """Set other rates, and fill every bucket."""
        self.calls_per_second = calls_per_second
        self._buckets.clear()

    def allow(self, operation: str, now: float) -> bool:
        """Take a token for a call. Returns False if there is none."""
        rate = self.calls_per_second.get(operation, self.calls_per_second.get("*"))
        if rate is None:
            return True
        most = max(1.0, rate)
        tokens, last = self._buckets.get(operation, (most, now))
        tokens = min(most, tokens + (now - last) * rate)
        allowed = tokens > 1 - 1e-9  # allow for rounding errors in sums of fractions
        self._buckets[operation] = (tokens - 1 if allowed else tokens, now)
        return allowed


@attrs.define(eq=False)
class Instances:
    """Instances in use by type, and the largest number that was in use at once."""

    in_use: Counter[str] = attrs.field(factory=Counter)
    peak: int = 0

    def take(self, instances: Iterable[tuple[str, int]]) -> None:
        for instance_type, number in instances:
            self.in_use[instance_type] += number
        self.peak = max(self.peak, self.in_use.total())

    def give_back(self, instances: Iterable[tuple[str, int]]) -> None:
        for instance_type, number in instances:
            self.in_use[instance_type] -= number
