"""`byohpo check`."""

import json
from pathlib import Path

import pytest
import seeded_bugs

from byohpo_core import register
from byohpo_core.cli import main
from byohpo_core.testing import checks, running


def test_the_command_prints_one_row_a_check_and_fails_with_a_finding(capsys):
    """It prints a table, writes JSON if asked, and exits with 1 if a check fails."""
    register("dry", seeded_bugs.RunsDry)
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
    """An unknown algorithm and wrong options give one line and exit code 2."""
    assert main(["check", "nobody"]) == 2
    assert "algorithm 'nobody'" in capsys.readouterr().err
    assert main(["check", "pso", "--options", '{"populaton": 3}']) == 2
    assert "did you mean 'population'?" in capsys.readouterr().err


@pytest.mark.parametrize("options", ["[1]", "{", "3", "null", "{'population': 3}"])
def test_the_command_refuses_options_that_are_no_object(options, capsys):
    """The message is one line and shows how to write options."""
    with pytest.raises(SystemExit) as left:
        main(["check", "pso", "--options", options])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--options: {options!r}" in line
    assert '{"population": 8}' in line


def test_the_command_refuses_a_file_that_cannot_be_written_before_the_checks(capsys, monkeypatch):
    """The command does not run the checks first, which take a while."""
    monkeypatch.setattr(running, "run_all", None)
    assert main(["check", "random", "--json", "nowhere/found.json"]) == 2
    message = capsys.readouterr().err
    assert "--json: nowhere/found.json" in message
    assert "No such file or directory" in message


def test_the_command_says_why_options_fit_neither_one_objective_nor_two(capsys):
    """The message gives both reasons, or the reason once if both are the same."""
    assert main(["check", "de", "--options", '{"num_selected": 3}']) == 2
    message = capsys.readouterr().err
    assert "num_selected" in message
    assert "two objectives" in message
    assert main(["check", "pso", "--options", '{"popul": 3}']) == 2
    assert capsys.readouterr().err.count("'popul'") == 1
