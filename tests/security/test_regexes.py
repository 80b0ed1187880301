"""A user's regular expression and a job's log cannot hang the driver or fill its memory."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import alive, tuner, wait_for

from byohpo_core import MetricScanner, TrainingScript, compile_metrics, default_regex
from byohpo_core.metrics import end_helper, harmless, spans

EVIL = r"(a+)+b=(\d+)|loss=(\d+)"
XGBOOST = r".*\[[0-9]+\].*#011validation-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
OLD_DEFAULT = r"(?<![\w.:/-])loss\s*[=:]\s*([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:inf(?:inity)?|nan)))"
SLOW_LINE = "a" * 40


@pytest.fixture(autouse=True)
def no_helper():
    """Each test begins and ends without a helper process."""
    end_helper()
    yield
    end_helper()


def helpers(parent=None):
    """The helper processes that a process has started."""
    threads = Path(f"/proc/{parent or os.getpid()}/task").glob("*/children")
    children = [child for thread in threads for child in thread.read_text().split()]
    return [int(it) for it in children if b"helper.py" in Path(f"/proc/{it}/cmdline").read_bytes()]


def length(regex):
    return harmless.harmless_length(re.compile(regex))


@pytest.mark.parametrize(
    "regex",
    [
        "loss=([0-9.eE+-]+)",
        r"validation:auc ([0-9\.]+)",
        r"Validation-accuracy=(\S+)",
        r"Average loss: ([0-9\.]+)",
        r"#quality_metric: host=\S+, train loss <loss>=(\S+)",
        r"\[(\d+)\]\s+train-rmse:(\d+)",
        r"(?i)(?:train|test) loss: (-?\d+(?:\.\d+)?)",
        r"'loss': ([0-9.]+)[,}]",
        r"^\s*loss\s+(\d+)\s*$",
        default_regex("loss"),
        OLD_DEFAULT,
    ],
)
def test_a_usual_regex_is_harmless(regex):
    """On any line that is searched."""
    assert length(regex) == harmless.LONGEST


@pytest.mark.parametrize("regex", ["loss=(.*?);", "loss=([^;]*);", r"Epoch \d+/\d+ .* loss: (\d+)", r".*loss=(\S+)"])
def test_a_regex_whose_time_grows_with_the_square_is_harmless_on_a_usual_line(regex):
    """Such as `loss=(.*?);` on `loss=loss=loss=...`; longer lines go to the helper process."""
    assert 0 < length(regex) < harmless.LONGEST


@pytest.mark.parametrize(
    "regex",
    [
        XGBOOST,
        "(a+)+b",
        "(a|a)*b",
        "(a|ab)*c",
        "(?:a|aa)(?:a|aa)(?:a|aa)(?:a|aa)(?:a|aa)(b)",
        "(a?){30}a{30}",
        "a?a?a?a?a?aaaaa(b)",
        r".*foo.*=(\d+);",
        "(a*)*b",
        "(?:a*b?)*c",
        "a*a*a*(b)",
        r"(\d+)\d*x",
        "a{1,50}a{1,50}(b)",
        "(?i)[a-z]+[K]+(x)",
        r"\s*\xa0*(x)",
        "[^b]*a*(c)",
        r"(\w+\s?)*$",
        r"(a)\1*b",
        "(?=(a+)+b)(a)",
        "(?>a+)(b)",
        "(a)?(?(1)a*|b*)c",
        "(?a)(\\w+)x",
    ],
)
def test_a_regex_with_overlapping_quantifiers_or_unknown_parts_is_not_harmless(regex):
    """Nor one that this reading does not understand."""
    assert length(regex) == 0


def test_the_parser_of_this_python_is_understood():
    """It is private to Python: where it has changed, every regex goes to the helper process, and this test fails."""
    for regex in ("a", "[^a-c\\d]", "(a)", "a|b", "a?", "^a+$", "(?:ab)?", "(?<!a)b", "\\ba", "a{2,3}", "(?i:k)", "."):
        assert length(regex) == harmless.LONGEST, regex


PIECES = ["a", "b", "[ab]", ".", "[^a]", r"\w", r"\d", "(?:ab|ac)", "(?:a|b)", "(?:abc)?", "(a|ab)", "$", r"\b"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "", "*", "+", "?", "*?", "{2,5}"])), max_size=6)
)
def test_what_is_called_harmless_is_fast(pieces):
    """On the longest line on which it is called so, made of the pattern's own characters."""
    try:
        pattern = re.compile("".join(piece + ("" if piece in ("$", r"\b") else times) for piece, times in pieces))
    except re.error:  # a quantifier on a quantifier
        return
    longest = harmless.harmless_length(pattern)
    for unit in ("a", "ab", "aab", "abc", "1"):
        began = time.process_time()
        for _ in pattern.finditer((unit * longest)[:longest]):
            pass
        assert time.process_time() - began < 1


