"""Checks of resources: time and memory in use; threads, files and changed settings that are left behind."""

import gc
import os
import signal
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

from byohpo_core.testing.algorithm import CUBE, MIXED, Subject
from byohpo_core.testing.check import check
from byohpo_core.testing.rehearsal import rehearse

_TRIALS = 300
_MILLISECONDS = 30.0
_BYTES = 50_000


def _whole(subject: Subject, jobs: int = 60) -> None:
    """Run a whole study."""
    with rehearse(subject, subject.problem(MIXED, jobs=jobs)) as rehearsal:
        rehearsal.run()


@check("resources")
def proposes_quickly(subject: Subject) -> None:
    """On average over 300 trials, the algorithm uses less than 30 ms of processor time a trial."""
    _whole(subject, 20)
    started = time.process_time()
    with rehearse(subject, subject.problem(MIXED, jobs=_TRIALS)) as rehearsal:
        while len(rehearsal.study.trials) < _TRIALS and (running := rehearsal.ask(4)):
            rehearsal.tell(running)
            spent = (time.process_time() - started) * 1e3
            assert spent < _TRIALS * _MILLISECONDS, (
                f"the algorithm uses {spent / len(rehearsal.study.trials):.0f} ms of processor time a trial; "
                f"use less than {_MILLISECONDS:g} ms"
            )


@check("resources")
def does_not_sleep(subject: Subject) -> None:
    """Over 60 trials, the algorithm sleeps for less than a second; waiting for a busy processor is allowed."""
    _whole(subject, 10)
    for _ in range(3):  # another process may have kept the processor busy
        wall, busy = _spent(lambda: _whole(subject, 60))
        turns = max(wall / busy for wall, busy in (_spent(_compute), _spent(_compute)))
        asleep = wall - busy
        if asleep < max(1.0, 2 * busy * turns):
            return
    raise AssertionError(
        f"the algorithm slept for {asleep:.1f} s in 60 trials; return an empty list instead of waiting"
    )


def _spent(work: Callable[[], None]) -> tuple[float, float]:
    """The seconds of wall time and of processor time that *work* takes."""
    wall, busy = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - busy


def _compute() -> None:
    """Use a tenth of a second of processor time."""
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass


@check("resources")
def does_not_slow_down(subject: Subject) -> None:
    """The last 100 of 400 trials take less than 3 times as long as the faster of the first two 100s, plus 0.1 s."""
    _whole(subject, 20)
    with rehearse(subject, subject.problem(CUBE, jobs=400, slots=1)) as rehearsal:
        marks = []
        for number in range(400):
            if number % 100 == 0:
                gc.collect()
                marks.append(time.process_time())
            rehearsal.tell(rehearsal.ask(1))
        marks.append(time.process_time())
    first, last = min(marks[1] - marks[0], marks[2] - marks[1]), marks[4] - marks[3]
    assert last < 3 * first + 0.1, (
        f"a trial takes {first * 10:.1f} ms at first and {last * 10:.1f} ms at the end; "
        "do not go through all trials each time"
    )


@check("resources")
def does_not_hoard_memory(subject: Subject) -> None:
    """The algorithm holds less than 50 KB of memory a trial."""
    _whole(subject, 20)
    gc.collect()
    tracemalloc.start()
    with rehearse(subject, subject.problem(CUBE, jobs=200)) as rehearsal:
        rehearsal.run()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    assert held / 200 < _BYTES, (
        f"the algorithm holds {held / 200 / 1e3:.0f} KB of memory a trial; hold less than {_BYTES / 1e3:.0f} KB"
    )


@check("resources")
def ends_its_threads(subject: Subject) -> None:
    """After `close`, no thread of the algorithm is left."""
    before = set(threading.enumerate())
    for trials in (0, 1, 7):
        with rehearse(subject) as rehearsal:
            for _ in range(trials):
                rehearsal.tell(rehearsal.ask(1))
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    left = set(threading.enumerate()) - before
    assert not left, f"{len(left)} threads of the algorithm run after the study; end them in close"


