"""`byohpo new-plugin` writes a package that passes the checks."""

import runpy
import sys
from pathlib import Path

import attrs
import pytest

from byohpo_core import InvalidInput
from byohpo_core.cli import main


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """What a page registers is gone after it."""
    monkeypatch.setattr("byohpo_core.plugins.finding._registered", {})


@pytest.mark.kit
@pytest.mark.parametrize("blocking", [False, True], ids=["plain", "blocking"])
def test_a_new_package_passes_every_check_as_it_is(blocking, capsys, monkeypatch):
    """Both forms, on the class itself."""
    name = "made-up"
    assert main(["new-plugin", name, *(["--blocking"] if blocking else []), "--folder", "here/there"]) == 0
    package = Path("here/there/byohpo-plugin-made-up")
    assert sorted(str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()) == [
        "README.md",
        "pyproject.toml",
        "src/byohpo_plugin_made_up/__init__.py",
        "src/byohpo_plugin_made_up/py.typed",
        "tests/test_conformance.py",
    ]
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = runpy.run_path(str(package / "src/byohpo_plugin_made_up/__init__.py"))
    from byohpo_core.testing import Subject, checks, run

    subject = Subject.of(names["MadeUp"])
    failed = [
        f"{it.check.name}: {it.reason}" for it in (run(check, subject) for check in checks()) if it.status == "failed"
    ]
    assert failed == []
    capsys.readouterr()
    problem = subject.problem()
    with pytest.raises(InvalidInput, match="one objective"):  # rather than leave one out without a word
        names["MadeUp"](attrs.evolve(problem, objectives=2 * problem.objectives))


BAD = {
    "House": ["'House'"],
    "house_special": ["'house_special'", "hyphens"],
    "1st": ["'1st'"],
    "x" * 41: ["40"],
    "pso": ["'pso'", "byohpo's own"],
    "scipy": ["'scipy'", "byohpo's own"],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_refused_in_one_line(name, capsys):
    """And nothing is written."""
    assert main(["new-plugin", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in BAD[name]), line
    assert list(Path().iterdir()) == []


def test_nothing_that_exists_is_overwritten(capsys):
    """A folder of that name is left alone."""
    Path("byohpo-plugin-mine").mkdir()
    assert main(["new-plugin", "mine"]) == 2
    assert "byohpo-plugin-mine" in capsys.readouterr().err
    assert list(Path("byohpo-plugin-mine").iterdir()) == []
