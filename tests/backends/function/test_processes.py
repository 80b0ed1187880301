"""Python functions in processes of their own: what they answer, and how they end."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import studies
from studies import DEADLINE, alive, story, wait_for

from byohpo_core import ContinuousParameter, Proposal, PythonFunction, Trial, Tuner
from byohpo_core.backendspecs import JobSettings

FUNCTIONS = """
    import os, pathlib, re, subprocess, sys, time

    def note(what):
        with open("ledger", "a") as ledger:
            ledger.write(f"{what}\\n")

    def square(hyperparameters):
        print("what a function prints is no answer")
        return {"loss": hyperparameters["x"] ** 2, "process": os.getpid()}

    def dying(hyperparameters):
        os._exit(3)

    def leaving(hyperparameters):
        return subprocess.run([sys.executable, "-c", "import sys; sys.exit(3)"]).returncode

    def waiting(hyperparameters):
        note(os.getpid())
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        return hyperparameters["x"]

    def parent(hyperparameters):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        note(child.pid)
        note(os.getpid())
        child.wait()

    def searching(hyperparameters):
        subprocess.Popen(["sh", "-c", f"sleep 0.3; echo {os.getpid()} >> ledger"])
        re.match("(a+)+$", "a" * 40 + "b")
"""
DRIVER = """
    from byohpo_core import ContinuousParameter, PythonFunction, Tuner
    import functions
    Tuner(PythonFunction(functions.{name}, processes=True), "loss", {{"x": ContinuousParameter(0, 1)}},
          strategy="random", max_jobs=4, max_parallel_jobs=2, journal="s.db", progress=False).fit(job_name="s")
"""


@pytest.fixture
def functions(own_folder, monkeypatch):
    """A module of functions that new processes can import."""
    (own_folder / "functions.py").write_text(textwrap.dedent(FUNCTIONS))
    monkeypatch.syspath_prepend(str(own_folder))
    monkeypatch.delitem(sys.modules, "functions", raising=False)
    import functions

    yield functions
    del sys.modules["functions"]


def tune(function, **settings):
    settings = {"max_jobs": 2, "max_parallel_jobs": 2, "journal": ":memory:", **settings}
    return studies.tune(PythonFunction(function, processes=True), {"x": ContinuousParameter(0, 1)}, **settings)


def noted():
    return [int(line) for line in Path("ledger").read_text().splitlines()] if Path("ledger").exists() else []


def start_driver(name):
    Path("driver.py").write_text(textwrap.dedent(DRIVER.format(name=name)))
    driver = subprocess.Popen([sys.executable, "driver.py"], start_new_session=True, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(noted()) == (4 if name == "parent" else 2))
    return driver


def test_each_evaluation_has_a_process_of_its_own(functions):
    """The answer comes back as metrics, whatever the function prints."""
    study = tune(functions.square)
    assert [trial.value for trial in study.trials] == [trial.hyperparameters["x"] ** 2 for trial in study.trials]
    assert len({os.getpid(), *(trial.metrics["process"] for trial in study.trials)}) == 3


class Tensor:
    """An array of two numbers, as a framework has it."""

    def item(self):
        raise RuntimeError("a Tensor with 2 elements cannot be converted to a number")


@pytest.mark.parametrize(
    ("answer", "reason"), [(10**400, "too large"), (Tensor(), "2 elements")], ids=["a huge number", "two numbers"]
)
def test_an_answer_that_is_no_number_of_any_kind_is_a_failed_trial(answer, reason):
    """Whatever looking at it raises: a trial that never ends would keep the study for ever."""
    study = studies.tune(lambda _: answer, max_jobs=1, max_parallel_jobs=1)
    assert study.trials[0].status == "Failed"
    assert reason in study.trials[0].reason


def test_a_process_that_dies_is_a_failed_trial(functions):
    """With its exit code."""
    study = tune(functions.dying, max_jobs=1, max_parallel_jobs=1)
    assert study.trials[0].reason == "the evaluation's process died with exit code 3"


def test_a_ctrl_c_on_the_terminal_does_not_reach_the_evaluations(functions):
    """The terminal sends it to the whole group: what runs is waited for, and is a result."""
    with start_driver("waiting") as driver:
        os.killpg(driver.pid, signal.SIGINT)
        wait_for(lambda: "Ctrl-C again" in driver.stderr.readline())
        Path("go").touch()
        driver.communicate(timeout=DEADLINE)
    study = Tuner.attach("s", journal="s.db").study
    assert [str(trial.status) for trial in study.trials] == ["Completed", "Completed"]


def test_evaluations_end_with_their_driver(functions):
    """Killed with SIGKILL it cannot end them; with what they started, they end themselves."""
    with start_driver("parent") as driver:
        driver.kill()
        driver.communicate(timeout=DEADLINE)
        wait_for(lambda: not any(map(alive, noted())))


def test_an_evaluation_that_never_lets_another_thread_run_ends_with_its_driver(functions):
    """Some C code keeps Python's lock for hours, as the search of a slow regex does."""
    with start_driver("searching") as driver:
        driver.kill()
        try:
            wait_for(lambda: not any(map(alive, noted())))
        finally:
            for process in filter(alive, noted()):
                os.kill(process, signal.SIGKILL)


