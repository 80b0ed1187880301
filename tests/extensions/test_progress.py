"""What a person sees while a study runs."""

import io
import sys

import studies

from byohpo_core import ContinuousParameter, Simulated, Simulation, hookimpl


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


def job(hyperparameters):
    x = hyperparameters["x"]
    return Simulation({"loss": x}, 60, "no data" if x > 0.8 else None, int(x < 0.1))


def tune(monkeypatch, stream, **settings):
    monkeypatch.setattr(sys, "stderr", stream)
    settings = {"max_jobs": 20, "max_parallel_jobs": 2, "random_seed": 3, "progress": True, **settings}
    return studies.tune(Simulated(job), {"x": ContinuousParameter(0, 1)}, journal=":memory:", **settings)


def test_without_a_terminal_there_are_plain_lines(monkeypatch):
    """One at the start, one a finished trial, one at the end; no control characters."""
    stream = io.StringIO()
    study = tune(monkeypatch, stream)
    text = stream.getvalue()
    lines = text.splitlines()
    assert text.isascii()
    assert "\x1b" not in text
    assert "\r" not in text
    assert lines[0] == f"study s ({study.id}): 0 trials finished, up to 20 jobs, 2 in parallel"
    assert lines[-1] == f"study s: max_jobs (20) reached after {lines[-1].rpartition(' ')[2]}"
    trials = [line for line in lines if line.startswith("[")]
    assert len(trials) == 20
    assert trials[-1].startswith("[20/20] trial ")
    failed = sum(trial.status == "Failed" for trial in study.trials)
    assert f"{failed} failed; best loss={study.best.value:.6g} (x={study.best.hyperparameters['x']:.6g})" in trials[-1]
    assert any("failed: no data" in line for line in trials)
    assert any("lost an attempt" in line and line.endswith("simulated interruption") for line in lines)


def test_each_line_is_printed_once_whoever_else_listens(monkeypatch):
    """A tracker is told of the same events, and does not double the lines."""
    told = []

    class Tracker:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            told.append(event.sequence)

    stream = io.StringIO()
    study = tune(monkeypatch, stream, extensions=[Tracker])
    lines = [line for line in stream.getvalue().splitlines() if line.startswith(("[", "study"))]
    assert len(lines) == 20 + 2
    assert told == list(range(study.sequence))


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    """With counts, the best and its hyperparameters."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    study = tune(monkeypatch, stream)
    text = stream.getvalue()
    assert "20/20" in text
    assert f"best loss={study.best.value:.6g}" in text
    assert "0 running" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_it_can_be_silent(capsys):
    """`progress=False` prints nothing at all."""
    studies.tune(Simulated(job), {"x": ContinuousParameter(0, 1)}, max_jobs=3, progress=False)
    assert capsys.readouterr() == ("", "")
