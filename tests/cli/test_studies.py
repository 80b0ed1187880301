"""The `byohpo` command, as a process."""

import csv
import io
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest
from studies import ROOT, byohpo, refused

from byohpo_core.cli import main


def test_a_study_is_tuned_listed_and_shown(folder):
    """From a TOML file to its results, in every format."""
    tuned = byohpo("tune", str(folder / "study.toml"))
    assert tuned.returncode == 0, tuned.stderr
    assert tuned.stdout.splitlines()[-1] == "first: max_jobs (8) reached"
    assert "[8/8] trial" in tuned.stderr
    listed = byohpo("studies").stdout
    assert listed.split()[0] == "first"
    assert "pso  8/8 jobs" in listed
    table, text, body = (byohpo("results", "first", "--format", form).stdout for form in ("table", "csv", "json"))
    assert table.splitlines() == tuned.stdout.splitlines()[:-1]
    trials = json.loads(body)
    assert [float(row["x"]) for row in csv.DictReader(io.StringIO(text))] == [row["x"] for row in trials]
    assert all(row["batch"] == 100 for row in trials)
    again = byohpo("resume", "first")
    assert (again.returncode, again.stdout) == (0, tuned.stdout)
    more = byohpo("resume", "first", "--max-jobs", "10", "--no-progress")
    assert (more.stdout.splitlines()[-1], more.stderr) == ("first: max_jobs (10) reached", "")


def test_algorithms_and_their_options_are_told():
    """What is installed, and what one of them takes."""
    listed = byohpo("algorithms")
    shown = [line.split()[:3] for line in listed.stdout.splitlines()]
    assert shown == sorted(shown)
    assert ["pso", "byohpo-plugin-pso", "0.1.0"] in shown
    assert ["random", "byohpo-plugin-random", "0.1.0"] in shown
    told = byohpo("info", "pso").stdout
    assert told.startswith(
        "pso: A swarm of configurations, each drawn to the best that it and its neighbours have found."
    )
    assert "inertia            0.5        how much of its last step a particle repeats" in told
    assert "byohpo-core 0.1.0" in byohpo("--version").stdout


