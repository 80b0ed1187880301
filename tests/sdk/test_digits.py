"""The demo's script, unchanged, tuned by a particle swarm through an unmodified SDK: the page's own lines."""

import re
import runpy
import shutil
from importlib import metadata
from pathlib import Path

import boto3
import pytest

from byohpo_core import Tuner

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
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # the SDK's, which may remember the keys of another emulator
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
    """The page's code for this SDK runs four jobs, two at a time, and finds the best model."""
    Path("program.py").write_text(page())
    names = runpy.run_path("program.py")
    study = names["study"]
    assert [str(trial.status) for trial in study.trials if trial.result_of is None] == ["Completed"] * 4
    assert emulator.peak_instances == 2
    assert study.best.value > 0.5
    assert "model.tar.gz" in capsys.readouterr().out
    if VERSION == "2":
        assert names["tuner"].best_estimator().latest_training_job.name == study.best.job_name


def test_the_sdks_own_tuner_can_be_given(emulator):
    """The SDK's tuner gives its settings, further arguments override them, and `tune` and `model_trainer` work too."""
    program = page().replace("from byohpo_core import ContinuousParameter, IntegerParameter, Tuner", THEIRS[VERSION])
    program = program.replace('    strategy="pso",\n', "").partition("study = tuner.fit")[0]
    Path("program.py").write_text(program)
    theirs = runpy.run_path("program.py")["tuner"]
    tuner = Tuner(theirs, strategy="random", max_jobs=2, random_seed=1)
    study = tuner.tune(job_name="theirs")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 2
    assert study.problem.max_parallel_jobs == 2
    assert list(study.problem.space.tunable) == ["learning_rate", "num_epoch"]
    if VERSION == "3":
        settings = {"objective_metric_name": "a", "hyperparameter_ranges": study.problem.space.tunable}
        again = Tuner(model_trainer=theirs.model_trainer, strategy="random", **settings)
        assert again._plan.problem.objectives[0].metric == "a"


THEIRS = {
    "2": """
from sagemaker.tuner import ContinuousParameter, IntegerParameter
from sagemaker.tuner import HyperparameterTuner as Tuner
""",
    "3": """
from sagemaker.core.parameter import ContinuousParameter, IntegerParameter
from sagemaker.train.tuner import HyperparameterTuner as Tuner
""",
}
