"""Real driver processes are killed at random moments, and others go on."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from inside import session

from byohpo_core import ContinuousParameter, Problem, SearchSpace, Tuner
from byohpo_core.journal import open_journal

JOBS = 10
SEED = 11
DRIVER = """
    import os, random, sys, time
    from byohpo_core import ByohpoError, ContinuousParameter, PythonFunction, TrainingScript, Tuner, UnknownStudy

    def tell(line):
        ledger = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(ledger, (line + "\\n").encode())
        os.close(ledger)

    connect = PythonFunction.connect

    def connecting(*arguments):
        backend = connect(*arguments)
        evaluate = backend._call

        def telling(job_name, hyperparameters):
            tell(job_name)
            return evaluate(job_name, hyperparameters)

        backend._call = telling
        return backend

    PythonFunction.connect = connecting

    def objective(hyperparameters):
        time.sleep(0.05 + hyperparameters["x"] / 20)
        return (hyperparameters["x"] - 0.3) ** 2

    strategy, backend = sys.argv[1:]
    script = TrainingScript("train.py", environment={"LEDGER": os.path.abspath("ledger")})
    estimator = objective if backend == "function" else script
    try:
        try:
            tuner = Tuner.attach("s", estimator=estimator, progress=False)
        except UnknownStudy:
            Tuner(estimator, "loss", {"x": ContinuousParameter(0, 1)}, strategy=strategy, objective_type="Minimize",
                  max_jobs=10, max_parallel_jobs=3, random_seed=11, progress=False).fit(job_name="s")
        else:
            tuner.resume()
    except ByohpoError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
"""
TRAIN = """
    import os, sys, time
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, (os.environ["TRAINING_JOB_NAME"] + "\\n").encode())
    x = float(sys.argv[2])
    time.sleep(0.05 + x / 20)
    print(f"loss={(x - 0.3) ** 2}")