def test_every_algorithm_can_be_tried():
    """`--verbose` loads each in a process of its own."""
    tried = byohpo("algorithms", "--verbose")
    assert tried.returncode == 0
    assert all(line.endswith("loads") for line in tried.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "nowhere.toml"], ["nowhere.toml cannot be read: No such file"]),
        (["resume", "unknown"], ["no study named 'unknown' (known: none)"]),
        (["results", "unknown"], ["no study named 'unknown'"]),
        (["info", "psso"], ["no installed plugin provides algorithm 'psso' (did you mean 'pso'?"]),
        ([], ["COMMAND"]),
        (["tunes"], ["tunes"]),
        (["results", "x", "--format", "xml"], ["xml"]),
        (["resume", "x", "--max-jobs", "many"], ["many"]),
        (["studies", "--journal", "text.db"], ["text.db is not a journal of byohpo"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_error_is_one_line_and_exit_code_2(arguments, words):
    """Never a traceback."""
    Path("text.db").write_text("Dear diary,\n" * 100)
    assert refused(byohpo(*arguments), *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_jobs = 8", "max_job = 8", ["unknown key max_job (did you mean 'max_jobs'?"]),
        ("max_jobs = 8", "max_jobs = 'eight'", ["max_jobs is 'eight', not a whole number"]),
        ("max_jobs = 8", "max_jobs = ", ["is no TOML"]),
        ("min_value", "minimum", ["unknown key hyperparameter_ranges.x.minimum"]),
        ("max_value = 5.0", "", ["study.toml: hyperparameter_ranges.x.max_value is missing"]),
        ("min_value = 0.0", "min_value = nan", ["hyperparameter_ranges.x: min_value is nan, not a finite number"]),
        ('type = "continuous"', "", ["hyperparameter_ranges.x needs a type: continuous, integer"]),
        ('"continuous"', '"continous"', ["x.type is 'continous' (did you mean 'continuous'? possible: continuous, "]),
        ('"continuous"', "3", ["x.type is 3 (possible: continuous, integer, categorical, static)"]),
        ('training = "rows"', "training = 3", ["study.toml: inputs.training is 3, not a text"]),
        ('source_dir = "source"', "source_dir = 3", ["study.toml: [script] source_dir is 3, not a text"]),
        ("population = 4", "populations = 4", ["no option 'populations' (did you mean 'population'?"]),
        ("population = 4", "population = 1.5", ["population is 1.5, not a whole number"]),
        ("[script]", "[scripts]", ["unknown key scripts (did you mean 'script'?"]),
        ('entry_point = "train.py"', 'entry_point = "trian.py"', ["there is no training script", "trian.py"]),
        ('training = "rows"', 'training = "columns"', ["channel 'training': there is no", "columns"]),
        ('strategy = "pso"', "", ["strategy is missing"]),
        ('name = "target-value"', "", ["each of extensions needs a name"]),
        ('job_name = "first"', 'job_name = "my_study"', ["job name 'my_study'"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_file_is_one_line_and_starts_no_job(folder, old, new, words):
    """The line names the file or the setting."""
    file = folder / "study.toml"
    file.write_text(file.read_text().replace(old, new))
    assert refused(byohpo("tune", str(file)), *words)
    assert not Path("byohpo-jobs").exists()


@pytest.mark.parametrize("place", [".", "apart"])
def test_a_function_is_tuned_and_resumed_by_its_name(folder, place):
    """Its module is beside the file, wherever that is: `byohpo resume NAME` finds it again from any folder."""
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "work.py").write_text("def objective(h):\n    return (h['x'] - 2) ** 2\n")
    text = (folder / "study.toml").read_text()
    text = text[: text.index("[script]")] + text[text.index("[hyperparameter_ranges.x]") :]
    text = text.replace("[inputs]", "[function]").replace('training = "rows"', 'target = "work:objective"')
    (folder / place / "study.toml").write_text(text)
    assert byohpo("tune", f"{place}/study.toml", "--no-progress", cwd=folder).returncode == 0
    done = byohpo("resume", "first", "--max-jobs", "12", "--no-progress", cwd=folder)
    assert done.stdout.splitlines()[-1] == "first: max_jobs (12) reached", done.stderr


@pytest.mark.parametrize(
    ("module", "function", "words"),
    [
        ("", "", ["study.toml: [function] target is missing", "such as"]),
        ("", "target = 3", ["[function] target is 3, not a function's name", "such as"]),
        ("", "target = 'work'", ["[function] target is 'work', not a function's name"]),
        ("", "target = 'nomod:f'", ["[function] target is 'nomod:f': there is no module nomod, neither in"]),
        ("", "target = 'nomod.sub:f'", ["there is no module nomod.sub"]),
        ("", "target = 'work:f'", ["the module work (", "work.py) has no f"]),
        ("f = 3", "target = 'work:f'", ["f is a int, not a function"]),
        ("class f: pass", "target = 'work:f'", ["f is a type, not a function"]),
        (
            "import nothing.at.all",
            "target = 'work:f'",
            ["cannot be imported: ModuleNotFoundError: No module named 'no"],
        ),
        ("1 / 0", "target = 'work:f'", ["the module work cannot be imported: ZeroDivisionError: division by zero"]),
        ("raise SystemExit('no GPU')", "target = 'work:f'", ["work cannot be imported: SystemExit: no GPU"]),
        ("def f(h: 1 +", "target = 'work:f'", ["the module work cannot be imported: SyntaxError"]),
        ("def f(h): 1", "target = 'work:f'\nprocesses = 'yes'", ["[function] processes is 'yes', not True or False"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_function_is_one_line(folder, module, function, words):
    """Whatever its module does when it is imported."""
    (folder / "work.py").write_text(module)
    text = (folder / "study.toml").read_text()
    text = text[: text.index("[script]")] + text[text.index("[hyperparameter_ranges.x]") :]
    text = text.replace("[inputs]", "[function]").replace('training = "rows"', function)
    (folder / "study.toml").write_text(text)
    assert refused(byohpo("tune", str(folder / "study.toml")), *words)


def test_the_variable_goes_before_the_files_journal(folder):
    """Else `results` in the same shell would look elsewhere."""
    text = (folder / "study.toml").read_text().replace('job_name = "first"', 'job_name = "first"\njournal = "file.db"')
    (folder / "study.toml").write_text(text)
    environment = {**os.environ, "BYOHPO_JOURNAL": "variable.db"}
    byohpo("tune", "study.toml", "--no-progress", cwd=folder, env=environment)
    assert byohpo("results", "first", cwd=folder, env=environment).returncode == 0
    assert not (folder / "file.db").exists()


def test_hints_name_the_journal_where_it_is_not_found_without(folder):
    """What is shown can be typed as it is."""
    text = (folder / "study.toml").read_text().replace('job_name = "first"', 'job_name = "first"\nmax_attempts = 1')
    (folder / "study.toml").write_text(text)
    byohpo("tune", str(folder / "study.toml"), "--no-progress", "--journal", "my toy.db")
    with closing(sqlite3.connect("my toy.db")) as connection:  # as if its driver had died
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.commit()
    told = byohpo("studies", "--journal", "my toy.db").stdout
    assert told.rstrip().endswith("not ended: `byohpo resume first --journal 'my toy.db'`")
    told = byohpo("studies", env={**os.environ, "BYOHPO_JOURNAL": "my toy.db"}).stdout
    assert told.rstrip().endswith("not ended: `byohpo resume first`")


def test_a_missing_journal_is_told_with_where_else_it_may_be():
    """A reader that looks in the wrong folder learns that."""
    words = ["byohpo.db, which does not exist, has no study named 'first'", "--journal or the variable BYOHPO_JOURNAL"]
    for command in ("results", "resume", "stop"):
        assert refused(byohpo(command, "first"), *words)
    assert "no studies in byohpo.db, which does not exist; --journal or" in byohpo("studies").stdout
    assert not Path("byohpo.db").exists()


def test_an_interrupt_without_a_word_is_told(monkeypatch, capsys):
    """The third Ctrl-C has nothing to say."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("byohpo_core.cli.studies._studies", interrupted)
    assert main(["studies"]) == 130
    assert capsys.readouterr().err == "byohpo: interrupted\n"


def test_extensions_are_listed_and_told():
    """Stop rules have names and options as algorithms have."""
    listed = byohpo("extensions").stdout.splitlines()
    (target,) = (line for line in listed if line.startswith("target-value"))
    assert target.split(None, 3)[1:] == [
        "byohpo-core",
        "0.1.0",
        "End when a trial's (first) objective is as good as the target.",
    ]
    told = byohpo("info", "target-value").stdout
    assert told.startswith("target-value: End when")
    assert "value  (needed)  the objective value that is good enough" in told
    assert refused(
        byohpo("info", "target"), "algorithm 'target'", "nor is it an extension (did you mean 'target-value'?"
    )


PAGE = ROOT / "docs" / "command-line.md"


def test_the_page_about_the_command_line_runs():
    """Its files are written, its commands run in order, and what it shows of their output is there."""
    page = PAGE.read_text()
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert [name for name, _ in files] == ["study.toml", "train.py"]
    for name, text in files:
        Path(name).write_text(text)
    assert "\n$ mkdir data\n" in page
    Path("data").mkdir()
    commands = re.findall(r"^\$ byohpo (.*)\n((?:[^$`].*\n)*)", page, re.MULTILINE)
    assert len(commands) >= 6
    for command, shown in commands:
        done = byohpo(*shlex.split(command))
        assert done.returncode == 0, done.stderr
        for line in shown.splitlines():
            assert line == "..." or line.split() in [it.split() for it in done.stdout.splitlines()], done.stdout


def test_the_help_of_tune_and_the_page_show_the_same_file():
    """A whole file, with the limits of a name."""
    told = byohpo("tune", "--help").stdout
    (file,) = re.findall(r"^`study.toml`:\n\n```toml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert textwrap.indent(file, "    ", lambda line: line.strip()) in told
    assert "at most 48 letters" in told


def test_a_search_without_a_result_ends_with_exit_code_1(folder):
    """And says what went wrong."""
    (folder / "source" / "train.py").write_text("raise ValueError('no data')")
    done = byohpo("tune", str(folder / "study.toml"), "--no-progress")
    assert done.returncode == 1
    assert "the first 3 trials all failed, the last with: exit code 1: ValueError: no data" in done.stdout


def test_ctrl_c_keeps_what_runs_and_says_how_to_go_on(folder):
    """Exit code 130; `resume` finishes the study."""
    (folder / "source" / "train.py").write_text("import time; time.sleep(0.5)\nprint('loss=1')\n")
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", "tune", str(folder / "study.toml"), "--no-progress"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(Path().glob("byohpo-jobs/*/*/claim")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "no more jobs are started" in error
    assert error.splitlines()[-1] == ("byohpo: study 'first' is interrupted: `byohpo resume first` goes on")
    assert byohpo("resume", "first", "--no-progress").stdout.splitlines()[-1] == "first: max_jobs (8) reached"


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    """`byohpo results ... | head -1`."""
    byohpo("tune", str(folder / "study.toml"), "--no-progress")
    command = f"{sys.executable} -P -m byohpo_core.cli results first | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
