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
def check_jobs():
    """The function that compares the jobs of an account with a study's events."""
    return compare


def placeless(events):
    """The jobs that were given up as their study was over, before the account had a place for them."""
    last, found = {}, set()
    for event in events:
        if event.kind == "intended":
            last[event.body["trial"]] = event.body["job"]
        elif event.kind == "retried" and event.body["reason"].startswith("it had no place"):
            found.add(last[event.body["trial"]])
    return found


def compare(events, jobs):
    """A job for every attempt that was intended and no other; a further attempt only after a failure that passes."""
    given_up = placeless(events)
    intended = [event.body for event in events if event.kind == "intended" and event.body["job"] not in given_up]
    names = [body["job"] for body in intended]
    assert len(set(names)) == len(names)
    assert set(jobs) == set(names)
    assert all(job.status in ("Completed", "Failed", "Stopped") for job in jobs.values())
    assert all(job.processes_started <= 1 for job in jobs.values())
    finished = Counter(event.body["trial"] for event in events if event.kind == "finished")
    assert set(finished.values()) == {1}
    assert finished.keys() >= {body["trial"] for body in intended}
    last = {}
    for body in intended:
        job = jobs[body["job"]]
        attempt, earlier = last.get(body["trial"], (-1, None))
        assert body["attempt"] == attempt + 1
        if earlier is not None:
            assert earlier.reason.startswith(("CapacityError", "InternalServerError"))
            assert earlier.ended <= job.created
        last[body["trial"]] = (body["attempt"], job)


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


def pytest_sessionfinish(session):
    """A process of several hands its numbers over."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["counts"] = dict(COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """And the one that prints takes them."""
    COUNTS.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter):
    """Print the numbers."""
    if COUNTS:
        terminalreporter.section("faults")
    for what, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"{count:6}  {what}")
