"""A check runs in a process of its own, within limits, and nothing of it outlives the kit."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import seeded_bugs

from byohpo_core import Traits, hookimpl
from byohpo_core.testing import Subject, run, run_all, running
from byohpo_core.testing import isolation as limits
from byohpo_core.testing.check import Check, Finding, Remark

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets a process adopt the orphans of its children"
)


def behave(behaviour, seconds=20.0):
    """Run a check that does this."""
    return run(Check("made-up", "batches", "It behaves.", behaviour), Subject.of(seeded_bugs.Sampler), seconds)


def burn(seconds):
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass


def test_a_check_that_waits_its_turn_does_not_hang(monkeypatch):
    """The limits are of processor time, so a busy machine does not make a check fail."""
    monkeypatch.setattr(limits, "IDLE_SECONDS", 1.0)

    def slow(_):
        for _ in range(20):
            burn(0.01)
            time.sleep(0.05)

    result = behave(slow, 0.5)
    assert result.seconds > 1.0
    assert result.status == "passed", result.reason


def test_a_check_whose_processes_work_does_not_hang(monkeypatch):
    """The processor time of its child processes counts."""
    monkeypatch.setattr(limits, "IDLE_SECONDS", 1.0)
    program = "import time\nwhile time.process_time() < 1.5: pass"
    result = behave(lambda _: subprocess.run([sys.executable, "-c", program], check=True))
    assert result.seconds > 1.5
    assert result.processor_seconds > 1.5
    assert result.status == "passed", result.reason


@pytest.mark.parametrize(
    ("behaviour", "cause", "reason"),
    [
        (lambda _: time.sleep(600), "hang", "1 s"),
        (lambda _: burn(600), "hang", "1.5 s"),
        (lambda _: os._exit(3), "death", "exit code 3"),
        (lambda _: os.kill(os.getpid(), signal.SIGKILL), "death", "SIGKILL"),
        (lambda _: {}["lost"], "error", "KeyError: 'lost'"),
    ],
    ids=["waits", "burns", "leaves", "is-killed", "raises"],
)
def test_hangs_deaths_and_errors_are_told_apart(behaviour, cause, reason, monkeypatch):
    """A check that hangs, dies or raises fails with that cause; the result says what was expected, and the mend."""
    monkeypatch.setattr(limits, "IDLE_SECONDS", 1.0)
    result = behave(behaviour, 1.5)
    assert (result.status, result.cause) == ("failed", cause)
    assert reason in result.reason
    assert reason in result.finding["seen"]
    assert result.finding["expected"] == "It behaves."
    assert result.finding["mend"]


def test_a_finding_keeps_its_parts_and_a_remark_is_no_failure():
    """What was done, seen and expected, and the mend, come from the check's process one by one."""
    parts = {"did": "asked", "seen": "nothing", "expected": "something", "mend": "answer"}

    def found(_):
        raise Finding(**parts)

    def advised(_):
        raise Remark("it is unusual")

    result = behave(found)
    assert (result.status, result.cause, result.finding) == ("failed", "finding", parts)
    result = behave(advised)
    assert (result.status, result.reason, dict(result.finding)) == ("remark", "it is unusual", {})


def test_a_check_is_not_waited_for_for_ever(monkeypatch):
    """The last limit ends a check that uses a little processor time now and then."""
    monkeypatch.setattr(limits, "LAST_RESORT_SECONDS", 2.0)
    result = behave(lambda _: [(burn(0.02), time.sleep(0.05)) for _ in range(10_000)])
    assert result.cause == "hang"
    assert "2 s" in result.reason


def test_the_kernel_keeps_the_limit_of_processor_time_too(monkeypatch):
    """A check that burns ends even if its guard does not look, and counts as a hang."""
    monkeypatch.setattr(limits, "_LOOK_SECONDS", 300.0)
    result = behave(lambda _: burn(600), 1.0)
    assert result.cause == "hang"
    assert result.processor_seconds < 10


def test_without_a_proc_file_system_ps_measures_processor_time(monkeypatch):
    """`ps` gives the same time, to the second."""
    program = "import time\nwhile time.process_time() < 2: pass\nprint(flush=True)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    try:
        process.stdout.readline()
        assert limits.processor_seconds(process.pid) == pytest.approx(2, abs=1)
        monkeypatch.setattr(limits, "_PROC", Path("nowhere"))
        assert limits.processor_seconds(process.pid) == pytest.approx(2, abs=1)
    finally:
        process.kill()
        process.communicate()


def test_each_check_is_told_of_before_it_runs():
    """So that whoever shows the progress knows the name of a check that never ends."""
    told = []
    results = run_all(Subject.of(seeded_bugs.Sampler), begins=told.append)
    first = next(results)
    assert told == [first.check]
    next(results)
    assert len(told) == 2


def slow_with(behaviours, monkeypatch, budget):
    """The results of an algorithm that declares itself slow, whose checks do this within this processor time in all."""

    class Slow(seeded_bugs.Sampler):
        traits = Traits(learns=False, seconds_per_proposal=1.0)

    few = [Check(f"check-{place}", "batches", "It behaves.", it) for place, it in enumerate(behaviours)]
    monkeypatch.setattr(running, "checks", lambda: few)
    monkeypatch.setattr(running, "SLOW_SECONDS_IN_ALL", budget)
    return list(run_all(Subject.of(Slow), 1.0))


