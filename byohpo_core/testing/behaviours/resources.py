"""What it uses and what it leaves behind: time, memory, threads, files, and the state of the process."""

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
    with rehearse(subject, subject.problem(MIXED, jobs=jobs)) as rehearsal:
        rehearsal.run()


@check("resources")
def proposes_quickly(subject: Subject) -> None:
    """Less than 30 ms of processor time a trial, over three hundred."""
    _whole(subject, 20)
    started = time.process_time()
    with rehearse(subject, subject.problem(MIXED, jobs=_TRIALS)) as rehearsal:
        while len(rehearsal.study.trials) < _TRIALS and (running := rehearsal.ask(4)):
            rehearsal.tell(running)
            spent = (time.process_time() - started) * 1e3
            assert spent < _TRIALS * _MILLISECONDS, (
                f"it takes {spent / len(rehearsal.study.trials):.0f} ms of processor time a trial"
            )


@check("resources")
def does_not_sleep(subject: Subject) -> None:
    """Over sixty trials it waits for less than a second, or for its turn on a busy machine."""
    _whole(subject, 10)
    for _ in range(3):  # the machine may be busy for a moment
        wall, busy = _spent(lambda: _whole(subject, 60))
        turns = max(wall / busy for wall, busy in (_spent(_compute), _spent(_compute)))
        asleep = wall - busy
        if asleep < max(1.0, 2 * busy * turns):
            return
    raise AssertionError(f"over 60 trials it slept for {asleep:.1f} s")


def _spent(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock and of processor time."""
    wall, busy = time.monotonic(), time.process_time()
    work()
    return time.monotonic() - wall, time.process_time() - busy


def _compute() -> None:
    """A tenth of a second of processor time."""
    ends = time.process_time() + 0.1
    while time.process_time() < ends:
        pass


@check("resources")
def does_not_slow_down(subject: Subject) -> None:
    """The last hundred of four hundred trials take at most three times as long as one of the first two, plus 0.1 s."""
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
        f"100 trials took {first * 10:.1f} ms each at first and {last * 10:.1f} ms in the end"
    )


@check("resources")
def does_not_hoard_memory(subject: Subject) -> None:
    """Less than 50 KB a trial."""
    _whole(subject, 20)
    gc.collect()
    tracemalloc.start()
    with rehearse(subject, subject.problem(CUBE, jobs=200)) as rehearsal:
        rehearsal.run()
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    assert held / 200 < _BYTES, f"it holds {held / 200 / 1e3:.0f} KB for each trial"


@check("resources")
def ends_its_threads(subject: Subject) -> None:
    """After `close` no thread of it is left, however far the study was."""
    before = set(threading.enumerate())
    for trials in (0, 1, 7):
        with rehearse(subject) as rehearsal:
            for _ in range(trials):
                rehearsal.tell(rehearsal.ask(1))
    deadline = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    left = set(threading.enumerate()) - before
    assert not left, f"it leaves {len(left)} threads behind"


@check("resources")
def can_be_closed_twice(subject: Subject) -> None:
    """And without having been asked for anything."""
    rehearsal = rehearse(subject)
    rehearsal.close()
    rehearsal.close()
    rehearsal = rehearse(subject)
    rehearsal.ask(2)
    rehearsal.close()
    rehearsal.close()


@check("resources")
def is_built_without_work(subject: Subject) -> None:
    """Its constructor takes less than a second of processor time and starts no thread."""
    rehearse(subject).close()
    before, started = threading.active_count(), time.process_time()
    rehearsal = rehearse(subject)
    spent, threads = time.process_time() - started, threading.active_count() - before
    rehearsal.close()
    assert spent < 1, f"its constructor takes {spent:.1f} s"
    assert threads == 0, f"its constructor starts {threads} threads"


@check("resources")
def leaves_no_files(subject: Subject) -> None:
    """Nothing is written into the working folder."""
    _whole(subject)
    left = sorted(path.name for path in Path.cwd().iterdir())
    assert not left, f"it leaves files behind: {', '.join(left)}"


@check("resources")
def leaves_no_open_files(subject: Subject) -> None:
    """As many file descriptors are open after a study as before."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")
    _whole(subject, 8)
    gc.collect()
    before = len(list(folder.iterdir()))
    for _ in range(3):
        _whole(subject, 8)
    gc.collect()
    after = len(list(folder.iterdir()))
    assert after <= before, f"it leaves {after - before} files open"


@check("resources")
def leaves_no_processes(subject: Subject) -> None:
    """No child process is left."""
    _whole(subject)
    try:
        child, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    raise AssertionError(f"it leaves a child process behind ({child or 'running'})")


@check("resources")
def prints_nothing(subject: Subject) -> None:
    """Neither to standard output nor to standard error."""
    _whole(subject)
    sys.stdout.flush()
    sys.stderr.flush()
    assert os.fstat(1).st_size == 0, "it prints to standard output or standard error"


@check("resources")
def warns_of_nothing(subject: Subject) -> None:
    """An ordinary study raises no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _whole(subject)
    messages = {f"{it.category.__name__}: {it.message}" for it in caught}
    assert not messages, f"it warns: {min(messages)}"


@check("resources")
def leaves_the_environment_alone(subject: Subject) -> None:
    """Environment variables, the working folder and the search path are as before."""
    before = (dict(os.environ), Path.cwd(), list(sys.path))
    _whole(subject)
    after = (dict(os.environ), Path.cwd(), list(sys.path))
    for name, old, new in zip(("the environment", "the working folder", "sys.path"), before, after, strict=True):
        assert old == new, f"it changes {name}"


@check("resources")
def leaves_the_interpreter_alone(subject: Subject) -> None:
    """Warning filters, signal handlers, the recursion limit and the garbage collector are as before."""
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
        assert value == before[name], f"it changes {name}"
