"""A study is driven by another process."""

import errno
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from byohpo_core import ByohpoError, ContinuousParameter, TrainingScript, Tuner


def test_a_study_goes_on_in_a_process_of_its_own(own_folder, caplog):
    """`fit(wait=False)` returns at once and tells where the log is; another process drives the study to its end."""
    (own_folder / "train.py").write_text("import sys; print('loss=' + sys.argv[-1])\n")
    tuner = Tuner("train.py", "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=2, progress=False)
    study = tuner.fit(job_name="apart", wait=False)
    assert len(study.trials) == 0
    log = own_folder / f"byohpo.db.{study.id}.log"
    assert "apart" in caplog.text
    assert str(log) in caplog.text
    deadline = time.monotonic() + 60
    while "max_jobs (2) reached" not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert len(Tuner.attach("apart").study.trials) == 2
    assert tuner.study.stop_reason == "max_jobs (2) reached"
    assert tuner.best_training_job() is not None


def opened():
    """What this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return found


def no_room(*_, **__):
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


TROUBLES = {
    "a huge environment": lambda patch: patch.setenv("HUGE", "x" * 2**18),
    "no room for a process": lambda patch: patch.setattr("os.posix_spawn", no_room),
    "no room for a pipe": lambda patch: patch.setattr("os.pipe", no_room),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_driver_that_cannot_be_started_leaves_a_study_that_can_be_resumed(own_folder, monkeypatch, trouble):
    """The study exists by then. One line names it and what to type, and nothing stays open."""
    (own_folder / "train.py").write_text("print('loss=1')\n")
    tuner = Tuner("train.py", "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=2, progress=False)
    pipes = sum(it.startswith("pipe:") for it in opened())
    with monkeypatch.context() as patch:
        TROUBLES[trouble](patch)
        with pytest.raises(ByohpoError, match=r"apart.*`byohpo resume apart`") as raised:
            tuner.fit(job_name="apart", wait=False)
    assert "\n" not in str(raised.value)
    assert sum(it.startswith("pipe:") for it in opened()) == pipes
    assert not any("apart-" in it and it.endswith(".log") for it in opened())
    assert Tuner.attach("apart", progress=False).resume().stop_reason == "max_jobs (2) reached"


def test_the_jobs_of_a_driver_in_a_process_of_its_own_import_what_they_would_without_it(own_folder, monkeypatch):
    """The program's folder is on the new driver's path, at the end, and on that of no script."""
    (own_folder / "colorsys.py").write_text("raise ImportError('the program has hidden the library')\n")
    source = own_folder / "source"
    source.mkdir()
    (source / "train.py").write_text("import colorsys; print('loss=1')\n")
    monkeypatch.syspath_prepend(str(own_folder))
    script = TrainingScript("train.py", source_dir="source")
    tuner = Tuner(script, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=1, progress=False)
    tuner.fit(job_name="apart", wait=False)
    deadline = time.monotonic() + 60
    while tuner.study.stop_reason is None and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert [trial.value for trial in tuner.study.trials] == [1.0]
