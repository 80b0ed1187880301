"""What tests of several machines share: drivers in processes of their own, and an account that outlives them."""

import json
import mmap
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

from byohpo_sagemaker_emulator import Emulator, Faults, SimulatedJob
from sagemaker_account import REQUEST

from byohpo_core import StudyBusy, TrainingJob

INDEX_LAG = 5.0
FAULTS = {"search_lag": 0.3, "capacity": 0.1, "internal": 0.1}
SLOTS = 64
DEADLINE = 300
"""Seconds of real time that a driver may take at most: it would wait for ever for a job that it lost."""


class SharedClock:
    """Virtual time of several processes: each moves a hand of its own, and the one furthest on tells the time."""

    def __init__(self):
        self._hands = memoryview(mmap.mmap(-1, 8 * SLOTS)).cast("d")
        self._hands[0] = 1.8e9
        self._lock = threading.Lock()

    def now(self):
        return max(self._hands)

    def sleep_until(self, time):
        hand = os.getpid() % SLOTS
        with self._lock:
            self._hands[hand] = max(self._hands[hand], time)


class Account:
    """An emulator in a forked process, where jobs go on whatever happens to drivers."""

    def __init__(self, rates=FAULTS):
        self.clock = SharedClock()
        fork = get_context("fork")
        self._pipe, other = fork.Pipe()
        self._process = fork.Process(target=serve, args=(self.clock, other, rates), daemon=True)
        self._process.start()
        self.environment = self._pipe.recv()

    def ask(self, prefix):
        """The jobs whose names begin so, and how often each was created."""
        self._pipe.send(prefix)
        return self._pipe.recv()

    def close(self):
        self._pipe.send(None)
        self._process.join()


def serve(clock, pipe, rates):
    faults = Faults(1, rates, seconds={"search_lag": INDEX_LAG})
    with Emulator(clock=clock, job=training, faults=faults) as emulator:
        emulator.client("s3").create_bucket(Bucket="bucket")
        pipe.send(emulator.environment)
        while (prefix := pipe.recv()) is not None:
            created = Counter(
                call.parameters["TrainingJobName"]
                for call in emulator.calls
                if call.operation == "CreateTrainingJob" and call.outcome == "ok"
            )
            jobs = {name: job for name, job in emulator.jobs.items() if name.startswith(prefix)}
            pipe.send((jobs, {name: created[name] for name in jobs}))


def training(request):
    """A job of some minutes."""
    x, n = (json.loads(request["HyperParameters"][name]) for name in ("x", "n"))
    return SimulatedJob(100 + 30 * n + 10 * abs(x), {"loss": (x - 1) ** 2 + n})


def training_job(account):
    return TrainingJob(REQUEST, clock=account.clock, poll_seconds=20)


def in_child(work, before=lambda: None):
    """Start a forked child that does some work, and writes how that ended to a file named after it."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(DEADLINE)
        before()
        try:
            work()
            told = "ended"
        except StudyBusy as error:
            told = f"StudyBusy: {error}"
        Path(f"told.{os.getpid()}").write_text(told)
    except BaseException:  # noqa: BLE001 - told to the parent, which waits for it
        Path(f"told.{os.getpid()}").write_text(traceback.format_exc())
    finally:
        os._exit(0)


def told(child):
    """How a child ended; None if it was killed."""
    _, status = os.waitpid(child, 0)
    file = Path(f"told.{child}")
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert not file.exists()
        return None
    text = file.read_text()
    file.unlink()
    return text


def wait_for_stop(child):
    """Wait until a child has stopped itself."""
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
