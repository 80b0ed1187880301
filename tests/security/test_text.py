"""Text from jobs is text: terminals, shells and spreadsheets are shown it and do not obey it."""

import csv
import io
import json
import logging
import os
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import studies
from inside import Progress, as_csv, as_json, as_table, command, rows
from studies import ROOT, byohpo, refused

from byohpo_core import (
    ByohpoError,
    CategoricalParameter,
    InvalidInput,
    Simulated,
    Simulation,
    files,
    hookimpl,
    register,
)

RED = "\x1b[31mred"
ATTACKS = {
    "escape": ("\x1b[2J", r"\x1b[2J"),
    "C1": ("\x9b2J", r"\x9b2J"),
    "bell": ("\x07", r"\x07"),
    "backspace": ("a\x08b", r"a\x08b"),
    "delete": ("\x7f", r"\x7f"),
    "bidi": ("\u202etxt.exe\u2066", r"\u202etxt.exe\u2066"),
    "surrogate": ("x\ud800", r"x\ud800"),
    "invisible": ("a\u200bb", r"a\u200bb"),
}
OBEYED = {character for attack, _ in ATTACKS.values() for character in attack if not character.isprintable()}
MODULE = """
def objective(hyperparameters):
    if hyperparameters["choice"] == "bad":
        raise ValueError("\\x1b[31m caf\\xe9 \\u202e \\ud800 \\x9b2J")
    return {"loss": float(len(hyperparameters["choice"]))}
"""
STUDY = """
strategy = "grid"
objective_metric_name = "loss"
objective_type = "Minimize"
max_jobs = 3
max_parallel_jobs = 1
job_name = "text"
failure_limit = false

[function]
target = "ours:objective"

[hyperparameter_ranges.choice]
type = "categorical"
values = ["caf\\u00e9 \\u001b[31m \\u202e \\u0090", "=1+1", "bad"]
"""
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def is_shown(text):
    """Whether no character would be obeyed."""
    return not [it for it in text if not it.isprintable() and it != "\n"]


@pytest.fixture
def study():
    """Its trials fail for reasons, and have categories, that are not to be trusted."""
    reasons = [attack for attack, _ in ATTACKS.values()]

    def job(hyperparameters):
        return Simulation({"loss": 1.0}, 1, hyperparameters["choice"])

    settings = {"strategy": "grid", "max_jobs": len(reasons), "failure_limit": False, "journal": ":memory:"}
    return studies.tune(Simulated(job), {"choice": CategoricalParameter(reasons)}, **settings)


@pytest.fixture
def table(study):
    return rows(study)


def test_a_table_shows_what_terminals_would_obey(table):
    """In categories and in reasons."""
    text = as_table(table)
    assert is_shown(text)
    for _, shown in ATTACKS.values():
        assert text.count(shown) >= 2  # the category and the reason


def test_a_csv_and_a_json_show_it_too(table):
    """JSON by its own escapes, so that whoever reads it has the very text."""
    assert not OBEYED & set(as_csv(table))
    assert as_json(table).isascii()
    assert {row["choice"] for row in json.loads(as_json(table))} == {attack for attack, _ in ATTACKS.values()}


def test_a_name_of_a_column_is_text_as_well():
    """Hyperparameters' names come from users, metrics' from anywhere."""
    named = [{f"=1{RED}": 1}]
    assert is_shown(as_table([{"Reason": None, f"=1{RED}": 1}]))
    assert as_csv(named).splitlines()[0] == r"'=1\x1b[31mred"
    assert as_csv(named, raw=True).splitlines()[0] == f"=1{RED}"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_text_that_a_spreadsheet_would_compute_is_defused(start):
    """Raw, it is left as it is; numbers always are."""
    table = [{"text": f"{start}1+1", "number": -1.5, "count": -2, "nothing": None, "usual": "a=1"}]
    usual = {"number": "-1.5", "count": "-2", "nothing": "", "usual": "a=1"}
    (read,) = csv.DictReader(io.StringIO(as_csv(table), newline=""))
    assert read == {"text": f"'{start}1+1", **usual}
    (read,) = csv.DictReader(io.StringIO(as_csv(table, raw=True), newline=""))
    assert read == {"text": f"{start}1+1", **usual}


@pytest.mark.parametrize("between", [";", "\t", "\n", "\r\n", ';"'], ids=repr)
@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "\uff20"])
def test_a_formula_behind_what_may_separate_cells_is_defused(between, start):
    """Half of the world's spreadsheets split a line of a CSV at semicolons."""
    text = f"x{between}{start}1+1"
    table = [{"text": text, "number": -1.5, "usual": "a;b=1; c\td\n"}]
    (read,) = csv.DictReader(io.StringIO(as_csv(table), newline=""))
    separator, quote = between.rstrip('"'), '"' if '"' in between else ""
    assert read["text"] == f"x{separator}'{quote}{start}1+1"
    assert (read["number"], read["usual"]) == ("-1.5", "a;b=1; c\td\n")
    for cell in as_csv(table).replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";"):
        assert not cell.strip('"').startswith(start)
    (read,) = csv.DictReader(io.StringIO(as_csv(table, raw=True), newline=""))
    assert read["text"] == text