"""
DEADLINE = 120
SPAN = {"local": (0.15, 1.3), "function": (0.2, 0.55)}
"""Seconds after its start within which a driver dies: most are at work then."""


def prepare(folder):
    folder.mkdir()
    (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))


def drive(folder, strategy, backend):
    environment = {name: value for name, value in os.environ.items() if name != "BYOHPO_JOURNAL"}
    return subprocess.Popen(
        [sys.executable, "driver.py", strategy, backend],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )


def life(folder, strategy, backend, seed):
    """One study, whose drivers are killed up to four times; how many of the kills met a driver at work."""
    draw = random.Random(seed)
    prepare(folder)
    kills = Counter()
    for _ in range(4):
        with drive(folder, strategy, backend) as driver:
            try:
                driver.wait(draw.uniform(*SPAN[backend]))
            except subprocess.TimeoutExpired:
                group = draw.random() < 0.5
                (os.killpg if group else os.kill)(driver.pid, signal.SIGKILL)
                kills["of the whole process group" if group else "of the driver alone"] += 1
            else:
                break
    with drive(folder, strategy, backend) as driver:
        _, error = driver.communicate(timeout=DEADLINE)
        assert driver.returncode == 0, error.decode()
    check(folder, strategy, backend)
    return kills


def check(folder, strategy, backend):
    """Nothing lost, nothing twice, and the proposals are those of an algorithm that never died."""
    path = folder / "byohpo.db"
    study = Tuner.attach("s", journal=path).study
    ledger = (folder / "ledger").read_text().splitlines()
    assert study.stop_reason == f"max_jobs ({JOBS}) reached"
    jobs = [trial for trial in study.trials if trial.status != "Reused"]
    assert len(jobs) == JOBS
    assert all(trial.status == "Completed" for trial in jobs)
    started = Counter(ledger)
    if backend == "local":
        assert all(trial.attempt == 0 for trial in jobs)
        assert started == Counter(trial.job_name for trial in jobs)
    else:
        names = {f"{study.id}-{trial.number}-{attempt}" for trial in jobs for attempt in range(trial.attempt + 1)}
        assert {trial.job_name for trial in jobs} <= started.keys() <= names
        assert set(started.values()) == {1}
    journal = open_journal(path)
    log = journal.find("s")
    finished = Counter(event.body["trial"] for event in log.read() if event.kind == "finished")
    assert set(finished.values()) == {1}
    manifest = session.Manifest.of(log)
    plugins = session.build_plugins(manifest, [session.restore(spec) for spec in manifest.plugins])
    session.replay(log, manifest, plugins)  # raises Diverged at the first proposal that differs
    plugins.close()
    journal.close()
    if strategy == "random":
        problem = Problem(SearchSpace({"x": ContinuousParameter(0, 1)}), manifest.problem.objectives, SEED, JOBS, 3)
        draws = [random.Random(f"{problem.seed}-{trial.number}") for trial in study.trials]
        assert [trial.hyperparameters["x"] for trial in study.trials] == [
            problem.space.sample(draw)["x"] for draw in draws
        ]


@pytest.mark.parametrize("backend", ["local", "function"])
@pytest.mark.parametrize("strategy", ["random", "pso"])
def test_drivers_killed_at_random_moments_lose_nothing_and_repeat_nothing(strategy, backend, long, counts, own_folder):
    """Drivers are killed alone or with their process group, several times, until the study ends."""
    wanted, kills, seed = (200 if long else 4), Counter(), 0
    with ThreadPoolExecutor(3) as pool:
        while kills.total() < wanted:
            seeds = range(seed, seed + 6)
            seed += 6
            folders = [own_folder / f"study{number}" for number in seeds]
            for some in pool.map(life, folders, [strategy] * 6, [backend] * 6, seeds):
                kills += some
            for folder in folders:
                shutil.rmtree(folder)
    for kind, count in kills.items():
        counts[f"kills at a random moment {kind}: {strategy}, {backend}"] += count
    counts[f"studies that ended whole after such kills: {strategy}, {backend}"] += seed


def test_of_two_drivers_at_once_one_works_and_the_other_is_told(long, counts, own_folder):
    """Of two drivers that start at once one is refused; when the other is killed, the next one can go on at once."""
    for number in range(20 if long else 3):
        folder = own_folder / f"race{number}"
        prepare(folder)
        first = drive(folder, "random", "local")
        wait_for((folder / "ledger").exists)
        first.kill()
        first.communicate()
        racers = [drive(folder, "random", "local") for _ in range(2)]
        time.sleep(random.Random(number).uniform(0.3, 0.6))
        told = []
        for racer in racers:
            if racer.poll() is None:
                racer.kill()
                counts["holders of a study killed while another wanted it"] += 1
            _, error = racer.communicate()
            told.append(error.decode())
        refused = [text for text in told if re.search(r"'s(-\w+)?'.*\bprocess\b", text)]
        counts["second drivers refused, with the holder's name"] += len(refused)
        assert all(not text or text in refused for text in told), told
        with drive(folder, "random", "local") as last:
            _, error = last.communicate(timeout=DEADLINE)
            assert last.returncode == 0, error.decode()
        check(folder, "random", "local")


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_ends_with_one_line_and_the_study_goes_on_when_there_is_room(counts, own_folder):
    """The file system is really full or, where none can be mounted, files have a largest size."""
    folder = own_folder / "small"
    prepare(folder)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    try:
        if mounted.returncode == 0:
            (folder / "driver.py").write_text(textwrap.dedent(DRIVER))
            filler = folder / "filler"
            with drive(folder, "pso", "function") as driver:
                wait_for((folder / "ledger").exists)
                fill(filler)
                _, error = driver.communicate(timeout=DEADLINE)
            filler.unlink()
        else:
            code = (
                "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000)); "
                "sys.argv = ['driver.py', 'pso', 'function']; runpy.run_path('driver.py', run_name='__main__')"
            )
            driver = subprocess.Popen([sys.executable, "-c", code], cwd=folder, stderr=subprocess.PIPE)
            _, error = driver.communicate(timeout=DEADLINE)
        assert driver.returncode == 2, error.decode()
        (line,) = error.decode().splitlines()
        assert "byohpo.db" in line
        with drive(folder, "pso", "function") as driver:
            _, error = driver.communicate(timeout=DEADLINE)
            assert driver.returncode == 0, error.decode()
        check(folder, "pso", "function")
        counts["full disks" if mounted.returncode == 0 else "files at their largest size"] += 1
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)


def fill(file):
    """Write until there is no room, to the last byte."""
    with file.open("wb", buffering=0) as filler:
        for size in (4096, 256, 1):
            try:
                while filler.write(b"x" * size):
                    pass
            except OSError:
                continue
