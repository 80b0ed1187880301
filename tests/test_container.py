"""The contract of the training container, as SageMaker's script mode has it."""

import json
import math
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byohpo_core import InvalidInput
from byohpo_core.container import Layout, arguments, environment, off_the_wire, on_the_wire, resource_configuration
from byohpo_core.metrics import MetricScanner, as_float32, compile_metrics, default_regex

HYPERPARAMETERS = {"learning-rate": 1e-05, "b": True, "layers": 3, "name": "a b", "sagemaker_program": "train.py"}


def scan(log, *, regex=r"loss=(\S+)"):
    scanner = MetricScanner(compile_metrics([("loss", regex)]))
    _, values = scanner.feed(log.encode(), ended=True).get("loss", (0, []))
    return values


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


@given(st.floats())
def test_every_float_that_python_prints_is_read(value):
    """By a user's own regex and by the default one, in single precision."""
    rounded = as_float32(value)
    for regex in (r"loss=(\S+)", r"loss=(.*);", default_regex("loss")):
        (read,) = scan(f"epoch 3 loss={value!r} ;\n".replace(" ;", ";" if "." in regex[5:7] else " ;"), regex=regex)
        assert read == rounded or (math.isnan(read) and math.isnan(rounded))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05),
        ("-0.3", -0.3),
        ("12.5", 12.5),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("1E+10", 1e10),
        ("7", 7),
        (".5", 0.5),
    ],
)
def test_numbers_are_read_whole(text, value):
    """Not 12 for 12.5, nor 1 for 1e-05."""
    assert scan(f"loss: {text}, next", regex=default_regex("loss")) == [as_float32(value)]


def test_metrics_are_single_precision():
    """As the service keeps them."""
    assert scan("loss=0.1\n") == [struct.unpack("f", struct.pack("f", 0.1))[0]] != [0.1]
    assert as_float32(1e300) == math.inf
    assert as_float32(-1e300) == -math.inf


def test_every_match_is_a_point_and_the_last_the_final_value():
    """Also several in one line; what is no number is passed over."""
    scanner = MetricScanner(compile_metrics([("loss", r"loss=(\S+)"), ("time", r"time=(\S+)")]))
    assert scanner.feed(b"loss=3 loss=2\nloss=unknown time=9\n") == {"loss": (0, [3, 2]), "time": (0, [9])}
    assert scanner.feed(b"loss=1\n") == {"loss": (2, [1])}
    assert scanner.final == {"loss": 1, "time": 9}


@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_a_growing_log_is_read_as_a_whole_one(cuts):
    """Wherever a read ends, in a number or in a character."""
    log = "é loss=0.25\nß loss=1e-05\nloss=12.5".encode()
    scanner = MetricScanner(compile_metrics([("loss", r"loss=(\S+)")]))
    places = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    values = []
    for start, end in pairwise(places):
        values += scanner.feed(log[start:end], ended=end == len(log) and start == places[-2]).get("loss", (0, []))[1]
    assert values == [0.25, as_float32(1e-05), 12.5]


@pytest.mark.parametrize("log", ["val_loss=1\n", "val-loss=1\n", "val.loss=1\n", "val:loss=1\n", "losses=1\n"])
def test_the_default_regex_does_not_take_a_longer_name(log):
    """`loss` is not `val_loss`."""
    assert scan(log, regex=default_regex("loss")) == []


@pytest.mark.parametrize(
    ("definitions", "complaint"),
    [
        ([("loss", "loss=(")], "the regex 'loss=(' of metric 'loss' does not compile: "),
        ([("loss", "loss=.*")], "the regex 'loss=.*' of metric 'loss' has no group"),
        ([("loss", "(a)"), ("loss", "(b)")], "the metric 'loss' is defined twice"),
        ([(f"m{i}", "(a)") for i in range(41)], "41 metric definitions"),
        ([("x" * 256, "(a)")], "1 to 255 characters"),
        ([("loss", "(" + "a" * 500 + ")")], "1 to 500 characters"),
    ],
    ids=["does not compile", "no group", "twice", "too many", "long name", "long regex"],
)
def test_metric_definitions_that_the_service_would_refuse_are_refused(definitions, complaint):
    """With the metric's name."""
    with pytest.raises(InvalidInput) as raised:
        compile_metrics(definitions)
    assert complaint in str(raised.value)


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
    layout.prepare({"s": '"a"', "bare": "adam"}, ["train"], resource_configuration("ml.m5.large", "eth0"))
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
