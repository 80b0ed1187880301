"""The driver dies at every boundary of the journal: children forked from a warm parent, killed with SIGKILL."""

import inspect
import json
import os
import re
import signal
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from inside import Driver, SqliteLog

from byohpo_core import (
    Blocking,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Objective,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    StaticParameter,
    Tuner,
    register,
)

RANGES = {
    "x": ContinuousParameter(-5, 5),
    "rate": ContinuousParameter(1e-5, 1),
    "n": IntegerParameter(1, 4),
    "kind": CategoricalParameter(["a", "b"]),
    "batch": StaticParameter(100),
}
SMALL = {"n": IntegerParameter(1, 3), "kind": CategoricalParameter(["a", "b", "c"])}


def simulated(hyperparameters):
    """A job with a curve, that sometimes fails and sometimes is interrupted."""
    x, n = hyperparameters.get("x", 1.0), hyperparameters["n"]
    loss = (x - 1) ** 2 + n + (hyperparameters["kind"] == "b")
    failure = "diverged" if x > 4 else None
    curve = [{"loss": loss + 1, "cost": n}, {"loss": loss, "cost": n}]
    return Simulation(curve, 50 + 40 * abs(x) + 7 * n, failure, int(x < -4 and n > 2))


def compass(evaluate):
    """A plain optimiser that calls f and waits: steps along the axes, halved when none is better."""
    point, step = [0.5] * 4, 0.4
    (best,) = evaluate([point])
    while step > 1e-3:
        neighbours = [
            [min(1.0, max(0.0, value + sign * step * (axis == place))) for place, value in enumerate(point)]
            for axis in range(4)
            for sign in (1, -1)
        ]
        losses = evaluate(neighbours)
        if min(losses) < best:
            best = min(losses)
            point = neighbours[losses.index(best)]
        else:
            step /= 2


@register("compass")
def compass_search(problem):
    """A blocking optimiser as a plugin."""
    return Blocking(problem, compass)


CLASSES = {
    entry.name: entry.load()
    for entry in sorted(entry_points(group="byohpo.algorithms"))
    if entry.dist.name.startswith("byohpo-plugin-")
}
ALGORITHMS = [*CLASSES]
BY_MODE = [name for name in ALGORITHMS if "mode" in inspect.signature(CLASSES[name]).parameters and name != "hyperband"]
STUDIES = [
    *((name, "mixed", None) for name in (*ALGORITHMS, "compass")),
    *((name, "small", None) for name in ALGORITHMS),
    *((name, "mixed", "generational") for name in BY_MODE),
    ("hyperband", "mixed", "hyperband"),
]
"""By default those of `BY_MODE` are asynchronous, since the studies have four slots."""


def options(strategy, mode):
    return {"resolution": 3} if strategy == "grid" else mode and {"mode": mode}


def fit(strategy, space, path, mode=None, *, early_stopping_type="Auto"):
    Tuner(
        Simulated(simulated),
        ["loss", "cost"] if strategy == "nsga2" else "loss",
        RANGES if space == "mixed" else SMALL,
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=16 if space == "mixed" else 8,
        max_parallel_jobs=4,
        random_seed=5,
        early_stopping_type=early_stopping_type,
        strategy_options=options(strategy, mode),
        **({"resource": "epochs", "max_resource": 4} if strategy == "hyperband" else {}),
        failure_limit=False,
        journal=path,
        progress=False,
    ).fit(job_name="s")


def resume(path):
    return Tuner.attach("s", journal=path, estimator=Simulated(simulated), progress=False).resume()


def outcome(path):
    """All that must be the same, whatever died when."""
    study = Tuner.attach("s", journal=path).study
    trials = [
        [
            t.number,
            dict(t.hyperparameters),
            str(t.status),
            t.values,
            t.attempt,
            t.started,
            t.ended,
            t.result_of,
            t.reason,
        ]
        for t in study.trials
    ]
    return json.loads(json.dumps([trials, study.jobs, study.stop_reason]))


