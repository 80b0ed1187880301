"""Every code block of the README runs, in order, in one program."""

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from studies import ROOT

README = ROOT / "README.md"
TRAIN = """
import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float)
parser.add_argument("--num_epoch", type=int)
parser.add_argument("--batch_size", type=int)
arguments = parser.parse_args()
assert arguments.batch_size == 100
assert os.path.exists(os.path.join(os.environ["SM_CHANNEL_TRAINING"], "rows.csv"))
for epoch in range(arguments.num_epoch):
    print(f"Validation-accuracy={1 - arguments.learning_rate / (epoch + 1)}")
"""


def test_the_readmes_lines_run(capsys, monkeypatch, sagemaker_emulator):
    """Tune a function, a script, a training job; resume, bring your own."""
    sagemaker_emulator.client("s3").create_bucket(Bucket="my-bucket")
    Path("train.py").write_text(TRAIN)
    Path("data").mkdir()
    Path("data/rows.csv").touch()
    monkeypatch.setattr("byohpo_core.driving.session.Progress", Silent)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    program = Path("readme.py")
    program.write_text("\n".join(blocks))
    names = runpy.run_path(str(program), run_name="__main__")
    assert names["study"].jobs == 20
    assert names["study"].trials[0].plugin == "house-special"
    assert "max_jobs (60) reached" in capsys.readouterr().out
    assert Path("toy.db").exists()
    assert len(re.findall(r"strategy=", "\n".join(blocks))) == 4
    assert {job.status for job in sagemaker_emulator.jobs.values()} == {"Completed"}
    assert os.environ.get("BYOHPO_JOURNAL") is None


PLUGINS = sorted(
    project.with_name("README.md")
    for project in ROOT.glob("plugins/*/pyproject.toml")
    if "byohpo.algorithms" in tomllib.loads(project.read_text())["project"].get("entry-points", {})
)


@pytest.mark.parametrize("readme", PLUGINS, ids=lambda readme: readme.parent.name)
def test_the_examples_of_a_plugin_run(readme, capsys, monkeypatch):
    """Each algorithm's README has an example, which names it and uses its budget."""
    monkeypatch.setattr("byohpo_core.driving.session.Progress", Silent)
    blocks = re.findall(r"^```python\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = blocks
    Path("example.py").write_text(block)
    names = runpy.run_path("example.py", run_name="__main__")
    assert names["study"].best is not None
    assert names["study"].jobs <= 40
    assert capsys.readouterr().out


class Silent:
    def __init__(self, note=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def happened(self, study, event):
        return None