def test_the_checks_of_a_slow_algorithm_share_a_budget(monkeypatch):
    """A check that the budget cuts short has not failed, and those after it are not run."""
    results = slow_with([lambda _: burn(0.6)] * 4, monkeypatch, 1.0)
    assert [it.status for it in results] == ["passed"] + 3 * ["not applicable"]
    assert results[3].seconds == 0


def test_a_slow_algorithm_that_hangs_fails(monkeypatch):
    """The limit of each check holds for it too."""
    results = slow_with([lambda _: burn(600)], monkeypatch, 100.0)
    assert [(it.status, it.cause) for it in results] == [("failed", "hang")]


def test_what_a_proposal_takes_is_measured():
    """In processor time; an algorithm that fails has none."""

    class Burns(seeded_bugs.Sampler):
        @hookimpl
        def propose(self, study, count):
            burn(0.02 * count)
            return super().propose(study, count)

    class Fails(seeded_bugs.Sampler):
        @hookimpl
        def propose(self, study, count):
            raise ValueError

    assert running.measured_seconds(Subject.of(Burns)) == pytest.approx(0.02, rel=0.5)
    assert math.isnan(running.measured_seconds(Subject.of(Fails)))


MINE = """
import os, random, subprocess, sys, time
from byohpo_core import hookimpl

def remember(pid):
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{pid}\\n")

class Base:
    '''An algorithm.'''
    def __init__(self, problem):
        pass

    @hookimpl
    def propose(self, count):
        remember(os.getpid())
        self.start()
        remember("ready")
        while True:
            self.hang()

    def start(self):
        pass

    def hang(self):
        time.sleep(1)

class Sleeps(Base):
    '''An algorithm that sleeps.'''

class Burns(Base):
    '''An algorithm that burns.'''
    def hang(self):
        pass

class Starts(Base):
    '''An algorithm that starts processes of three kinds, which leave its group.'''
    def start(self):
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        remember(subprocess.Popen(sleep).pid)
        remember(subprocess.Popen(sleep, start_new_session=True).pid)
        if os.fork() == 0:
            os.setsid()
            if child := os.fork():
                remember(child)
                os._exit(0)
            time.sleep(600)
        os.wait()

class Ignores(Base):
    '''An algorithm that cannot be interrupted.'''
    def start(self):
        import signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
"""


@pytest.fixture
def start_check():
    """A function that starts `byohpo check` as `_start` does; what is still alive after the test is killed."""
    started = []

    def start(name, *arguments):
        process, pids = _start(name, *arguments)
        started.extend([process.pid, *pids])
        return process, pids

    yield start
    for pid in filter(is_alive, started):
        os.kill(pid, signal.SIGKILL)


CHECK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background ignore Ctrl-C
from byohpo_core.cli import main
sys.exit(main(["check", *sys.argv[1:]]))
"""


def _start(name, *arguments):
    """Start `byohpo check` on a class of this folder, and wait until the algorithm hangs; the process and its ids."""
    Path("mine.py").write_text(MINE)
    command = [sys.executable, "-P", "-c", CHECK, f"mine:{name}", *arguments]
    pids = Path("pids").absolute()
    environment = {**os.environ, "PIDS": str(pids)}
    with Path("output").open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    await_(lambda: pids.exists() and "ready" in pids.read_text(), 30)
    return process, [int(line) for line in pids.read_text().split() if line != "ready"]


def await_(holds, seconds):
    ends = time.monotonic() + seconds
    while not holds() and time.monotonic() < ends:
        time.sleep(0.02)
    return holds()


def is_alive(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@linux
@pytest.mark.parametrize("name", ["Sleeps", "Burns", "Starts", "Ignores"])
def test_nothing_of_a_check_outlives_a_kit_that_is_killed(name, start_check):
    """Two seconds after SIGKILL, no process of the check is alive, whatever group or session it is in."""
    process, pids = start_check(name, "--json", "found.json")
    assert len(pids) == (4 if name == "Starts" else 1)
    assert all(map(is_alive, pids))
    process.kill()
    process.wait()
    assert await_(lambda: not any(map(is_alive, pids)), 2)
    found = json.loads(Path("found.json").read_text())
    assert found["running"]
    assert Path("output").read_text().splitlines()[-1].split()[1] == found["running"]


@linux
def test_nothing_of_a_check_outlives_its_guard(start_check):
    """The guard may be killed as well; the check then fails, and the kit goes on."""
    process, (pid,) = start_check("Burns")
    guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert guard != process.pid
    os.kill(guard, signal.SIGKILL)
    assert await_(lambda: not is_alive(pid), 2)
    assert await_(lambda: "killed" in Path("output").read_text(), 10)
    process.kill()
    process.wait()


@linux
def test_ctrl_c_ends_the_check_with_the_kit(start_check):
    """It takes the check's processes with it before the command ends, and keeps the results so far."""
    process, pids = start_check("Starts", "--json", "found.json")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert not any(map(is_alive, pids))
    assert json.loads(Path("found.json").read_text())["running"]
