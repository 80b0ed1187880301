"""A script's job that continues another has a copy of its checkpoints."""

import textwrap
from pathlib import Path

import pytest
from studies import tune

from byohpo_core import Proposal, TrainingScript, hookimpl

SCRIPT = textwrap.dedent("""
    import argparse, os, pathlib
    parser = argparse.ArgumentParser()
    parser.add_argument("-x")
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    folder = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "checkpoints")
    state = folder / "deep" / "state"
    done = state.read_text() if state.exists() else ""
    for epoch in range(len(done.split()), given.epochs):
        done += os.environ["SAGEMAKER_JOB_NAME"].split("-")[-2] + " "
        state.parent.mkdir(exist_ok=True)
        state.write_text(done)
        print(f"loss={1 / (epoch + 1)}")
    print("trail", done)
""")
PLAN = [(0.5, 1, None), (0.5, 3, 0), (0.5, 4, 0), (0.5, 6, 1)]


class Continues:
    """Proposes one trial, two that continue it, and one that continues the first of these."""

    def __init__(self, problem):
        self.seen = 0

    @hookimpl
    def propose(self, study, count):
        number = len(study.trials)
        if number >= len(PLAN) or ((PLAN[number][2] or 0) >= self.seen and number):
            return []
        x, fidelity, parent = PLAN[number]
        return [Proposal({"x": x}, fidelity=fidelity, resume_from=parent)]

    @hookimpl
    def observe(self, study, trials):
        self.seen += len(trials)

    @hookimpl
    def prune(self, study, trial):
        """So that curves are kept."""


def test_each_child_continues_its_parent_and_no_other(tmp_path):
    """Two children of one trial begin with its checkpoints, in folders of their own, and their steps count on."""
    (tmp_path / "train.py").write_text(SCRIPT)
    study = tune(
        TrainingScript(str(tmp_path / "train.py")),
        strategy=Continues,
        max_jobs=4,
        max_parallel_jobs=2,
        resource="epochs",
        max_resource=9,
        order="strict",
    )
    trails = [trail(trial) for trial in study.trials]
    assert trails == ["0", "0 1 1", "0 2 2 2", "0 1 1 3 3 3"]
    assert [len(study.curve(trial.number)) for trial in study.trials] == [1, 2, 3, 3]
    assert study.history(3) == pytest.approx([1 / (epoch + 1) for epoch in range(6)])


def trail(trial):
    lines = Path(trial.details["log"]).read_text().splitlines()
    return next(line.removeprefix("trail ").strip() for line in lines if line.startswith("trail"))
