"""A study in a TOML file: what is wrong with it is said in one line."""

import os
from pathlib import Path

import pytest
from inside import read
from studies import byohpo, refused

from byohpo_core import Constraint, IntegerParameter


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_jobs = 8", "max_job = 8", ["key max_job", "did you mean 'max_jobs'?"]),
        ("max_jobs = 8", "max_jobs = 'eight'", ["max_jobs is 'eight'", "whole number"]),
        ("max_jobs = 8", "max_jobs = ", ["study.toml", "TOML"]),
        pytest.param("max_jobs = 8", f"max_jobs = {'[' * 9999}", ["study.toml", "TOML"], id="too deep"),
        pytest.param("max_jobs = 8", f"max_jobs = {'9' * 9999}", ["study.toml", "TOML"], id="too long"),
        ("max_jobs = 8", "max_jobs = 8\nresource = 'epochs'", ["max_resource", "'epochs'"]),
        ("max_jobs = 8", "max_jobs = 8\nresource = 'n'\nmax_resource = 'all'", ["max_resource is 'all'"]),
        ("min_value", "minimum", ["key hyperparameter_ranges.x.minimum"]),
        ("max_value = 5.0", "", ["study.toml", "hyperparameter_ranges.x.max_value"]),
        ("min_value = 0.0", "min_value = nan", ["hyperparameter_ranges.x", "min_value is nan"]),
        ('type = "continuous"', "", ["hyperparameter_ranges.x", "type", "continuous, integer"]),
        ('"continuous"', '"continous"', ["x.type is 'continous'", "did you mean 'continuous'?"]),
        ('"continuous"', "3", ["x.type is 3", "continuous, integer, categorical, static"]),
        ('training = "rows"', "training = 3", ["study.toml", "inputs.training is 3"]),
        ('source_dir = "source"', "source_dir = 3", ["study.toml", "[script] source_dir is 3"]),
        ("population = 4", "populations = 4", ["'populations'", "did you mean 'population'?"]),
        ("population = 4", "population = 1.5", ["population is 1.5", "whole number"]),
        ("[script]", "[scripts]", ["key scripts", "did you mean 'script'?"]),
        ('entry_point = "train.py"', 'entry_point = "trian.py"', ["training script", "trian.py"]),
        ('training = "rows"', 'training = "columns"', ["'training'", "columns"]),
        ('strategy = "pso"', "", ["strategy"]),
        ('name = "target-value"', "", ["extensions", "name"]),
        ('job_name = "first"', 'job_name = "my_study"', ["'my_study'"]),
        ('job_name = "first"', 'journal = ":memory:"', ["in memory", "name a file"]),
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
        ("", "", ["study.toml", "[function] target", "such as"]),
        ("", "target = 3", ["[function] target is 3", "such as"]),
        ("", "target = 'work'", ["[function] target is 'work'"]),
        ("", "target = 'nomod:f'", ["[function] target is 'nomod:f'", "module nomod"]),
        ("", "target = 'nomod.sub:f'", ["module nomod.sub"]),
        ("", "target = 'work:f'", ["module work (", "work.py)", " f"]),
        ("f = 3", "target = 'work:f'", ["f is a int", "function"]),
        ("class f: pass", "target = 'work:f'", ["f is a type", "function"]),
        (
            "import nothing.at.all",
            "target = 'work:f'",
            ["module work", "ModuleNotFoundError: No module named 'no"],
        ),
        ("1 / 0", "target = 'work:f'", ["module work", "ZeroDivisionError: division by zero"]),
        ("raise SystemExit('no GPU')", "target = 'work:f'", ["work", "SystemExit: no GPU"]),
        ("def f(h: 1 +", "target = 'work:f'", ["module work", "SyntaxError"]),
        ("def f(h): 1", "target = 'work:f'\nprocesses = 'yes'", ["[function] processes is 'yes'", "True or False"]),
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


SPACE = """
[hyperparameter_ranges.kind]
type = "categorical"
values = ["flat", "round"]

[hyperparameter_ranges.r]
type = "integer"
min_value = 1
max_value = 9
when = { kind = ["round"] }

[[constraints]]
coefficients = { x = 1, r = -0.5 }
at_most = 4.5

[[constraints]]
coefficients = { r = 1 }
at_least = 2
log = true
"""


def test_conditions_and_constraints_are_read(folder):
    """`when` is a table of lists, and each of [[constraints]] has the arguments of `Constraint`."""
    file = folder / "study.toml"
    file.write_text(file.read_text() + SPACE)
    space = read(file).tuner(progress=False)._plan.problem.space
    assert space.parameters["r"] == IntegerParameter(1, 9, when={"kind": ["round"]})
    assert space.constraints == (
        Constraint({"x": 1, "r": -0.5}, at_most=4.5),
        Constraint({"r": 1}, at_least=2, log=True),
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at_most = 4.5", "most = 4.5", ["constraints", "unknown key most", "at_most"]),
        ("at_most = 4.5", "", ["constraints", "at_most"]),
        ("coefficients = { r = 1 }", "", ["constraints", "coefficients is missing"]),
        ("coefficients = { r = 1 }", "coefficients = { s = 1 }", ["'s'"]),
        ('when = { kind = ["round"] }', 'when = { kind = "round" }', ["hyperparameter_ranges.r", "when"]),
        ('when = { kind = ["round"] }', 'when = { kind = ["square"] }', ["'r'", "'square'"]),
    ],
)
def test_a_wrong_condition_or_constraint_is_one_line(folder, old, new, words):
    """The line names the table and the key."""
    file = folder / "study.toml"
    text = file.read_text() + SPACE
    assert old in text
    file.write_text(text.replace(old, new))
    assert refused(byohpo("tune", str(file)), *words)
