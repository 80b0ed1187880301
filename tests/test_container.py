"""The contract of the training container, as SageMaker's script mode has it."""

import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from byohpo_core.container import Layout, arguments, environment, off_the_wire, on_the_wire, resource_configuration

HYPERPARAMETERS = {"learning-rate": 1e-05, "b": True, "layers": 3, "name": "a b", "sagemaker_program": "train.py"}


def test_arguments_are_sorted_words():
    """`--key value`, single letters with one hyphen, bools as Python prints them, nothing of SageMaker's own."""
    assert arguments(HYPERPARAMETERS) == ["-b", "True", "--layers", "3", "--learning-rate", "1e-05", "--name", "a b"]


def test_hyperparameters_are_json_on_the_wire():
    """As SDK v2 sends those of a script."""
    assert on_the_wire({"x": 0.5, "n": 3, "b": True, "s": "a"}) == {"x": "0.5", "n": "3", "b": "true", "s": '"a"'}


def test_the_environment_names_folders_channels_and_hyperparameters():
    """The variables that scripts read."""
    layout = Layout(Path("/base"))
    variables = environment(layout, "job-1", "train.py", HYPERPARAMETERS, ["test", "training"], 2)
    assert all(isinstance(value, str) for value in variables.values())
    assert json.loads(variables["SM_HPS"]) == {k: v for k, v in HYPERPARAMETERS.items() if k != "sagemaker_program"}
    assert variables["SM_HP_LEARNING-RATE"] == "1e-05"
    assert variables["SM_HP_NAME"] == "a b"
    assert variables["SM_CHANNEL_TRAINING"] == "/base/input/data/training"
    assert json.loads(variables["SM_CHANNELS"]) == ["test", "training"]
    assert (variables["SM_MODEL_DIR"], variables["SM_OUTPUT_DATA_DIR"]) == ("/base/model", "/base/output/data")
    assert (variables["SM_NUM_CPUS"], variables["SM_NUM_GPUS"]) == ("2", "0")
    assert variables["SAGEMAKER_BASE_DIR"] == "/base"
    assert variables["TRAINING_JOB_NAME"] == "job-1"
    assert json.loads(variables["SM_TRAINING_ENV"])["hyperparameters"]["layers"] == 3


def test_the_layout_is_that_of_opt_ml():
    """Folders, configuration files and channels."""
    Path("data").mkdir()
    layout = Layout(Path("ml"))
    layout.create({"x": 0.5}, {"training": str(Path("data").absolute())})
    assert {str(path.relative_to("ml")) for path in Path("ml").rglob("*")} >= {
        "input/config/hyperparameters.json",
        "input/config/resourceconfig.json",
        "input/config/inputdataconfig.json",
        "input/data/training",
        "model",
        "output/data",
        "checkpoints",
    }
    assert json.loads((layout.config / "hyperparameters.json").read_text()) == {"x": "0.5"}
    assert (layout.data / "training").resolve() == Path("data").resolve()


def test_the_failure_file_is_read_as_far_as_the_service_shows_it():
    """The first 1024 characters; nothing for an empty file."""
    layout = Layout(Path("ml"))
    layout.create({}, {})
    assert layout.failure() is None
    (layout.output / "failure").write_text("x" * 2000)
    assert layout.failure() == "x" * 1024
    (layout.output / "failure").write_text("")
    assert layout.failure() is None


def test_no_more_of_a_failure_file_is_read_than_is_shown():
    """However long it is, also of characters of four bytes."""
    layout = Layout(Path("ml"))
    layout.create({}, {})
    (layout.output / "failure").write_text("\N{SNAIL}" * 2000, encoding="utf-8")
    os.truncate(layout.output / "failure", 2**26)
    tracemalloc.start()
    told = layout.failure()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told == "\N{SNAIL}" * 1024
    assert peak < 2**18


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_failure_file_that_is_no_plain_file_counts_as_missing(kind):
    """Nobody waits for it, and nobody reads what a link leads to."""
    layout = Layout(Path("ml"))
    layout.create({}, {})
    Path("elsewhere").write_text("elsewhere")
    make = {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda place: place.symlink_to(Path("elsewhere").absolute())}
    make[kind](layout.output / "failure")
    told = []
    reader = threading.Thread(target=lambda: told.append(layout.failure()), daemon=True)
    reader.start()
    reader.join(5)
    assert told == [None]


def test_what_the_wire_carries_comes_back():
    """The toolkit decodes values that are JSON, and takes any other text as it is."""
    values = {"x": 0.5, "n": 3, "b": True, "s": "a"}
    assert off_the_wire(on_the_wire(values)) == values
    assert off_the_wire({"bare": "adam", "list": "[1, 2]", "empty": ""}) == {
        "bare": "adam",
        "list": [1, 2],
        "empty": "",
    }


def test_a_container_can_be_prepared_from_what_the_wire_carries(tmp_path):
    """The files hold the texts as they came, and the instance type that the driver of SDK v3 reads."""
    layout = Layout(tmp_path / "ml")
    layout.create_folders({"s": '"a"', "bare": "adam"}, ["train"], resource_configuration("ml.m5.large", "eth0"))
    assert json.loads((layout.config / "hyperparameters.json").read_text()) == {"s": '"a"', "bare": "adam"}
    resources = json.loads((layout.config / "resourceconfig.json").read_text())
    assert (resources["current_instance_type"], resources["network_interface_name"]) == ("ml.m5.large", "eth0")
    assert resources["instance_groups"][0]["hosts"] == resources["hosts"] == [resources["current_host"]]
    assert list(json.loads((layout.config / "inputdataconfig.json").read_text())) == ["train"]
    assert layout.checkpoints.is_dir()
    assert not (layout.data / "train").exists()


def test_the_environment_tells_of_given_resources():
    """Wherever a script looks for them."""
    resources = resource_configuration("ml.m5.large", "eth0")
    variables = environment(Layout(Path("/opt/ml")), "job-1", "train.py", {}, [], 1, resources)
    assert json.loads(variables["SM_RESOURCE_CONFIG"]) == resources
    assert json.loads(variables["SM_TRAINING_ENV"])["resource_config"] == resources
    assert variables["SM_NETWORK_INTERFACE_NAME"] == "eth0"