def in_child(work, dies_at=None):
    """Do some work in a forked child that dies by SIGKILL at the given commit; whether it lived to the end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if dies_at is not None:
                die_at(*dies_at)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - told on standard error, which pytest shows
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def die_at(commit, moment):
    append, connect = SqliteLog.append, Simulated.connect
    left = commit

    def dying(log, events):
        nonlocal left
        if left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        append(log, events)
        if left == 0 and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def connecting(*arguments):
        backend = connect(*arguments)
        stop = backend.stop

        def dying_at_a_stop(trials):
            if left <= 0 and moment == "at the stop":
                os.kill(os.getpid(), signal.SIGKILL)
            stop(trials)

        backend.stop = dying_at_a_stop
        return backend

    SqliteLog.append, Simulated.connect = dying, connecting


@pytest.fixture
def fresh():
    """Paths of journals that do not exist yet."""
    number = 0

    def path():
        nonlocal number
        number += 1
        return f"{number}.db"

    return path


def test_the_studies_have_both_modes():
    """With four slots each of these algorithms is asynchronous by default; the studies name the other mode."""
    assert len(BY_MODE) == 9
    space = SearchSpace(RANGES)
    for objectives, names in ((1, set(BY_MODE) - {"nsga2"}), (2, {"nsga2"})):
        named = tuple(Objective(str(number), "Minimize") for number in range(objectives))
        for name in names:
            assert CLASSES[name](Problem(space, named, 1, 16, 4)).mode == "asynchronous"


@pytest.mark.parametrize(("strategy", "space", "mode"), STUDIES, ids=str)
def test_a_driver_killed_at_any_boundary_resumes_as_if_nothing_had_happened(strategy, space, mode, fresh, long, counts):
    """A driver is killed before or after each commit, and its resume at one of the first; the study ends the same."""
    whole = fresh()
    fit(strategy, space, whole, mode)
    expected = outcome(whole)
    kills = resumes = 0
    commit = 0
    while True:
        ended = True
        for moment in ("before", "after"):
            path = fresh()
            lived = in_child(lambda path=path: fit(strategy, space, path, mode), (commit, moment))
            kills += not lived
            ended &= lived
            if not lived:
                kills += not in_child(lambda path=path: resume(path), (commit % 3, moment))
                resumes += 1
            assert in_child(lambda path=path: resume(path))
            resumes += 1
            assert outcome(path) == expected, f"killed {moment} commit {commit}"
        if ended:
            break
        commit += 1 if long else 4
    assert kills > 10
    counts["drivers killed at a boundary of the journal"] += kills
    counts["resumes after that, all as the uninterrupted study"] += resumes


def stopped_by_its_user(monkeypatch):
    """Somebody calls `stop_tuning_job` when five trials have finished, and again after a crash."""
    heed = Driver._follow_stop_requests

    def asked(driver):
        driver._stop_requested = lambda: "stopped" if driver.study.finished_count >= FINISHED else None
        heed(driver)

    monkeypatch.setattr(Driver, "_follow_stop_requests", asked)


def left_by_ctrl_c(monkeypatch):
    """Somebody presses Ctrl-C twice when five trials have finished, unless jobs were stopped before the crash."""
    heed = Driver._follow_stop_requests

    def pressed(driver):
        study = driver.study
        asked = any(map(study.stopping, study.running)) or any(trial.status == "Stopped" for trial in study.trials)
        if study.finished_count >= FINISHED and not asked:
            driver._interrupts.count = 2
        heed(driver)

    monkeypatch.setattr(Driver, "_follow_stop_requests", pressed)


FINISHED = 5


@pytest.mark.parametrize("cut_short", [stopped_by_its_user, left_by_ctrl_c], ids=lambda cut: cut.__name__)
def test_jobs_that_the_user_stops_are_stopped_whatever_dies(cut_short, fresh, long, counts, monkeypatch):
    """A stop is in the journal before it is done, so the next driver repeats it."""
    cut_short(monkeypatch)

    def to_the_end(work, path):
        try:
            work(path)
        except KeyboardInterrupt:
            resume(path)

    def begin(path):
        to_the_end(lambda path: fit("random", "mixed", path, early_stopping_type="Off"), path)

    whole = fresh()
    begin(whole)
    expected = outcome(whole)
    assert sum(trial[2] == "Stopped" for trial in expected[0]) >= 3
    commit = kills = 0
    while True:
        ended = True
        for moment in ("before", "after", "at the stop"):
            path = fresh()
            lived = in_child(lambda path=path: begin(path), (commit, moment))
            kills += not lived
            ended &= lived
            assert in_child(lambda path=path: to_the_end(resume, path))
            assert outcome(path) == expected, f"killed {moment} of commit {commit}"
        if ended:
            break
        commit += 1 if long else 2
    assert kills > 10
    counts["drivers killed around a stop of the user's"] += kills


PLUGIN = """
import random
from byohpo_core import hookimpl

class House:
    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed + {version})
    @hookimpl
    def propose(self, study, count):
        return [self.space.sample(self.random) for _ in range(count)]
"""


def test_a_changed_plugin_is_named_and_its_restart_survives_every_death(fresh, long, counts, monkeypatch):
    """A changed plugin raises `Diverged`; `restart_algorithm` goes on, wherever it is killed."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def first(path):
        from house import House

        fit(House, "mixed", path)

    def diverging(path):
        try:
            resume(path)
        except Exception as error:  # noqa: BLE001 - as for a training script: its failure is the trial's
            assert type(error).__name__ == "Diverged"  # noqa: PT017
            assert re.search(r"'House' \(house:House\).*\btrial 0\b", str(error))  # noqa: PT017
        else:
            raise AssertionError("the change went unnoticed")

    def restart(path):
        Tuner.attach("s", journal=path, estimator=Simulated(simulated), progress=False).resume(restart_algorithm=True)

    commit = 0
    while True:
        path = fresh()
        Path("house.py").write_text(PLUGIN.format(version=1))
        assert not in_child(lambda path=path: first(path), (6, "after"))
        Path("house.py").write_text(PLUGIN.format(version=2))
        assert in_child(lambda path=path: diverging(path))
        lived = in_child(lambda path=path: restart(path), (commit, "after"))
        assert in_child(lambda path=path: resume(path))
        trials, jobs, reason = outcome(path)
        assert (jobs, reason) == (16, "max_jobs (16) reached")
        assert len({json.dumps(trial[1]) for trial in trials if trial[2] != "Reused"}) == 16
        counts["restarts of a changed plugin killed at a boundary"] += not lived
        if lived:
            break
        commit += 1 if long else 5
