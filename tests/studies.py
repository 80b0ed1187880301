"""What tests share: small studies with quiet settings, a study told event by event, and processes to wait for."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from inside import Head, events, linked

from byohpo_core import ContinuousParameter, Event, Objective, Problem, SearchSpace, Simulated, Simulation, Tuner
from byohpo_core.journal import open_journal

ROOT = Path(__file__).parents[1]
"""The project's folder."""
JOURNAL = "studies.db"
DEADLINE = 60
"""Seconds after which a test gives up waiting."""


def objective(hyperparameters):
    """A function with its minimum at x = 1."""
    return {"loss": (hyperparameters["x"] - 1) ** 2}


def simulated(hyperparameters):
    """The same as a job of some hours."""
    return Simulation(objective(hyperparameters), seconds=3600 * (1 + abs(hyperparameters["x"])))


def eventful_job(hyperparameters):
    """The same as a job with a curve, which fails where x > 4 and loses its first attempt where x < -4."""
    x = hyperparameters["x"]
    failure = "diverged" if x > 4 else None
    return Simulation([{"loss": (x - 1) ** 2 + 1}, {"loss": (x - 1) ** 2}], 100 + 40 * abs(x), failure, int(x < -4))


def tuner(estimator=objective, ranges=None, metric="loss", **settings):
    """A tuner of twelve jobs on three slots, unless `settings` say otherwise."""
    settings = {
        "strategy": "random",
        "objective_type": "Minimize",
        "max_jobs": 12,
        "max_parallel_jobs": 3,
        "random_seed": 1,
        "journal": JOURNAL,
        "progress": False,
        **settings,
    }
    return Tuner(estimator, metric, ranges or {"x": ContinuousParameter(-5, 5)}, **settings)


def tuned(*arguments, job_name="s", inputs=None, **settings):
    """A tuner whose study has come to its end."""
    made = tuner(*arguments, **settings)
    made.fit(inputs, job_name=job_name)
    return made


def tune(*arguments, **settings):
    """A study that has come to its end."""
    return tuned(*arguments, **settings).study


def eventful(strategy="pso", journal=JOURNAL, **settings):
    """A tuner in whose study everything happens: trials complete, fail, are pruned and are tried again."""
    settings = {"max_jobs": 16, "max_parallel_jobs": 4, "random_seed": 3, "early_stopping_type": "Auto", **settings}
    return tuner(Simulated(eventful_job), strategy=strategy, journal=journal, **settings)


def attach(name="s", estimator=None, **settings):
    """A tuner of a study in the journal; of an eventful one, unless there is an estimator."""
    settings = {"journal": JOURNAL, "progress": False, **settings}
    return Tuner.attach(name, estimator=estimator or Simulated(eventful_job), **settings)


def rechain(path):
    """Give the events of a journal, which a test has changed, the checksums that a driver would have written."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for study in connection.execute("SELECT id, name, manifest FROM studies").fetchall():
            checksum = Head.of_record(*study).checksum
            rows = connection.execute(
                "SELECT sequence, kind, version, time, trial, body FROM events WHERE study = ? ORDER BY sequence",
                study[:1],
            ).fetchall()
            for row in rows:
                checksum = linked(checksum, *row)
                connection.execute(
                    "UPDATE events SET checksum = ? WHERE study = ? AND sequence = ?", (checksum, study[0], row[0])
                )
            connection.execute(
                "UPDATE heads SET count = ?, checksum = ? WHERE study = ?", (len(rows), checksum, study[0])
            )


class Killed(BaseException):
    """Stands for the driver's death."""


def outcome(study):
    """All that must be the same after a crash: proposals, statuses, values, times."""
    return [
        (trial.number, dict(trial.hyperparameters), str(trial.status), trial.values, trial.attempt, trial.ended)
        for trial in study.trials
    ]