def test_an_evaluation_does_not_outlive_the_process_that_watches_over_it(functions):
    """Nobody would be left to end it. It is one that died, and the study goes on."""
    with start_driver("waiting") as driver:
        for process in noted():
            os.kill(int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        wait_for(lambda: not any(map(alive, noted()[:2])))
        Path("go").touch()
        driver.communicate(timeout=DEADLINE)
    assert [(str(trial.status), trial.reason) for trial in Tuner.attach("s", journal="s.db").study.trials[:2]] == [
        ("Failed", "the evaluation's process died with exit code -9")
    ] * 2


NO_ROOM_AT_FIRST = """
    import os, pathlib
    fork = os.fork

    def refuse():
        if pathlib.Path("refused").exists():
            return fork()
        pathlib.Path("refused").touch()
        raise BlockingIOError(11, "Resource temporarily unavailable")

    os.fork = refuse
"""


def test_an_evaluation_for_which_there_is_no_second_process_is_tried_again(functions, own_folder):
    """It has not begun, so the function has not failed."""
    (own_folder / "sitecustomize.py").write_text(textwrap.dedent(NO_ROOM_AT_FIRST))
    study = tune(functions.square, max_jobs=1, max_parallel_jobs=1)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1)]


def test_a_second_ctrl_c_stops_the_evaluations(functions):
    """They are killed with what they started, and journaled as stopped; the study can go on."""
    with start_driver("parent") as driver:
        driver.send_signal(signal.SIGINT)
        wait_for(lambda: "Ctrl-C again" in driver.stderr.readline())
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=DEADLINE)
    assert not any(map(alive, noted()))
    tuner = Tuner.attach("s", journal="s.db")
    assert [str(trial.status) for trial in tuner.study.trials] == ["Stopped", "Stopped"]
    assert tuner.study.stop_reason is None
    assert tuner.describe()["HyperParameterTuningJobStatus"] == "Stopped"


def launched(functions, slots):
    """A backend with some slots, and two trials that it was told to launch."""
    backend = PythonFunction(functions.waiting, processes=True).connect(
        story("", max_parallel_jobs=slots), JobSettings(Path())
    )
    trials = [Trial(n, Proposal({"x": 0.5}), "random", {"x": 0.5}, job_name=f"s-{n}-0") for n in range(2)]
    backend.launch(trials)
    return backend, trials


def test_a_stop_that_comes_before_the_process_is_not_lost(functions, monkeypatch):
    """The thread that starts the process looks again when it is there; what has no thread yet does not begin."""
    starting, go_on = threading.Event(), threading.Event()
    popen = subprocess.Popen

    def slow(*arguments, **options):
        starting.set()
        assert go_on.wait(DEADLINE)
        return popen(*arguments, **options)

    monkeypatch.setattr("byohpo_core.backends.function.process.subprocess.Popen", slow)
    backend, trials = launched(functions, slots=1)
    assert starting.wait(DEADLINE)
    backend.stop(trials)
    go_on.set()
    ended = []
    wait_for(lambda: ended.extend(backend.poll(trials, 0.1)) or len(ended) == 2)
    backend.close()
    assert [str(update.outcome) for update in ended] == ["Stopped", "Stopped"]


def test_a_process_that_cannot_be_started_is_tried_again(functions, monkeypatch):
    """A machine without room for another process is no failure of the function."""
    popen, attempts = subprocess.Popen, []

    def no_room_at_first(*arguments, **options):
        attempts.append(arguments)
        if len(attempts) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*arguments, **options)

    monkeypatch.setattr("byohpo_core.backends.function.process.subprocess.Popen", no_room_at_first)
    study = tune(functions.square, max_jobs=1, max_parallel_jobs=1)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1)]


