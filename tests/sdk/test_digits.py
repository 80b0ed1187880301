"""The demo's script, unchanged, tuned by a particle swarm through an unmodified SDK: the page's own lines."""

import re
import runpy
import shutil
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = metadata.version("sagemaker").split(".")[0]
pytestmark = pytest.mark.filterwarnings("ignore")  # the SDKs warn of themselves


@pytest.fixture
def emulator(monkeypatch, tmp_path):
    """The emulator, with the page's bucket and the demo's script beside the program."""
    from byohpo_sagemaker_emulator import Emulator

    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    shutil.copy(ROOT / "docs" / "examples" / "digits" / "train.py", tmp_path / "digits")
    with Emulator(folder=tmp_path / "emulator") as emulator:
        for name, value in {**emulator.environment, "BYOHPO_JOURNAL": "studies.db"}.items():
            monkeypatch.setenv(name, value)
        emulator.client("s3").create_bucket(Bucket="my-bucket")
        yield emulator


def page():
    """The page's block for the SDK that is installed."""
    text = (ROOT / "docs" / "sagemaker" / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(
        rf"^## With the SDK, version {VERSION}\n+```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE
    )
    return block


def test_the_lines_of_the_page_run(emulator, capsys):
    """From the SDK's object to the best model: four jobs, two at a time."""
    Path("program.py").write_text(page())
    names = runpy.run_path("program.py")
    study = names["study"]
    assert [str(trial.status) for trial in study.trials if trial.shares is None] == ["Completed"] * 4
    assert emulator.peak_instances == 2
    assert study.best.value > 0.5
    assert "model.tar.gz" in capsys.readouterr().out
    if VERSION == "2":
        assert names["tuner"].best_estimator().latest_training_job.name == study.best.job_name
