"""Metrics are read from logs as SageMaker reads them."""

import math
import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byohpo_core import InvalidInput
from byohpo_core.metrics import MetricScanner, as_float32, compile_metrics, default_regex


def scan(log, *, regex=r"loss=(\S+)"):
    scanner = MetricScanner(compile_metrics([("loss", regex)]))
    _, values = scanner.feed(log.encode(), ended=True).get("loss", (0, []))
    return values


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
    ("definitions", "words"),
    [
        ([("loss", "loss=(")], ["'loss=('", "metric 'loss'"]),
        ([("loss", "loss=(a{1,9999999999})")], ["a{1,9999999999}", "metric 'loss'"]),
        ([("loss", "loss=.*")], ["'loss=.*'", "metric 'loss'", "group"]),
        ([("loss", "(a)"), ("loss", "(b)")], ["metric 'loss'", "twice"]),
        ([(f"m{i}", "(a)") for i in range(41)], ["41 metric definitions", "40"]),
        ([("x" * 256, "(a)")], ["1 to 255 characters"]),
        ([("loss", "(" + "a" * 500 + ")")], ["1 to 500 characters"]),
    ],
    ids=["does not compile", "repeats too often", "no group", "twice", "too many", "long name", "long regex"],
)
def test_metric_definitions_that_the_service_would_refuse_are_refused(definitions, words):
    """With the metric's name."""
    with pytest.raises(InvalidInput) as raised:
        compile_metrics(definitions)
    assert all(word in str(raised.value) for word in words)
