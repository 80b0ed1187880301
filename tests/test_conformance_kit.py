"""The conformance kit has teeth: it accepts what is correct and rejects what has a bug, by the name of a check."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from byohpo_core import register
from byohpo_core.cli import main
from byohpo_core.testing import Subject, checks, run, run_all

PLACE = Path(__file__).with_name("seeded_bugs.py")


def load():
    specification = importlib.util.spec_from_file_location("seeded_bugs", PLACE)
    module = importlib.util.module_from_spec(specification)
    sys.modules["seeded_bugs"] = module
    specification.loader.exec_module(module)
    return module


BUGS = load()


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """So that another process finds them too."""
    monkeypatch.syspath_prepend(str(PLACE.parent))


@pytest.mark.parametrize("name", BUGS.CORRECT)
def test_a_correct_algorithm_is_accepted(name):
    """Without a finding."""
    results = run_all(Subject.of(BUGS.CORRECT[name]))
    assert [f"{it.check.name}: {it.reason}" for it in results if it.status == "failed"] == []


@pytest.mark.parametrize("name", BUGS.SEEDED)
def test_a_seeded_bug_is_found_by_the_check_that_is_for_it(name):
    """By its name; the base of them all passes that check."""
    plugin, expected = BUGS.SEEDED[name]
    (check,) = (it for it in checks() if it.name == expected)
    assert run(check, Subject.of(plugin), 10).status == "failed"


def test_there_are_enough_checks_and_bugs():
    """At least sixty behaviours of nine kinds, each with a sentence; at least forty bugs."""
    assert len(checks()) >= 60
    assert len({check.name for check in checks()}) == len(checks())
    assert all(check.sentence.endswith(".") for check in checks())
    assert len(BUGS.SEEDED) >= 40


def test_the_command_prints_one_row_a_check_and_fails_with_a_finding(capsys):
    """A table when piped, JSON when asked for, exit code 1 for a failure."""
    register("dry", BUGS.RunsDry)
    assert main(["check", "dry", "--json", "found.json"]) == 1
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == len(checks())
    assert all(len(row.split()) >= 3 for row in rows)
    assert last.startswith(f"dry: {len(rows)} checks in ")
    body = json.loads(Path("found.json").read_text())
    assert [it["name"] for it in body["checks"]] == [row.split()[1] for row in rows]
    failed = [it for it in body["checks"] if it["status"] == "failed"]
    assert {it["group"] for it in failed} >= {"batches"}
    assert all(it["reason"] for it in failed)


def test_the_command_refuses_what_it_cannot_build(capsys):
    """An unknown algorithm, wrong options: one line, exit code 2."""
    assert main(["check", "nobody"]) == 2
    assert "no installed plugin provides algorithm 'nobody'" in capsys.readouterr().err
    assert main(["check", "pso", "--options", '{"populaton": 3}']) == 2
    assert "did you mean 'population'?" in capsys.readouterr().err


def test_a_third_partys_tests_are_a_class_of_a_few_lines():
    """Subclassed outside of this project, with one fixture, in a pytest of its own."""
    Path("test_mine.py").write_text(
        "import pytest\n"
        "from byohpo_core.testing import AlgorithmConformance\n"
        "from seeded_bugs import Climber, StopsWithFalse\n"
        "class TestClimber(AlgorithmConformance):\n"
        "    @pytest.fixture(params=[Climber, StopsWithFalse])\n"
        "    def algorithm(self, request):\n"
        "        return request.param\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "stopping or stops",
        "test_mine.py",
    ]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(PLACE.parent), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert "StopsWithFalse" in done.stdout, done.stdout + done.stderr
    assert "test_conforms[" in done.stdout
    assert "None or a text throughout a study" in done.stdout
