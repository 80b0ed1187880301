"""A study is driven by another process."""

import threading
import time

from byohpo_core import ContinuousParameter, Tuner


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