def test_harmless_regexes_need_no_helper_process():
    """They are matched in this process."""
    scanner = MetricScanner(compile_metrics([("loss", "loss=(.*?);"), ("auc", r"auc ([0-9\.]+)")]))
    assert scanner.feed(b"loss=1; auc 0.5\n") == {"loss": (0, [1]), "auc": (0, [0.5])}
    assert helpers() == []


def test_other_regexes_find_the_same_in_the_helper_process():
    """Also several in a line, optional groups, flags and any character."""
    line = "[1]#011validation-rmse:0.25 é \udcff 😀 loss=3"
    for pattern in (re.compile(XGBOOST), re.compile(EVIL), re.compile("(a*)*|(?:x)?é", re.IGNORECASE)):
        assert length(pattern.pattern) == 0
        assert spans(pattern, line) == [match.span(1) for match in pattern.finditer(line)]
    assert len(helpers()) == 1
    end_helper()
    assert helpers() == []


def test_a_slow_line_is_skipped_and_told_once_and_the_third_ends_the_metric(caplog):
    """With the job and the number of the line. Other metrics go on, and so do other jobs."""
    metrics = compile_metrics([("slow", r"((?:a+)+b)"), ("time", r"time=(\d+)")])
    told = set()
    scanner = MetricScanner(metrics, "job-1", told)
    began = time.monotonic()
    log = f"time=1\r\nfirst\r{SLOW_LINE} time=2\n\n{SLOW_LINE}\n{SLOW_LINE}\n{SLOW_LINE}\ntime=3\n"
    assert scanner.feed(log.encode()) == {"time": (0, [1, 2, 3])}
    assert 3 <= time.monotonic() - began < 8
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'slow'" in record.getMessage()
    assert "line 2 of job-1" in record.getMessage()
    assert told == {"slow"}
    assert "'slow' took over a second on line 2, 4, 5" in scanner.trouble


def test_a_metric_that_is_given_up_counts_as_not_printed():
    """Also if earlier lines told it."""
    scanner = MetricScanner(compile_metrics([("loss", "(?:a+)+b|=([0-9])")]))
    assert scanner.feed(b"=1\n") == {"loss": (0, [1])}
    scanner.feed(f"{SLOW_LINE}\n{SLOW_LINE}\n".encode())
    assert scanner.final == {"loss": 1}
    scanner.feed(f"{SLOW_LINE}\n=2\n".encode())
    assert scanner.final == {}


def test_lines_for_which_there_is_no_time_wait_for_the_next_call():
    """So that a driver can look elsewhere in between; one match is made in any case."""
    scanner = MetricScanner(compile_metrics([("a", r"a=(\d+)"), ("b", r"b=(\d+)")]))
    assert scanner.feed(b"a=1 b=2\na=3\n", seconds=0) == {"a": (0, [1])}
    assert scanner.is_behind
    assert scanner.feed(b"b=4\n", seconds=0) == {"b": (0, [2])}
    assert scanner.feed(b"", ended=True) == {"a": (1, [3]), "b": (1, [4])}
    assert not scanner.is_behind


