"""Which regular expression finds which metric, and the precision that SageMaker keeps."""

import re
import struct
from collections.abc import Sequence

from byohpo_core.errors import InvalidInput

FLOAT = r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:inf(?:inity)?|nan))"
"""Matches every float that Python prints."""
MAX_METRICS = 40
MAX_METRIC_NAME = 255
MAX_REGEX = 500


def default_regex(metric: str) -> str:
    """Return a regex that finds `metric=0.5` or `metric: 0.5` in a log, but not at the end of a longer name."""
    return rf"(?<![\w.:/-]){re.escape(metric)}\s*[=:]\s*({FLOAT})"


def compile_metrics(definitions: Sequence[tuple[str, str]]) -> dict[str, re.Pattern[str]]:
    """Compile metric definitions, by name; raise `InvalidInput` for those that SageMaker would refuse."""
    if len(definitions) > MAX_METRICS:
        raise InvalidInput(f"{len(definitions)} metric definitions; SageMaker takes at most {MAX_METRICS}")
    compiled: dict[str, re.Pattern[str]] = {}
    for name, regex in definitions:
        if not 1 <= len(name) <= MAX_METRIC_NAME:
            raise InvalidInput(f"the metric name {name!r} must have 1 to {MAX_METRIC_NAME} characters")
        if not 1 <= len(regex) <= MAX_REGEX:
            raise InvalidInput(f"the regex of metric {name!r} must have 1 to {MAX_REGEX} characters")
        try:
            pattern = re.compile(regex)
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidInput(f"the regex {regex!r} of metric {name!r} does not compile: {error}") from error
        if pattern.groups < 1:
            raise InvalidInput(f"the regex {regex!r} of metric {name!r} has no group: put the number in parentheses")
        if name in compiled:
            raise InvalidInput(f"the metric {name!r} is defined twice")
        compiled[name] = pattern
    return compiled


def as_float32(value: float) -> float:
    """Round a metric to single precision, as SageMaker stores it."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return rounded
