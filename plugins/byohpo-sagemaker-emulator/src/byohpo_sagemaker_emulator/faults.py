"""What goes wrong, and when: a seeded plan that no patient client can fail on."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Self

import attrs

CALL_KINDS = ("throttle", "server_error", "timeout", "reset")
"""Hit a call to SageMaker, Logs or S3. A timeout is answered by nobody, and yet takes effect."""
WINDOW_KINDS = ("expired", "quota")
"""Last for a while: the credentials have expired; there is no instance left."""
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
"""Befall a job. Spot interruptions befall those that asked for spot instances."""
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
"""How often the same call, or another attempt at the same job, is hit before it gets through."""
_REST = 5
"""A window stays shut for this many times its length."""
_SENSIBLE = {**dict.fromkeys(CALL_KINDS, (0.02, 0.15)), **dict.fromkeys(WINDOW_KINDS, (0.005, 0.02))}


def _actions(given: Collection[str]) -> Collection[str]:
    for action in given:
        if ":" not in action:
            raise ValueError(f"{action!r} is no IAM action such as sagemaker:CreateTrainingJob")
    return given


Listed = Collection[str] | Callable[[str], bool]
"""Names, or a function that tells whether a name is meant."""


@attrs.define(eq=False)
class _Order:
    """A fault that a test asks for."""

    kind: str
    operation: str | None
    times: int


def _rates(given: Mapping[str, float] | None) -> dict[str, float]:
    rates = dict(given or {})
    for kind, rate in rates.items():
        if kind not in Faults.KINDS:
            raise ValueError(f"there is no fault {kind!r}; there are {', '.join(sorted(Faults.KINDS))}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate {rate} of fault {kind!r} is not between 0 and 1")
    return rates


def _seconds(given: Mapping[str, float]) -> dict[str, float]:
    if unknown := given.keys() - _SECONDS:
        raise ValueError(f"the faults {', '.join(sorted(unknown))} last no time; {', '.join(_SECONDS)} do")
    return {**_SECONDS, **given}


@attrs.define(eq=False, kw_only=True)
class Faults:
    """A plan of faults; the same seed and the same calls in the same order give the same ones."""

    KINDS = frozenset(CALL_KINDS + WINDOW_KINDS + JOB_KINDS)

    seed: int = attrs.field(default=0, kw_only=False)
    rates: dict[str, float] = attrs.field(default=None, converter=_rates, kw_only=False)
    """Probability by kind: of a call, or of a job."""
    seconds: dict[str, float] = attrs.field(factory=dict, converter=_seconds)
    """How long a kind lasts, or for `spot` how long the container trains before it is interrupted."""
    roles_refused: Listed = ()
    images_missing: Listed = ()
    denied: Collection[str] = attrs.field(default=(), converter=_actions)
    """IAM actions, such as `sagemaker:CreateTrainingJob`, that the user has no permission for."""
    hits: Counter[str] = attrs.field(factory=Counter, init=False)
    """How often each kind has struck."""
    _randoms: dict[str, random.Random] = attrs.field(factory=dict, init=False)
    _in_a_row: dict[str, int] = attrs.field(factory=lambda: defaultdict(int), init=False)
    _windows: dict[str, float] = attrs.field(factory=dict, init=False)
    _ordered: list[_Order] = attrs.field(factory=list, init=False)

    @classmethod
    def draw(cls, seed: int, *, at_least: int = 3) -> Self:
        """A random plan of some kinds, with rates that a study can live with."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        kinds = sorted(cls.KINDS)
        drawn = chance.sample(kinds, chance.randint(at_least, len(kinds)))
        return cls(seed, {kind: chance.uniform(*_SENSIBLE.get(kind, (0.05, 0.3))) for kind in sorted(drawn)})

    def inject(self, kind: str, operation: str | None = None, *, times: int = 1) -> None:
        """Let a kind strike the next calls (of one operation), or the next jobs, whatever the rates say."""
        _rates({kind: 1})
        self._ordered.append(_Order(kind, operation, times))

    def of_call(self, operation: str, subject: str, now: float) -> str | None:
        """The fault that strikes this call, if any."""
        if self._window("expired", operation, now):
            return "expired"
        if operation == "CreateTrainingJob" and self._window("quota", operation, now):
            return "quota"
        return self._strike(CALL_KINDS, operation, f"{operation} {subject}")

    def of_job(self, name: str, *, spot: bool) -> frozenset[str]:
        """What befalls a new job. Names that differ in their last number are taken for attempts at one job."""
        kinds = [kind for kind in JOB_KINDS if spot or kind != "spot"]
        lethal = self._strike(("capacity", "internal"), None, name.rpartition("-")[0] or name)
        struck = {kind for kind in kinds if kind not in ("capacity", "internal", "nan") and self._drawn(kind, None)}
        lost = self._strike(("nan",), None, "nan")
        # Those that may come too late to show are counted when they do.
        self.hits.update(struck - {"spot", "metric_missing"})
        return frozenset(struck | {kind for kind in (lethal, lost) if kind})

    def is_expired(self, now: float) -> bool:
        """Whether the credentials are refused."""
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
            self._randoms[kind] = random.Random(f"{self.seed} {kind}")  # noqa: S311 - no secret
        return self._randoms[kind].random() < rate


def listed(name: str, names: Listed) -> bool:
    """Whether a name is meant."""
    return names(name) if callable(names) else name in names
