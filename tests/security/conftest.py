"""Prints what docs/security.md promises, with the number of its tests that passed."""

import re
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/security.md"
_PATH = re.compile(r"`((?:tests|plugins)/[^`]+\.py)`")


def promises():
    """Each row of the page's tables that names tests, as its text and their paths."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and (paths := _PATH.findall(line)):
            who, *more, _ = (cell.strip() for cell in line.strip("|").split("|"))
            yield f"{who}{' may not ' if len(more) > 1 else ': '}{more[-1]}", paths


def pytest_terminal_summary(terminalreporter):
    """Print a line for each promise of which a test ran."""
    counts = Counter()
    for outcome in ("passed", "failed", "error"):
        counts.update((report.nodeid.partition("::")[0], outcome) for report in terminalreporter.stats.get(outcome, []))
    terminalreporter.section("promises of docs/security.md")
    for text, paths in promises():
        passed, *others = (sum(counts[path, outcome] for path in paths) for outcome in ("passed", "failed", "error"))
        if ran := passed + sum(others):
            terminalreporter.write_line(f"{passed:5} of {ran:<5} {text}")
