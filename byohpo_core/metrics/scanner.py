"""Find the metrics of one job in its log, line by line, while the log grows."""

import math
import re
import time
from collections import deque
from collections.abc import Mapping

from byohpo_core.logger import logger as _logger
from byohpo_core.metrics.definitions import as_float32
from byohpo_core.metrics.harmless import LONGEST
from byohpo_core.metrics.matching import TooSlow, spans

_MOST_SKIPPED = 3


class MetricScanner:
    r"""Find metrics in a log as it grows. Every match is a point; the last one is the final value.

    Of a line, the first 16 KiB are searched; `\n`, `\r` or both end it. A line on which a regular expression takes
    longer than a second is skipped, and the third time the metric is given up: it then counts as not printed. *job*
    is the job's name in the warning of it. Jobs that share *told*, a set of metrics, warn of each metric once.
    """

    def __init__(
        self, metrics: Mapping[str, re.Pattern[str]], job: str = "a job", told: set[str] | None = None
    ) -> None:
        self.counts = dict.fromkeys(metrics, 0)
        self.final: dict[str, float] = {}
        self._metrics = [*metrics.items()]
        self._job = job
        self._told = set() if told is None else told
        self._skipped: dict[str, list[int]] = {}
        """The numbers of the lines on which a metric's regular expression took too long."""
        self._rest = bytearray()
        """The beginning of the line that has not ended yet."""
        self._is_cut = False
        """Whether that line is longer than `_rest`."""
        self._cut_lines = 0
        self._number = 1
        self._lines: deque[tuple[int, str, bool]] = deque()
        """Whole lines that are not searched yet: the number, the text, and whether its end is missing."""
        self._next = 0
        """The metric for which the first of these lines is searched next."""

    @property
    def is_behind(self) -> bool:
        """Whether whole lines were fed that are not searched yet."""
        return bool(self._lines)

    @property
    def trouble(self) -> str | None:
        """Why this log may hold a metric that was not found; None if there is no reason."""
        told = [
            f"the regex of {name!r} took over a second on line {', '.join(map(str, lines))} of its log"
            + (" and was given up" if len(lines) >= _MOST_SKIPPED else "")
            for name, lines in self._skipped.items()
        ]
        if self._cut_lines:
            told.append(f"{self._cut_lines} lines of its log are longer than the {LONGEST} bytes that are searched")
        return "; ".join(told) or None

    def feed(self, log: bytes, *, ended: bool = False, seconds: float = math.inf) -> dict[str, tuple[int, list[float]]]:
        """Return new points by metric: (index of the first, values).

        An incomplete last line is kept until the rest of it arrives or the log has *ended*. Lines for which the time
        is not enough are searched by the next call.
        """
        for line in log.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            self._is_cut |= len(self._rest) + len(text) > LONGEST
            self._rest += text[: LONGEST - len(self._rest)]
            if len(text) < len(line):
                self._end_line()
            self._number += line.endswith(b"\n")
        if ended:
            self._end_line()
        return self._search(time.monotonic() + seconds)

    def _end_line(self) -> None:
        if self._rest:
            self._lines.append((self._number, self._rest.decode("utf-8", errors="replace"), self._is_cut))
            self._cut_lines += self._is_cut
        self._rest.clear()
        self._is_cut = False

    def _search(self, deadline: float) -> dict[str, tuple[int, list[float]]]:
        """Search the waiting lines, at least the first of them for one metric."""
        points: dict[str, tuple[int, list[float]]] = {}
        while self._lines:
            number, line, is_cut = self._lines[0]
            while self._next < len(self._metrics):
                name, pattern = self._metrics[self._next]
                if len(self._skipped.get(name, ())) < _MOST_SKIPPED:
                    try:
                        found = spans(pattern, line)
                    except TooSlow:
                        self._skip(name, number)
                        found = []
                    for start, end in found:
                        if not (is_cut and end == len(line)):  # a number that is cut would be another number
                            self._add(name, line[max(0, start) : max(0, end)], points)
                self._next += 1
                if time.monotonic() >= deadline:
                    return points
            self._lines.popleft()
            self._next = 0
        return points

    def _skip(self, name: str, number: int) -> None:
        lines = self._skipped.setdefault(name, [])
        lines.append(number)
        if len(lines) == _MOST_SKIPPED:
            self.final.pop(name, None)
        if name not in self._told:
            self._told.add(name)
            _logger.warning(
                "the regex of metric %r took longer than a second on line %d of %s, so this line is skipped; at the "
                "third such line of a job the metric counts as not printed",
                *(name, number, self._job),
            )

    def _add(self, name: str, captured: str, points: dict[str, tuple[int, list[float]]]) -> None:
        try:
            value = as_float32(float(captured))
        except ValueError:
            return
        points.setdefault(name, (self.counts[name], []))[1].append(value)
        self.counts[name] += 1
        self.final[name] = value
