"""Checks of resources: time and memory in use; threads, files and changed settings that are left behind."""

import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from greenlet import greenlet

from byohpo_core.testing.algorithm import CUBE, Subject
from byohpo_core.testing.check import advise, check, expect
from byohpo_core.testing.rehearsal import Rehearsal, rehearse

_TRIALS = 300
_MILLISECONDS = 30.0
_BYTES = 50_000
_IN_CLOSE = "end them in close"


def _whole(subject: Subject, jobs: int = 60) -> None:
    """Run a whole study, on three slots: some libraries warn of a number of points that is not a power of two."""
    with rehearse(subject, subject.problem(subject.mixed, jobs=jobs, slots=3)) as rehearsal:
        rehearsal.run()


@check("resources")
def proposes_quickly(subject: Subject) -> None:
    """Over 300 trials, each takes less than 30 ms of processor time, or less than twice what the algorithm declares."""
    _whole(subject, 20)
    allowed = max(_MILLISECONDS, 2e3 * subject.traits.seconds_per_proposal)
    started = time.process_time()
    with rehearse(subject, subject.problem(subject.mixed, jobs=_TRIALS)) as rehearsal:
        trials, jobs = rehearsal.study.trials, rehearsal.problem.max_jobs
        while (left := jobs - len(trials)) and (running := rehearsal.ask(min(left, 4))):
            rehearsal.tell(running)
            spent = (time.process_time() - started) * 1e3
            expect(
                spent < jobs * allowed,
                did=f"ran a study of {len(trials)} trials",
                seen=f"{spent / len(trials):.0f} ms of processor time a trial",
                expected=f"less than {allowed:g} ms",
                mend="declare Traits(seconds_per_proposal=...) if a proposal costs that much",
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
    expect(
        False,
        did="ran a study of 60 trials",
        seen=f"it slept for {asleep:.1f} s",
        expected="less than a second",
        mend="return an empty list instead of waiting",
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
        for number in range(rehearsal.problem.max_jobs):
            if number % (rehearsal.problem.max_jobs // 4) == 0:
                gc.collect()
                marks.append(time.process_time())
            rehearsal.tell(rehearsal.ask(1))
        marks.append(time.process_time())
    first, last = min(marks[1] - marks[0], marks[2] - marks[1]), marks[4] - marks[3]
    expect(
        last < 3 * first + 0.1,
        did="ran a study of 400 trials",
        seen=f"a trial takes {first * 10:.1f} ms at first and {last * 10:.1f} ms at the end",
        expected="less than three times as much, plus 1 ms",
        mend="do not go through all trials each time",
    )


@check("resources")
def does_not_hoard_memory(subject: Subject) -> None:
    """After the first 50 trials, the memory that the algorithm holds grows by less than 50 KB a trial."""
    tracemalloc.start()
    with rehearse(subject, subject.problem(CUBE, jobs=200)) as rehearsal:
        jobs = rehearsal.problem.max_jobs
        held = [_held_after(rehearsal, trials) for trials in (jobs // 4, jobs)]
    grown = (held[1] - held[0]) / (jobs - jobs // 4)
    expect(
        grown < _BYTES,
        did=f"ran a study of {jobs} trials",
        seen=f"it holds {grown / 1e3:.0f} KB more after each trial",
        expected=f"less than {_BYTES / 1e3:.0f} KB",
    )


def _held_after(rehearsal: Rehearsal, trials: int) -> int:
    rehearsal.run(until=trials)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@check("resources")
def does_not_write_its_history_into_its_answers(subject: Subject) -> None:
    """The answers do not grow with the history: the last proposals are about as long as the first."""
    with rehearse(subject, subject.problem(CUBE, jobs=400)) as rehearsal:
        rehearsal.run()
        sizes = [len(json.dumps(trial.proposal.to_json())) for trial in rehearsal.study.trials]
    first, last = max(sizes[:40]), max(sizes[-40:])
    expect(
        last < 2 * first + 200,
        did=f"ran a study of {len(sizes)} trials",
        seen=f"a proposal takes {first} bytes of the journal at first and {last} at the end",
        expected="about the same",
        mend="put a number into the key, and keep the rest in the instance",
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
    expect(not left, did="closed three studies", seen=f"{len(left)} threads", expected="none", mend=_IN_CLOSE)


def _waiting() -> Iterator[object]:
    """The optimisers that wait for results."""
    return (it for it in gc.get_objects() if isinstance(it, greenlet) and it and it.parent is not None)


@check("resources")
def ends_its_optimiser(subject: Subject) -> None:
    """After `close`, no optimiser that calls a function and waits is left waiting."""
    before = [*_waiting()]  # of the program that runs the checks
    for trials in (1, 7):
        with rehearse(subject) as rehearsal:
            for _ in range(trials):
                rehearsal.tell(rehearsal.ask(1))
        left = [it for it in _waiting() if not any(it is other for other in before)]
        expect(
            not left,
            did=f"closed a study after {trials} trials",
            seen=f"{len(left)} optimisers that wait for results",
            expected="none",
            mend="let the exception of evaluate pass: catch Exception, not BaseException",
        )


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
    allowed = max(1.0, 2 * subject.traits.seconds_per_proposal)
    expect(
        spent < allowed,
        did="built an instance",
        seen=f"{spent:.1f} s of processor time",
        expected=f"less than {allowed:g} s",
        mend="leave the work to propose",
    )
    advise(threads == 0, f"the constructor starts {threads} threads; start them in propose")


@check("resources")
def leaves_no_files(subject: Subject) -> None:
    """The algorithm leaves no files in the working folder, the folder for temporary files or the home folder."""
    for variable in ("TMPDIR", "HOME"):
        Path(variable).mkdir()
        os.environ[variable] = str(Path(variable).absolute())
    tempfile.tempdir = None  # so that it looks at TMPDIR again
    before = set(Path.cwd().rglob("*"))
    _whole(subject)
    left = sorted(path.name for path in set(Path.cwd().rglob("*")) - before)
    mend = "write none, or delete them in close"
    expect(not left, did="ran a study", seen=f"files left behind: {', '.join(left)}", expected="none", mend=mend)


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
    mend = "close them in close"
    expect(after <= before, did="ran 3 studies", seen=f"{after - before} files left open", expected="none", mend=mend)


@check("resources")
def leaves_no_processes(subject: Subject) -> None:
    """The algorithm leaves no child processes."""
    _whole(subject)
    try:
        child, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    seen = f"a child process left behind ({child or 'running'})"
    expect(False, did="ran a study", seen=seen, expected="none", mend="end it and wait for it in close")


@check("resources")
def prints_nothing(subject: Subject) -> None:
    """The algorithm prints nothing to standard output or standard error."""
    _whole(subject)
    sys.stdout.flush()
    sys.stderr.flush()
    seen = f"{os.fstat(1).st_size} bytes on standard output or standard error"
    expect(os.fstat(1).st_size == 0, did="ran a study", seen=seen, expected="none", mend="do not print")


@check("resources")
def warns_of_nothing(subject: Subject) -> None:
    """The algorithm raises no warnings in an ordinary study."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _whole(subject)
    messages = {f"{it.category.__name__}: {it.message}" for it in caught}
    expect(not messages, did="ran a study", seen=min(messages, default=""), expected="no warning")


@check("resources")
def leaves_the_environment_alone(subject: Subject) -> None:
    """The algorithm does not change environment variables, the working folder or `sys.path`."""
    before = (dict(os.environ), Path.cwd(), list(sys.path))
    _whole(subject)
    after = (dict(os.environ), Path.cwd(), list(sys.path))
    for name, old, new in zip(("the environment", "the working folder", "sys.path"), before, after, strict=True):
        _unchanged(old == new, name)


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
        _unchanged(value == before[name], name)


def _unchanged(condition: bool, name: str) -> None:
    mend = "leave the settings of the process alone"
    expect(condition, did="ran a study", seen=f"a change of {name}", expected="none", mend=mend)
