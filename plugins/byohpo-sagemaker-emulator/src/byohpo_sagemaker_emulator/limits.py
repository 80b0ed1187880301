"""How often one may call, and how many instances one may have."""

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs


@attrs.define(eq=False)
class Rates:
    """A token bucket per operation; `*` is for those that have no rate of their own."""

    calls_per_second: Mapping[str, float]
    _buckets: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False)

    def change(self, calls_per_second: Mapping[str, float]) -> None:
        """Set other rates, and fill every bucket."""
        self.calls_per_second = calls_per_second
        self._buckets.clear()

    def allow(self, operation: str, now: float) -> bool:
        """Whether there is a token for one more call."""
        rate = self.calls_per_second.get(operation, self.calls_per_second.get("*"))
        if rate is None:
            return True
        most = max(1.0, rate)
        tokens, last = self._buckets.get(operation, (most, now))
        tokens = min(most, tokens + (now - last) * rate)
        allowed = tokens > 1 - 1e-9  # what sums of binary fractions leave out
        self._buckets[operation] = (tokens - 1 if allowed else tokens, now)
        return allowed


@attrs.define(eq=False)
class Instances:
    """Instances in use, by type, and the most that there were at once."""

    in_use: Counter[str] = attrs.field(factory=Counter)
    peak: int = 0

    def take(self, instances: Iterable[tuple[str, int]]) -> None:
        for instance_type, number in instances:
            self.in_use[instance_type] += number
        self.peak = max(self.peak, self.in_use.total())

    def give_back(self, instances: Iterable[tuple[str, int]]) -> None:
        for instance_type, number in instances:
            self.in_use[instance_type] -= number