def test_a_long_text_stays_in_its_cell():
    """A reason's lines are the cell's."""
    (read,) = csv.DictReader(io.StringIO(as_csv([{"text": 'a\nb,"c"\r\n\td'}]), newline=""))
    assert read == {"text": 'a\nb,"c"\r\n\td'}


class Terminal(io.TextIOWrapper):
    """A terminal of this encoding."""

    def __init__(self, encoding="utf-8", *, is_terminal=False):
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal

    @property
    def text(self):
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_shows_what_terminals_would_obey(monkeypatch, encoding, is_terminal):
    """As lines and as a bar, in any encoding."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal(encoding, is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    job = Simulated(lambda it: Simulation({"loss": 1.0}, 1, None if it["choice"] == "é\x1b[31m\ud800" else RED))
    ranges = {"choice": CategoricalParameter(["é\x1b[31m\ud800", "b"])}
    studies.tune(job, ranges, strategy="grid", max_jobs=2, max_parallel_jobs=1, progress=True, journal=":memory:")
    assert r"\x1b[31m" in stream.text
    assert "\x1b[31m\\" not in stream.text.replace("é", "")
    assert RED not in stream.text
    assert r"\ud800" in stream.text
    assert ("é" in stream.text) == (encoding != "ascii")


@pytest.mark.parametrize("stream", [None, "closed"])
def test_progress_without_standard_error_is_silent(monkeypatch, stream):
    """As in a daemon."""
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress():
        pass
    assert studies.tune(max_jobs=2, max_parallel_jobs=1, progress=True, journal=":memory:").jobs == 2


def test_warnings_and_errors_show_what_terminals_would_obey(caplog):
    """Whoever prints them, and also the errors of reporters, with their traceback."""

    class Hostile:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            raise ValueError(RED)

    studies.tune(max_jobs=2, max_parallel_jobs=1, extensions=[Hostile], journal=":memory:")
    (record,) = caplog.records
    assert r"\x1b[31mred" in logging.Formatter().format(record)
    assert is_shown(logging.Formatter().format(record))
    logging.getLogger("byohpo").warning("%s: 100%%\n%s", RED, "\u202e")
    assert caplog.records[-1].getMessage() == r"\x1b[31mred: 100% \u202e"
    assert str(ByohpoError(f"no {RED}\nhere")) == r"no \x1b[31mred here"


def hostile_journal():
    """A journal of a study whose name, id and reasons are somebody else's."""
    byohpo("tune", "study.toml", "--no-progress")
    with closing(sqlite3.connect("byohpo.db")) as connection:
        connection.execute("UPDATE studies SET name = ?", ("x; rm -rf ~ \x1b[31m\u202e",))
        connection.commit()


@pytest.fixture
def folder():
    Path("study.toml").write_text(STUDY)
    Path("ours.py").write_text(MODULE)


COMMANDS = {
    "tune": ["tune", "study.toml"],
    "resume": ["resume", "text"],
    "studies": ["studies"],
    "table": ["results", "text"],
    "csv": ["results", "text", "--format", "csv"],
    "json": ["results", "text", "--format", "json"],
    "raw": ["results", "text", "--format", "csv", "--raw"],
    "error": ["results", "\x1b[31mcafé\u202e"],
    "wrong": ["results", "text", "--format", "\x1b[31mcafé"],
    "help": ["--help"],
    "help of tune": ["tune", "--help"],
    "algorithms": ["algorithms"],
    "info": ["info", "pso"],
    "stop": ["stop", "text"],
}


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE, {}], ids=["ascii", "C", "utf-8"])
def test_each_command_prints_escapes_and_never_fails_to_print(folder, environment):
    """Whatever the locale can show."""
    for name, arguments in COMMANDS.items():
        done = byohpo(*arguments, env={**os.environ, **environment}, encoding="utf-8")
        assert "UnicodeEncodeError" not in done.stderr, name
        assert "Traceback" not in done.stderr, name
        assert done.returncode == (2 if name in ("error", "wrong") else 0), (name, done.stderr)
        printed = done.stdout + done.stderr
        assert is_shown(printed) or name == "raw", (name, printed)
        if environment:
            assert printed.isascii(), name


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE, {}], ids=["ascii", "C", "utf-8"])
def test_a_lone_surrogate_in_a_category_is_printed_as_an_escape(environment):
    """A TOML file cannot have one, but Python can."""
    ranges = {"choice": CategoricalParameter(["x\ud800", "\udcff"])}
    job = Simulated(lambda it: Simulation({"loss": 1.0}, 1))
    studies.tune(job, ranges, strategy="grid", max_jobs=2, max_parallel_jobs=1, journal="byohpo.db")
    for form in (["table"], ["csv"], ["json"], ["csv", "--raw"]):
        done = byohpo("results", "s", "--format", *form, env={**os.environ, **environment}, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, "")
        assert r"x\ud800" in done.stdout
    assert byohpo("studies", env={**os.environ, **environment}).returncode == 0


