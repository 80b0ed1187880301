"""Metrics in a log: the expressions that find them, the scanner, and the precision that SageMaker keeps."""

import re
import struct
from collections.abc import Mapping, Sequence

from byohpo_core.errors import InvalidInput

FLOAT = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:inf(?:inity)?|nan))"
"""Matches every float that Python prints."""
MAX_METRICS = 40
MAX_METRIC_NAME = 255
MAX_REGEX = 500


def default_regex(metric: str) -> str:
    """What finds `metric=0.5` or `metric: 0.5` in a log, but not at the end of a longer name."""
    return rf"(?<![\w.:/-]){re.escape(metric)}\s*[=:]\s*({FLOAT})"


def compile_metrics(definitions: Sequence[tuple[str, str]]) -> dict[str, re.Pattern[str]]:
    """Metric definitions as compiled expressions; raises `InvalidInput` for what SageMaker would refuse."""
    if len(definitions) > MAX_METRICS:
        raise InvalidInput(f"{len(definitions)} metric definitions; at most {MAX_METRICS} are possible")
    compiled: dict[str, re.Pattern[str]] = {}
    for name, regex in definitions:
        if not 1 <= len(name) <= MAX_METRIC_NAME:
            raise InvalidInput(f"the metric name {name!r} must have 1 to {MAX_METRIC_NAME} characters")
        if not 1 <= len(regex) <= MAX_REGEX:
            raise InvalidInput(f"the regex of metric {name!r} must have 1 to {MAX_REGEX} characters")
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise InvalidInput(f"the regex {regex!r} of metric {name!r} does not compile: {error}") from error
        if pattern.groups < 1:
            raise InvalidInput(f"the regex {regex!r} of metric {name!r} has no group: put the number in parentheses")
        if name in compiled:
            raise InvalidInput(f"the metric {name!r} is defined twice")
        compiled[name] = pattern
    return compiled


def as_float32(value: float) -> float:
    """A metric as the service keeps it: in single precision."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return rounded


class MetricScanner:
    """Finds metrics in a log as it grows; every match is a point, the last one the final value."""

    def __init__(self, metrics: Mapping[str, re.Pattern[str]]) -> None:
        self._metrics = metrics
        self._rest = b""
        self.counts = dict.fromkeys(metrics, 0)
        self.final: dict[str, float] = {}

    def feed(self, log: bytes, *, ended: bool = False) -> dict[str, tuple[int, list[float]]]:
        """New points by metric: (index of the first, values). An unfinished last line waits for its end."""
        lines = (self._rest + log).split(b"\n")
        self._rest = b"" if ended else lines.pop()
        points: dict[str, tuple[int, list[float]]] = {}
        for line in lines:
            text = line.decode("utf-8", errors="replace")
            for name, pattern in self._metrics.items():
                for match in pattern.finditer(text):
                    self._add(name, match.group(1), points)
        return points

    def _add(self, name: str, captured: str | None, points: dict[str, tuple[int, list[float]]]) -> None:
        try:
            value = as_float32(float(captured or ""))
        except ValueError:
            return
        points.setdefault(name, (self.counts[name], []))[1].append(value)
        self.counts[name] += 1
        self.final[name] = value
