"""A study is driven by another process."""

import threading
import time
from functools import wraps

import pytest
from studies import objective

from byohpo_core import (
    ContinuousParameter,
    InvalidInput,
    Tuner,
    hookimpl,
)


class Times:
    def __init__(self, factor):
        self.factor = factor

    def times(self, hyperparameters):
        return self.factor * hyperparameters["x"]


THRICE = Times(3)


@wraps(objective)
def hidden(hyperparameters):
    return objective(hyperparameters)["loss"] + 1


def test_a_study_goes_on_in_a_process_of_its_own(own_folder, caplog):
    """`fit(wait=False)` returns at once and tells where the log is; another process drives the study to its end."""
    (own_folder / "train.py").write_text("import sys; print('loss=' + sys.argv[-1])\n")
    tuner = Tuner("train.py", "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=2, progress=False)
    study = tuner.fit(job_name="apart", wait=False)
    assert len(study.trials) == 0
    log = own_folder / f"byohpo.db.{study.id}.log"
    assert f"study apart is driven by another process, which writes to {log}" in caplog.text
    deadline = time.monotonic() + 60
    while "max_jobs (2) reached" not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert len(Tuner.attach("apart").study.trials) == 2


def test_what_only_this_program_has_cannot_go_on_in_another():
    """A class or a function of a test has no name by which another process could import it."""

    class Here:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return []

    ranges = {"x": ContinuousParameter(0, 1)}
    for estimator, strategy, message in (
        (objective, Here, "'Here'.*exists only in this program"),
        (lambda hyperparameters: 1.0, "random", "exists only in this program"),
        (THRICE.times, "random", "Times.times exists only in this program"),
        (hidden, "random", "objective exists only in this program"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Tuner(estimator, "loss", ranges, strategy=strategy, progress=False).fit(wait=False)
    with pytest.raises(InvalidInput, match="needs a journal on disk"):
        Tuner(objective, "loss", ranges, strategy="random", journal=":memory:", progress=False).fit(wait=False)
