"""What `byohpo check` prints, within 80 columns: the checks while they run, and what came of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from byohpo_core.cli.output import Transient, say, say_wrapped, write
from byohpo_core.testing.check import FAILED, NOT_APPLICABLE, PASSED, REMARK, Check, Result
from byohpo_core.testing.strength import Tally

_GROUP, _NAME = 9, 50
_PARTS = ("did", "seen", "expected", "mend")


class CheckReport:
    """Tells how a run of the kit goes on.

    On a terminal, one line shows the check that runs, and only what did not pass stays. Elsewhere each check is one
    line, whose beginning is written before the check runs, so that the last line names a check that never ended.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._line = Transient()
        self._begun = False
        self._first: dict[tuple[str | None, ...], str] = {}
        """The check that first saw something, by what it saw, expected and mends: one mistake may fail many."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and (self._begun or self._line.terminal):
            write("\n")  # the line that names the check stays

    def begins(self, check: Check) -> None:
        self._line.show(f"[{self._count + 1}/{self._total}] {check.group}: {check.name}")
        if not self._line.terminal:
            write(_row(check))
            self._begun = True

    def ended(self, result: Result) -> None:
        self._count += 1
        if self._line.terminal:
            if result.status == FAILED:
                self._line.clear()
                say(f"{_row(result.check)}{FAILED}")
        else:
            say(result.status if self._begun else f"{_row(result.check)}{result.status}")
            self._begun = False
        finding = dict(result.finding)
        if finding:
            seen = tuple(finding.get(part) for part in _PARTS[1:])
            first = self._first.setdefault(seen, result.check.name)
            if first != result.check.name:
                finding = {"did": finding.get("did", ""), "seen": f"the same as {first}"}
        for part in _PARTS:
            if finding.get(part):
                say_wrapped(finding[part], first=f"  {part:<8}  ", rest=12 * " ")

    def sum_up(self, name: str, results: Sequence[Result]) -> None:
        """Print what did not apply and why, the remarks, and one line about the whole."""
        self._line.clear()
        reasons = Counter(it.reason for it in results if it.status == NOT_APPLICABLE)
        for reason, count in reasons.items():
            say_wrapped(f"{count} not applicable: {reason}", rest="  ")
        remarks = [it for it in results if it.status == REMARK]
        if remarks:
            say("remarks, on what is allowed but unusual; they do not change the exit code:")
        for remark in remarks:
            say(f"  {_row(remark.check).rstrip()}")
            say_wrapped(remark.reason, first="    ", rest="    ")
        seconds, busy = sum(it.seconds for it in results), sum(it.processor_seconds for it in results)
        counts = Counter(it.status for it in results)
        told = ", ".join(f"{counts[it]} {it}" for it in (PASSED, REMARK, FAILED, NOT_APPLICABLE) if counts[it])
        say_wrapped(f"{name}: {len(results)} checks in {seconds:.0f} s, {busy:.0f} s of processor time: {told}")


def _row(check: Check) -> str:
    return f"{check.group:<{_GROUP}}  {check.name:<{_NAME}}  "


def show_strength(name: str, table: Mapping[str, Tally], shelf: Mapping[str, Mapping[str, Tally]]) -> None:
    """Print how often an algorithm beats random search, and below it the algorithms of the shelf, strongest first."""
    say("The probability to end with a better result than random search, which has 0.50:")
    lines = [["", *table], [name, *(_rounded(it.probability, it) for it in table.values())]]
    lines += [["  from", *(_rounded(it.interval[0], it) for it in table.values())]]
    lines += [["  to (95 %)", *(_rounded(it.interval[1], it) for it in table.values())]]
    for other in sorted(shelf, key=lambda it: -_mean(shelf[it])):
        lines.append([other, *(_rounded(tally.probability, tally) for tally in shelf[other].values())])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say(
            line[0].ljust(widths[0])
            + "".join(it.rjust(width + 2) for it, width in zip(line[1:], widths[1:], strict=True))
        )
    idle = [problem for problem, tally in table.items() if tally.seeds and tally.interval[0] <= Tally.EVEN]
    if idle:
        say_wrapped(f"not surely better than random search: {', '.join(idle)}", rest="  ")
    for problem, tally in table.items():
        if tally.trouble:
            say_wrapped(f"{problem}: {tally.trouble}", rest="  ")


def _rounded(value: float, tally: Tally) -> str:
    return f"{value:.2f}" if tally.seeds else "-"


def _mean(row: Mapping[str, Tally]) -> float:
    known = [tally.probability for tally in row.values() if tally.seeds]
    return sum(known) / max(1, len(known))