def test_raw_results_are_as_the_study_has_them(folder):
    """For programs; a table too."""
    byohpo("tune", "study.toml", "--no-progress")
    for form in ("csv", "table"):
        shown, raw = (byohpo("results", "text", "--format", form, *raw).stdout for raw in ([], ["--raw"]))
        assert "\x1b[31m" in raw
        assert "\x1b" not in shown
    text = byohpo("results", "text", "--format", "csv").stdout
    assert "'=1+1" in text


def test_studies_shows_the_names_of_any_journal_and_quotes_them_for_a_shell(folder):
    """A command that is shown can be pasted."""
    hostile_journal()
    with closing(sqlite3.connect("byohpo.db")) as connection:
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.commit()
    studies.rechain("byohpo.db")
    told = byohpo("studies").stdout
    assert is_shown(told)
    assert r"`byohpo resume 'x; rm -rf ~ \x1b[31m\u202e'`" in told
    assert refused(byohpo("results", "none"), r"\x1b[31m\u202e")


def test_a_command_is_quoted_for_a_shell():
    """The study's name as well as the journal's path."""
    words = shlex.split(command("my journal; true.db", "resume", "a'b; rm -rf ~"))
    assert words == ["byohpo", "resume", "a'b; rm -rf ~", "--journal", "my journal; true.db"]


def test_the_commands_of_a_new_plugin_are_quoted_for_a_shell():
    """Its folder may have any name."""
    told = byohpo("new-plugin", "house-special", "--folder", "a b; true").stdout
    assert "  pip install --editable './a b; true/byohpo-plugin-house-special'" in told.splitlines()


def test_a_command_that_a_warning_gives_is_quoted_for_a_shell(caplog):
    """A journal may have any path."""
    path = Path("a b; true.db")
    path.touch()
    path.chmod(0o666)
    files.warn_of_others(path, path.stat())
    assert shlex.split(caplog.messages[-1].rpartition("chmod ")[2]) == ["go-w", str(path)]


def test_a_command_that_tells_of_a_plugin_is_quoted_for_a_shell():
    """An algorithm may be registered by any name."""

    class Needy:
        def __init__(self, problem, *, size):
            pass

    register("a b; true", Needy)
    with pytest.raises(InvalidInput, match="needs the option 'size'") as caught:
        studies.tuner(strategy="a b; true", journal=":memory:").fit(job_name="s")
    assert shlex.split(str(caught.value).rpartition("(see ")[2][:-1]) == ["byohpo", "info", "a b; true"]


def test_commands_print_by_one_function_only():
    """So that none prints text that is not shown."""
    for path in (ROOT / "byohpo_core" / "cli").glob("*.py"):
        assert "print(" not in path.read_text(encoding="utf-8").replace("_print(", ""), path.name


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_kill_a_driver(folder, closed):
    """Nor does the journal become what a job's output is written to."""
    words = shlex.join([sys.executable, "-P", "-m", "byohpo_core.cli", "tune", "study.toml"])
    done = subprocess.run(["bash", "-c", f"{words} {closed}"], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
    assert "text: max_jobs (3) reached" in byohpo("resume", "text").stdout


def test_a_program_without_streams_drives_its_study():
    """`Tuner.fit` in a daemon."""
    Path("program.py").write_text(
        "from byohpo_core import ContinuousParameter, Tuner\n"
        "def f(h): return {'loss': h['x']}\n"
        "Tuner(f, 'loss', {'x': ContinuousParameter(0, 1)}, strategy='random', objective_type='Minimize', max_jobs=2,"
        " journal='program.db').fit(job_name='text')\n"
    )
    words = shlex.join([sys.executable, "-P", "program.py"])
    done = subprocess.run(["bash", "-c", f"{words} <&- >&- 2>&-"], check=False, timeout=60)
    assert done.returncode == 0
    assert "2/2 jobs" in byohpo("studies", "--journal", "program.db").stdout


def test_output_that_cannot_be_written_is_told_in_one_line(folder):
    """A full disk."""
    words = shlex.join([sys.executable, "-P", "-m", "byohpo_core.cli", "studies"])
    done = subprocess.run(
        ["bash", "-c", f"{words} > /dev/full"], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused(done, "No space left")