def test_only_the_beginning_of_a_long_line_is_searched():
    """And a number at the cut is no number: it may go on."""
    scanner = MetricScanner(compile_metrics([("loss", r"loss=(\d+)")]))
    start = b"loss=1 " + b"x" * (harmless.LONGEST - 14)
    assert scanner.feed(start + b" loss=2345 loss=6\nloss=7\n") == {"loss": (0, [1, 7])}
    assert "1 lines of its log are longer than the 16384 bytes" in scanner.trouble


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_ends_as_terminals_end_it(end):
    """Progress bars print a carriage return."""
    scanner = MetricScanner(compile_metrics([("loss", r"^loss=(\d+)$")]))
    assert scanner.feed(end.join([b"loss=1", b"loss=2", b"loss=3", b""])) == {"loss": (0, [1, 2, 3])}


def test_a_line_of_200_megabytes_costs_no_more_than_its_limit():
    """In a process whose memory is limited."""
    Path("log.txt").write_bytes(b"")
    code = """
import resource
from byohpo_core.backends.local.watch import Watch
from byohpo_core import compile_metrics
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
watch = Watch(Path("."), compile_metrics([("loss", r"loss=(.)")]), set())
found = watch.read(float("inf"), ended=True)
print(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    with Path("log.txt").open("wb") as log:
        log.truncate(200 * 2**20)
        log.seek(0, os.SEEK_END)
        log.write(b"\nloss=3")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found, _, kilobytes = done.stdout.rpartition(" ")
    assert found == "{'loss': (0, [3.0])}"
    assert int(kilobytes) < 10_000


def test_the_helper_process_dies_with_the_driver():
    """Also while it matches, when it cannot see that the driver has gone."""
    code = """
import re, time, threading
from byohpo_core.metrics import spans
threading.Thread(target=lambda: spans(re.compile("(a+)+b"), "a" * 40), daemon=True).start()
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-P", "-c", code]) as driver:
        (helper,) = wait_for(lambda: helpers(driver.pid))
        driver.kill()
    wait_for(lambda: not alive(helper))


def test_a_helper_process_that_is_killed_is_replaced():
    """Whoever has killed it."""
    pattern = re.compile(XGBOOST)
    line = "[1]#011validation-rmse:0.25"
    found = spans(pattern, line)
    (helper,) = helpers()
    os.kill(helper, signal.SIGKILL)
    wait_for(lambda: not alive(helper))
    assert spans(pattern, line) == found
    assert helpers() not in ([], [helper])


PRINTING = f"""
import time
for _ in range(3000):
    print({SLOW_LINE!r}, flush=True)
    time.sleep(0.01)
"""


def evil_tuner(script, regex=EVIL, **settings):
    Path("train.py").write_text(script)
    definitions = [{"Name": "loss", "Regex": regex}]
    estimator = TrainingScript("train.py", stop_grace_seconds=0.5)
    return tuner(estimator, metric_definitions=definitions, **settings)


def test_a_time_limit_is_obeyed_while_a_regex_is_slow():
    """The driver was deaf to it."""
    began = time.monotonic()
    study = evil_tuner(PRINTING, max_jobs=3, max_parallel_jobs=3, max_runtime_in_seconds=1).fit(job_name="s")
    assert time.monotonic() - began < 6
    assert {str(trial.status) for trial in study.trials} == {"Pruned"}


def test_a_job_whose_metric_is_given_up_has_failed_as_one_that_did_not_print_it():
    """With the lines that took too long."""
    script = f"print('loss=1')\nfor _ in range(4): print({SLOW_LINE!r})\n"
    study = evil_tuner(script, r"(?:a+)+b|loss=(\d+)", max_jobs=1, max_parallel_jobs=1).fit(job_name="s")
    (trial,) = study.trials
    assert str(trial.status) == "Failed"
    assert "did not report 'loss'" in trial.reason
    assert "line 2, 3, 4 of its log and was given up" in trial.reason
    assert helpers() == []
