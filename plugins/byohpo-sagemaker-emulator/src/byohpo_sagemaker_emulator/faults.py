"""A seeded plan of faults. A client that retries often enough gets through any plan."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Self

import attrs

CALL_KINDS = ("throttle", "server_error", "timeout", "reset")
"""Faults of single calls to SageMaker, Logs or S3. A call that times out takes effect but gets no answer."""
WINDOW_KINDS = ("expired", "quota")
"""Faults that last for some time: the credentials have expired; no instance is left in the quota."""
JOB_KINDS = (
    "capacity",
    "internal",
    "spot",
    "search_lag",
    "slow_start",
    "slow_stop",
    "log_delay",
    "metric_missing",
    "nan",
)
"""Faults of single jobs. Only jobs that ask for spot instances are interrupted."""
_SECONDS = {
    "expired": 60.0,
    "quota": 60.0,
    "spot": 1.0,
    "search_lag": 5.0,
    "slow_start": 60.0,
    "slow_stop": 60.0,
    "log_delay": 30.0,
}
_IN_A_ROW = 2
"""How many times in a row a fault may hit the same call, or attempts at the same job."""
_REST = 5
"""After a window, the next one may open only after this many times its length."""
_SENSIBLE = {**dict.fromkeys(CALL_KINDS, (0.02, 0.15)), **dict.fromkeys(WINDOW_KINDS, (0.005, 0.02))}


def _actions(given: Collection[str]) -> Collection[str]:
    for action in given:
        if ":" not in action:
            raise ValueError(
                f"denied contains {action!r}, which is not an IAM action such as 'sagemaker:CreateTrainingJob'"
            )
    return given


Listed = Collection[str] | Callable[[str], bool]
"""A collection of names, or a function that is true for the names that are meant."""


@attrs.define(eq=False)
class _Order:
    """A fault that a test has injected, for the next *times* calls or jobs."""

    kind: str
    operation: str | None
    times: int


def _rates(given: Mapping[str, float] | None) -> dict[str, float]:
    rates = dict(given or {})
    for kind, rate in rates.items():
        if kind not in Faults.KINDS:
            raise ValueError(f"unknown fault {kind!r}; use one of {', '.join(sorted(Faults.KINDS))}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of fault {kind!r} is {rate}, but must be between 0 and 1")
    return rates


def _seconds(given: Mapping[str, float]) -> dict[str, float]:
    if unknown := given.keys() - _SECONDS:
        raise ValueError(f"seconds cannot be set for {', '.join(sorted(unknown))}, only for {', '.join(_SECONDS)}")
    return {**_SECONDS, **given}


@attrs.define(eq=False, kw_only=True)
class Faults:
    """A plan of faults. The same seed and the same calls in the same order give the same faults.

    Raises ValueError for an unknown kind, a rate outside of [0, 1], seconds for a kind that has no duration, or a
    denied action that is not of the form `service:Action`.
    """

    KINDS = frozenset(CALL_KINDS + WINDOW_KINDS + JOB_KINDS)

    seed: int = attrs.field(default=0, kw_only=False)
    rates: dict[str, float] = attrs.field(default=None, converter=_rates, kw_only=False)
    """Probability of each kind, per call or per job."""
    seconds: dict[str, float] = attrs.field(factory=dict, converter=_seconds)
    """How long each kind lasts; for `spot`, how long the container trains before it is interrupted."""
    roles_refused: Listed = ()
    """ARNs of roles that SageMaker may not assume."""
    images_missing: Listed = ()
    """URIs of training images that do not exist."""
    denied: Collection[str] = attrs.field(default=(), converter=_actions)
    """IAM actions, such as `sagemaker:CreateTrainingJob`, that the caller may not use."""
    hits: Counter[str] = attrs.field(factory=Counter, init=False)
    """How often each kind has occurred."""
    _randoms: dict[str, random.Random] = attrs.field(factory=dict, init=False)
    _in_a_row: dict[str, int] = attrs.field(factory=lambda: defaultdict(int), init=False)
    _windows: dict[str, float] = attrs.field(factory=dict, init=False)
    _ordered: list[_Order] = attrs.field(factory=list, init=False)

    @classmethod
    def draw(cls, seed: int, *, at_least: int = 3) -> Self:
        """Draw a random plan of *at_least* this many kinds, with rates under which a study can still finish."""
        chance = random.Random(seed)  # noqa: S311 - not for security
        kinds = sorted(cls.KINDS)
        drawn = chance.sample(kinds, chance.randint(at_least, len(kinds)))
        return cls(seed, {kind: chance.uniform(*_SENSIBLE.get(kind, (0.05, 0.3))) for kind in sorted(drawn)})

    def inject(self, kind: str, operation: str | None = None, *, times: int = 1) -> None:
        """Hit the next *times* calls (of *operation*, if given) or jobs with a fault, whatever the rates are."""
        _rates({kind: 1})
        self._ordered.append(_Order(kind, operation, times))

    def of_call(self, operation: str, subject: str, now: float) -> str | None:
        """The fault that hits this call, or None. *now* is in seconds since 1970."""
        if self._window("expired", operation, now):
            return "expired"
        if operation == "CreateTrainingJob" and self._window("quota", operation, now):
            return "quota"
        return self._strike(CALL_KINDS, operation, f"{operation} {subject}")

    def of_job(self, name: str, *, spot: bool) -> frozenset[str]:
        """The faults of a new job. Names that differ only after the last hyphen count as attempts at the same job."""
        kinds = [kind for kind in JOB_KINDS if spot or kind != "spot"]
        lethal = self._strike(("capacity", "internal"), None, name.rpartition("-")[0] or name)
        struck = {kind for kind in kinds if kind not in ("capacity", "internal", "nan") and self._drawn(kind, None)}
        lost = self._strike(("nan",), None, "nan")
        # These two may never show, so they are counted when they do.
        self.hits.update(struck - {"spot", "metric_missing"})
        return frozenset(struck | {kind for kind in (lethal, lost) if kind})

    def is_expired(self, now: float) -> bool:
        """Whether a window of expired credentials is open."""
        return now < self._windows.get("expired", now)

    def _strike(self, kinds: Collection[str], operation: str | None, subject: str) -> str | None:
        drawn = [kind for kind in kinds if self._drawn(kind, operation)]
        if not drawn or self._in_a_row[subject] >= _IN_A_ROW:
            self._in_a_row.pop(subject, None)
            return None
        self._in_a_row[subject] += 1
        self.hits[drawn[0]] += 1
        return drawn[0]

    def _window(self, kind: str, operation: str, now: float) -> bool:
        length = self.seconds[kind]
        end = self._windows.get(kind)
        if end is not None and now < end:
            self.hits[kind] += 1
            return True
        if self._drawn(kind, operation) and (end is None or now >= end + _REST * length):
            self._windows[kind] = now + length
            self.hits[kind] += 1
            return True
        return False

    def _drawn(self, kind: str, operation: str | None) -> bool:
        for order in self._ordered:
            if order.kind == kind and order.operation in (None, operation):
                order.times -= 1
                if order.times == 0:
                    self._ordered.remove(order)
                return True
        rate = self.rates.get(kind, 0.0)
        if rate == 0:
            return False
        if kind not in self._randoms:
            self._randoms[kind] = random.Random(f"{self.seed} {kind}")  # noqa: S311 - not for security
        return self._randoms[kind].random() < rate


def listed(name: str, names: Listed) -> bool:
    """Whether *names* contains a name, or is true for it."""
    return names(name) if callable(names) else name in names
