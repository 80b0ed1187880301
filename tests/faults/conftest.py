"""Counts what the fault runs did, and prints it at the end."""

import os
from collections import Counter

import pytest

COUNTS = Counter()


def pytest_collection_modifyitems(items):
    """Everything in this folder is a fault run."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker("faults")


@pytest.fixture(scope="session")
def long():
    """Whether this is the whole run, not a sample."""
    return os.environ.get("BYOHPO_FAULTS", "long") == "long"


@pytest.fixture(scope="session")
def counts():
    """What is printed at the end."""
    return COUNTS


def pytest_terminal_summary(terminalreporter):
    """Print the numbers."""
    if COUNTS:
        terminalreporter.section("faults")
    for what, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{count:6}  {what}")