def log_class(journal=JOURNAL):
    """The class that appends events to such a journal, for tests that break it."""
    with (
        TemporaryDirectory() as folder,
        closing(open_journal(journal if journal == ":memory:" else f"{folder}/probe.db")) as probe,
    ):
        return type(probe.create("probe", {}))


@contextmanager
def dying(commits=0, journal=JOURNAL, *, moment="before"):
    """While this lasts, a driver dies (`Killed`) after so many commits: before or after it writes the next one."""
    log, left = log_class(journal), commits
    append = log.append

    def append_or_die(self, events):
        nonlocal left
        left -= 1
        if left >= 0 or moment == "after":
            append(self, events)
        if left < 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "append", append_or_die)
        yield


def event(sequence, kind, **body):
    """An event of this kind, by its name in journals."""
    return Event(sequence, events.EventKind(kind), float(sequence), body)


def story(text, *, max_jobs=6, max_parallel_jobs=2):
    """A study to which this happened, one event a second, such as "ask .1 .2; run 0; end 0 .5; see 0".

    - `ask X ...`: a plugin proposes these values of x, or none
    - `run N`, `report N LOSS ...`: the job of a trial starts, and publishes losses
    - `end N LOSS COST`, `fail N`, `stop N`: it ends; loss and cost may be left out
    - `retry N`, `again N`: its attempt was lost and counts towards `max_attempts`, or does not
    - `reuse N M`: a trial shares the result of another
    - `prune N`, `halt`: a job is asked to stop by a plugin, or all are by the user
    - `see N ...`: plugins observe these trials
    - `epoch`: limits were raised; all trials so far are prior
    """
    space = SearchSpace({"x": ContinuousParameter(0, 1)})
    problem = Problem(space, (Objective("loss", "Minimize"),), 1, max_jobs, max_parallel_jobs).to_json()
    study = open_journal(":memory:").create("s", {"problem": problem}).blank_study()
    for line in filter(None, text.split("; ")):
        verb, *words = line.split()
        kind, body = _happening(study, problem, verb, words)
        study.apply(Event(study.sequence, kind, float(study.sequence), body))
    return study


def _happening(study, problem, verb, words):
    if verb == "ask":
        return events.asked("random", len(words) or 1, [{"hyperparameters": {"x": float(it)}} for it in words])
    if verb == "see":
        return events.observed([int(it) for it in words])
    if verb == "halt":
        return events.stopped("the user", jobs=True)
    if verb == "epoch":
        return events.epoch(problem, [])
    number, *rest = int(words[0]), *map(float, words[1:])
    attempt = study.trials[number].attempt
    match verb:
        case "run":
            return events.intended(number, attempt, f"{study.id}-{number}-{attempt}")
        case "report":
            known = study.reports(study.trials[number]).get("loss")
            return events.reported(number, {"loss": [known.count if known else 0, rest]})
        case "end":
            loss, cost = [*rest, *(0.5, 0.0)[len(rest) :]]
            return events.finished(number, "Completed", metrics={"loss": loss}, details={"cost": cost})
        case "fail":
            return events.finished(number, "Failed", reason="diverged")
        case "stop":
            return events.finished(number, "Stopped", reason="stopped")
        case "retry" | "again":
            return events.retried(number, "lost", counted=verb == "retry", details={})
        case "reuse":
            return events.finished(number, "Reused", shares=int(rest[0]))
        case "prune":
            return events.pruned(number, "median", "too slow")
    raise ValueError(verb)


def byohpo(*arguments, **options):
    """What the command printed and its exit code, run in a process of its own."""
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def refused(done, *words):
    """Whether the command ended with exit code 2 and one line that has these words."""
    (line,) = done.stderr.splitlines()
    assert line.startswith("byohpo: error: ")
    assert all(word in line for word in words), line
    return done.returncode == 2


def wait_for(condition):
    """Wait until something is true, and give it back."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


def alive(process):
    """Whether there is a process of this id that is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