def test_a_second_ctrl_c_is_heeded_while_a_failed_plugin_waits_for_its_evaluations(functions):
    """The study ends with the plugin's error; the jobs are stopped, not waited for."""
    Path("driver.py").write_text(
        textwrap.dedent("""
            import os, signal, threading, time
            from byohpo_core import ContinuousParameter, PythonFunction, Tuner, hookimpl
            import functions

            class Failing:
                def __init__(self, problem):
                    self.calls = 0

                @hookimpl
                def propose(self, study, count):
                    return [{"x": 0.5}]

                @hookimpl
                def stop(self, study):
                    if study.running:
                        raise RuntimeError("no idea")

            def press():
                while not os.path.exists("ledger"):
                    time.sleep(0.01)
                for _ in range(2):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.2)

            threading.Thread(target=press).start()
            Tuner(PythonFunction(functions.waiting, processes=True), "loss", {"x": ContinuousParameter(0, 1)},
                  strategy=Failing, max_jobs=1, journal="s.db", progress=False).fit(job_name="s")
        """)
    )
    done = subprocess.run([sys.executable, "driver.py"], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert re.search("'Failing'.*stop.*RuntimeError: no idea", done.stderr)
    assert [str(trial.status) for trial in Tuner.attach("s", journal="s.db").study.trials] == ["Stopped"]


LIMITED = """
    import resource
    from byohpo_core import ContinuousParameter, PythonFunction, Tuner
    import functions
    resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
    Tuner(PythonFunction(functions.square, processes=True), "loss", {{"x": ContinuousParameter(0, 1)}},
          strategy="random", max_jobs=16, max_parallel_jobs=12, journal="s.db", progress=False).fit(job_name="s")
"""


@pytest.mark.parametrize("limit", [16, 20, 32])
def test_few_file_descriptors_leave_fewer_slots_and_no_failed_trial(functions, limit):
    """One line says so; as many evaluate at a time as there is room for."""
    Path("driver.py").write_text(textwrap.dedent(LIMITED.format(limit=limit)))
    done = subprocess.run([sys.executable, "driver.py"], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    study = Tuner.attach("s", journal="s.db").study
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 0)] * 16
    told = done.stderr.replace("what a function prints is no answer", "").split("\n")
    told = [line for line in told if line]
    assert told
    assert all("no room for another process" in line and "at a time from now on" in line for line in told)


def test_a_job_that_waits_for_room_can_be_stopped(functions, monkeypatch):
    """It has no process to kill yet."""
    popen, started = subprocess.Popen, []

    def room_for_one(*arguments, **options):
        started.append(arguments)
        if len(started) > 1:
            raise OSError(24, "Too many open files")
        return popen(*arguments, **options)

    monkeypatch.setattr("byohpo_core.backends.function.process.subprocess.Popen", room_for_one)
    backend, trials = launched(functions, slots=2)
    wait_for(lambda: backend.slots == 1)
    backend.stop(trials)
    ended = []
    wait_for(lambda: ended.extend(backend.poll(trials, 0.1)) or len(ended) == 2)
    backend.close()
    assert [str(update.outcome) for update in ended] == ["Stopped", "Stopped"]


SIGNALS = {
    "an alarm": "signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)",
    "SIGCHLD is ignored": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "a handler of SIGCHLD": "signal.signal(signal.SIGCHLD, lambda *_: None)",
    "blocked signals": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM})",
}


@pytest.mark.parametrize("handling", SIGNALS.values(), ids=SIGNALS)
def test_what_a_program_does_with_signals_changes_no_evaluation(functions, handling):
    """In its own process, a function learns the exit codes of what it starts, and the program lives on."""
    still = "signal.setitimer(signal.ITIMER_REAL, 0)"  # Python itself dies of an alarm while it exits
    driver = textwrap.dedent(DRIVER.format(name="leaving"))
    Path("driver.py").write_text(f"import signal\n{handling}\n{driver}\n{still}\n")
    done = subprocess.run([sys.executable, "driver.py"], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")
    study = Tuner.attach("s", journal="s.db").study
    assert [(str(trial.status), trial.value) for trial in study.trials] == [("Completed", 3.0)] * 4
