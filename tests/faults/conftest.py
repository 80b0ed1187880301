"""Counts what the fault runs did, and prints it at the end."""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

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


@pytest.fixture
def spread():
    """Call a function for each of many values, on both of two forked processes: the results, in order."""

    def call(function, values):
        with ProcessPoolExecutor(2, get_context("fork")) as processes:
            yield from processes.map(function, values)

    return call


@pytest.fixture
def quick_clients(monkeypatch):
    """Let botocore read each of its files once in a process, since every study makes clients of its own."""
    from botocore.loaders import JSONFileLoader

    load_file, loader = cache(JSONFileLoader.load_file), JSONFileLoader()
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: load_file(loader, path))


def pytest_terminal_summary(terminalreporter):
    """Print the numbers."""
    if COUNTS:
        terminalreporter.section("faults")
    for what, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{count:6}  {what}")
