"""A project that was moved or lost in part: one line tells it before any job, and a program goes on."""

import shutil
import sys
from pathlib import Path

import pytest

from byohpo_core import ByohpoError, ContinuousParameter, TrainingScript, Tuner

SCRIPT = """
import sys
print(f"loss={sys.argv[2]}")
"""


@pytest.fixture
def moved():
    """A study of which three of six trials are over, in a project that has another place since then."""
    project = Path("project")
    project.mkdir()
    (project / "train.py").write_text(SCRIPT)
    (project / "data").mkdir()
    (project / "python").symlink_to(sys.executable)
    script = TrainingScript(str(project / "train.py"), python=str((project / "python").absolute()))
    tuner = Tuner(
        script,
        "loss",
        {"width": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=3,
        journal=str(project / "study.db"),
        progress=False,
    )
    tuner.fit({"training": str(project / "data")}, job_name="mine")
    project.rename("renamed")
    return Path("renamed")


def attach(folder, **given):
    """The study, with three more jobs."""
    return Tuner.attach("mine", journal=str(folder / "study.db"), progress=False, **given)


@pytest.mark.parametrize("lost", ["train.py", "python", "data"])
def test_what_is_not_there_any_more_is_told_before_any_job(lost, moved):
    """The line names it and the way on, and nothing is written into the old place."""
    shutil.copytree(moved, "project", symlinks=True)
    place = Path("project", lost)
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if lost == "train.py":  # without the copy that the first driver has made, it is needed
        shutil.rmtree("project/byohpo-jobs")
    before = sorted(Path().rglob("*"))
    with pytest.raises(ByohpoError) as told:
        attach(moved).resume(max_jobs=6)
    assert lost in str(told.value)
    assert "Tuner.attach('mine', estimator=TrainingScript(...)).resume()" in str(told.value)
    assert len(attach(moved).study.trials) == 3
    assert [it for it in sorted(Path().rglob("*")) if it not in before and "study.db" not in it.name] == []


def test_a_program_goes_on_with_a_script_of_another_place(moved):
    """Its interpreter may be told by a relative path, as in a new study."""
    Path("project").mkdir()
    Path("project/data").mkdir()
    script = TrainingScript(str(moved / "train.py"), python=str(moved / "python"))
    study = attach(moved, estimator=script).resume(max_jobs=6)
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 6
