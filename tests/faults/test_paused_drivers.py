"""A driver is paused around the creation of a job; another takes over, and the first one wakes too late."""

import os
import random
import signal
import socket
import threading
from pathlib import Path

import pytest
from inside import SqliteLog
from sagemaker_account import METRICS, RANGES
from sagemaker_inside import Aws, Mirror
from sagemaker_machines import INDEX_LAG, Account, in_child, told, training_job, wait_for_stop

from byohpo_core import Tuner

JOBS = 5
SETTLED = 60.0
"""Seconds after which no job may run that no driver waits for."""


@pytest.fixture
def account(monkeypatch, quick_clients):
    """The account, and the environment that leads to it."""
    account = Account(rates={"search_lag": 0.3})
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    yield account
    account.close()


@pytest.fixture
def asleep():
    """The children that are paused; a test that fails ends them."""
    children = set()
    yield children
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def intends(*arguments, **_):
    return any(event.kind == "intended" for event in arguments[1])


def creates(*arguments, **_):
    return "create_training_job" in arguments


def begins(*arguments, **_):
    return "CreateTrainingJob" in arguments


def client():
    from botocore.client import BaseClient

    return BaseClient


POINTS = {
    "before the commit": (lambda: SqliteLog, "append", intends, "before"),
    "before the mirror's commit": (lambda: Mirror, "append", intends, "before"),
    "after the commit": (lambda: Mirror, "append", intends, "after"),
    "before the call": (lambda: Aws, "call", creates, "before"),
    "as the call begins": (client, "_make_api_call", begins, "before"),
    "after the answer": (client, "_make_api_call", begins, "after"),
    "after the call": (lambda: Aws, "call", creates, "after"),
}
TOO_LATE = "as the call begins"
"""No question that is asked before a call can come later than this."""


def pausing(point, times):
    """What makes a child stop itself when it passes a point for the n-th time."""
    find, method, chosen, moment = POINTS[point]

    def before():
        owner, left, lock = find(), [times], threading.Lock()
        function = getattr(owner, method)

        def passing(*arguments, **options):
            if moment == "after":
                answer = function(*arguments, **options)
            if chosen(*arguments, **options):
                with lock:
                    left[0] -= 1
                    if left[0] == 0:
                        # To this thread: sent to the process, it lets this thread go on until another takes it.
                        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            return answer if moment == "after" else function(*arguments, **options)

        setattr(owner, method, passing)

    return before


def fit(account, path, slots):
    Tuner(
        training_job(account),
        "loss",
        RANGES,
        METRICS,
        "random",
        "Minimize",
        JOBS,
        slots,
        random_seed=5,
        journal=path,
        progress=False,
    ).fit(job_name=path.parent.name)


def attached(account, name, path):
    given = training_job(account)
    return Tuner.attach(name, journal=path, estimator=given, mirror="s3://bucket/out", progress=False)


def elsewhere(lock):
    """What makes a child another host: locks of the first one do not hold there."""

    def before():
        lock.unlink()
        socket.gethostname = lambda: "another-host"

    return before


WAYS = {
    "resumes it": lambda tuner: tuner.resume(take_over=True, trust=True),
    "stops it": lambda tuner: tuner.stop_tuning_job(take_over=True),
}


def pauses(long):
    """Where the first driver is paused, its slots, what the second one does, and whether they share the journal."""
    drawn = [
        (point, times, slots, way, shared)
        for times in (range(1, JOBS + 1) if long else (1,))
        for slots in (1, 3)
        for point in POINTS
        for way in WAYS
        for shared in (False, True)
        if slots == 1 or times == 1 or "commit" not in point
    ]
    random.Random(7).shuffle(drawn)
    late = [it for it in drawn if it[0] == TOO_LATE and it[3] == "stops it"]
    return drawn if long else [*late[:2], *drawn[:4]]


def test_a_driver_that_wakes_after_another_has_taken_over_leaves_no_job_behind(account, asleep, long, counts):
    """It creates no job, or stops the one that it was about to create, and exits with StudyBusy."""
    stopped = woken = late = unowned = 0
    for number, (point, times, slots, way, shared) in enumerate(pauses(long)):
        name = f"study-{number}"
        mine, other = Path(name) / "mine.db", Path(name) / ("mine.db" if shared else "other.db")
        mine.parent.mkdir()
        sleeper = in_child(lambda path=mine, n=slots: fit(account, path, n), pausing(point, times))
        asleep.add(sleeper)
        wait_for_stop(sleeper)
        stopped += 1
        account.clock.sleep_until(account.clock.now() + INDEX_LAG + 1)
        (lock,) = mine.parent.glob("mine.db.*.lock")
        before = elsewhere(lock) if shared else lambda: None
        other_ended = told(in_child(lambda n=name, p=other, w=way: WAYS[w](attached(account, n, p)), before))
        assert other_ended == "ended", (point, other_ended)
        study = attached(account, name, other).study
        _, before_waking = account.ask(f"{study.id}-")
        os.kill(sleeper, signal.SIGCONT)
        ended = told(sleeper)
        asleep.remove(sleeper)
        journals = "one journal" if shared else "two journals"
        where = f"paused {point}, time {times}, with {slots} slots; another {way}; {journals}"
        assert ended.startswith("StudyBusy: another driver has"), (where, ended)
        woken += 1
        account.clock.sleep_until(account.clock.now() + SETTLED)
        jobs, created = account.ask(f"{study.id}-")
        fresh = created.keys() - before_waking.keys()
        # Other threads than the one at that point may have asked already, and be about to call.
        assert not fresh or point == TOO_LATE or slots > 1, (where, fresh)
        late += len(fresh)
        running = [it for it, job in jobs.items() if job.status not in ("Completed", "Failed", "Stopped")]
        unowned += len(running)
        assert not running, where
        assert all(jobs[it].status == "Stopped" for it in fresh), where
        assert set(created.values()) <= {1}, where
        assert {str(trial.status) for trial in study.trials} <= {"Completed", "Stopped"}, where
    assert woken == stopped >= (200 if long else 6)
    counts["drivers paused with SIGSTOP around a commit or a CreateTrainingJob, and overtaken"] += stopped
    counts["jobs that such a driver created although it had been overtaken, and stopped"] += late
    counts["jobs that ran unowned 60 s after such a driver woke"] += unowned
