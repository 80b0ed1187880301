"""What the tests of the command share."""

import textwrap

import pytest

STUDY = """
    strategy = "pso"
    objective_metric_name = "loss"
    objective_type = "Minimize"
    max_jobs = 8
    max_parallel_jobs = 2
    random_seed = 1
    job_name = "first"

    [script]
    entry_point = "train.py"
    source_dir = "source"
    hyperparameters = { batch = 100 }

    [hyperparameter_ranges.x]
    type = "continuous"
    min_value = 0.0
    max_value = 5.0

    [strategy_options]
    population = 4

    [[extensions]]
    name = "target-value"
    value = -1.0

    [inputs]
    training = "rows"
"""
TRAIN = """
    import argparse, os, time
    parser = argparse.ArgumentParser()
    parser.add_argument("-x", type=float)
    parser.add_argument("--batch", type=int)
    arguments = parser.parse_args()
    assert arguments.batch == 100 and os.path.isdir(os.environ["SM_CHANNEL_TRAINING"])
    print(f"loss={(arguments.x - 1) ** 2}")
"""


@pytest.fixture
def folder(tmp_path):
    """A study's file, its script and its data, in a folder of their own."""
    folder = tmp_path / "digits"
    (folder / "source").mkdir(parents=True)
    (folder / "rows").mkdir()
    (folder / "study.toml").write_text(textwrap.dedent(STUDY))
    (folder / "source" / "train.py").write_text(textwrap.dedent(TRAIN))
    return folder