@check("resources")
def can_be_closed_twice(subject: Subject) -> None:
    """`close` can be called twice, even if the algorithm was never asked for a proposal."""
    rehearsal = rehearse(subject)
    rehearsal.close()
    rehearsal.close()
    rehearsal = rehearse(subject)
    rehearsal.ask(2)
    rehearsal.close()
    rehearsal.close()


@check("resources")
def is_built_without_work(subject: Subject) -> None:
    """The constructor uses less than a second of processor time and starts no thread."""
    rehearse(subject).close()
    before, started = threading.active_count(), time.process_time()
    rehearsal = rehearse(subject)
    spent, threads = time.process_time() - started, threading.active_count() - before
    rehearsal.close()
    assert spent < 1, f"the constructor takes {spent:.1f} s; leave the work to propose"
    assert threads == 0, f"the constructor starts {threads} threads; start them in propose"


@check("resources")
def leaves_no_files(subject: Subject) -> None:
    """The algorithm leaves no files in the working folder."""
    _whole(subject)
    left = sorted(path.name for path in Path.cwd().iterdir())
    assert not left, f"the algorithm leaves files behind: {', '.join(left)}; write none, or delete them in close"


@check("resources")
def leaves_no_open_files(subject: Subject) -> None:
    """The algorithm leaves no file descriptors open."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    _whole(subject, 8)
    gc.collect()
    before = len(list(folder.iterdir()))
    for _ in range(3):
        _whole(subject, 8)
    gc.collect()
    after = len(list(folder.iterdir()))
    assert after <= before, f"the algorithm leaves {after - before} files open; close them in close"


@check("resources")
def leaves_no_processes(subject: Subject) -> None:
    """The algorithm leaves no child processes."""
    _whole(subject)
    try:
        child, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise AssertionError(
        f"the algorithm leaves a child process behind ({child or 'running'}); end it and wait for it in close"
    )


@check("resources")
def prints_nothing(subject: Subject) -> None:
    """The algorithm prints nothing to standard output or standard error."""
    _whole(subject)
    sys.stdout.flush()
    sys.stderr.flush()
    assert os.fstat(1).st_size == 0, "the algorithm prints to standard output or standard error; do not print"


@check("resources")
def warns_of_nothing(subject: Subject) -> None:
    """The algorithm raises no warnings in an ordinary study."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _whole(subject)
    messages = {f"{it.category.__name__}: {it.message}" for it in caught}
    assert not messages, f"the algorithm raises a warning: {min(messages)}; remove its cause"


@check("resources")
def leaves_the_environment_alone(subject: Subject) -> None:
    """The algorithm does not change environment variables, the working folder or `sys.path`."""
    before = (dict(os.environ), Path.cwd(), list(sys.path))
    _whole(subject)
    after = (dict(os.environ), Path.cwd(), list(sys.path))
    for name, old, new in zip(("the environment", "the working folder", "sys.path"), before, after, strict=True):
        assert old == new, f"the algorithm changes {name}; leave the settings of the process alone"


@check("resources")
def leaves_the_interpreter_alone(subject: Subject) -> None:
    """The algorithm does not change warning filters, signal handlers or other settings of the interpreter."""
    _whole(subject, 4)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)

    def state() -> dict[str, object]:
        return {
            "the warning filters": list(warnings.filters),
            "the signal handlers": [signal.getsignal(number) for number in signals],
            "the recursion limit": sys.getrecursionlimit(),
            "the garbage collector": (gc.isenabled(), gc.get_threshold()),
            "the switch interval": sys.getswitchinterval(),
        }

    before = state()
    _whole(subject, 20)
    for name, value in state().items():
        assert value == before[name], f"the algorithm changes {name}; leave the settings of the process alone"
