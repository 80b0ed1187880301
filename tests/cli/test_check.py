"""`byohpo check`."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
import seeded_bugs
from studies import byohpo

from byohpo_core import register
from byohpo_core.cli import main
from byohpo_core.testing import running
from byohpo_core.testing.behaviours import all as everything
from byohpo_core.testing.check import Check, Finding, NotApplicableError, Remark

MINE = """
import random
from byohpo_core import Traits, hookimpl

class Mine:
    '''An algorithm of one's own.'''
    traits = Traits(learns=False)

    def __init__(self, problem, *, size=3):
        if size not in (3, 5):
            raise ValueError(size)
        self.problem, self.random = problem, random.Random(problem.seed)

    @hookimpl
    def propose(self, count):
        return [self.problem.space.sample(self.random) for _ in range(count)]
"""
FOUND = {
    "did": "asked for as many proposals as there were free slots, which were four, in each of a dozen studies",
    "seen": "three proposals",
    "expected": "four proposals",
    "mend": "return as many as asked for",
}


def found(_):
    raise Finding(**FOUND)


def unusual(_):
    raise Remark("the algorithm proposes the middle first, which every study then pays for, whatever its seed is")


def impossible(_):
    raise NotApplicableError("the algorithm has no middle")


@pytest.fixture
def kit(monkeypatch):
    """Replace the kit's checks; the fixture is a function of the few that shall run instead."""

    def replace(*behaviours):
        few = [Check(it.__name__, "values", f"It is {it.__name__}.", it) for it in behaviours]
        monkeypatch.setattr(running, "checks", lambda: few)
        monkeypatch.setattr(everything, "checks", lambda: few)

    register("mine", seeded_bugs.Sampler)
    return replace


def passes(_):
    pass


def test_elsewhere_than_on_a_terminal_each_check_is_one_line(kit, capsys):
    """A failure is followed by its parts; remarks, and why checks did not apply, stand at the end."""
    kit(passes, found, unusual, impossible)
    assert main(["check", "mine"]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith("values")]
    assert rows == [
        ["values", "passes", "passed"],
        ["values", "found", "failed"],
        ["values", "unusual", "remark"],
        ["values", "impossible", "not", "applicable"],
    ]
    assert [line.split()[0] for line in lines[2:7]] == ["did", "four,", "seen", "expected", "mend"]
    assert "1 not applicable: the algorithm has no middle" in lines
    assert re.fullmatch(
        r"mine: 4 checks in \d+ s, \d+ s of processor time: 1 passed, 1 remark, 1 failed, 1 not applicable",
        " ".join(lines[-2:]),
    )
    assert max(map(len, lines)) <= 80


def test_what_several_checks_see_is_told_once(kit, capsys):
    """One mistake may fail many checks; those after the first name it, and keep what they did."""

    def again(_):
        raise Finding(**{**FOUND, "did": "asked again"})

    def otherwise(_):
        raise Finding(**{**FOUND, "seen": "five proposals"})

    kit(found, again, otherwise)
    assert main(["check", "mine"]) == 1
    told = capsys.readouterr().out
    assert told.count("three proposals") == told.count("five proposals") == 1
    assert told.count(FOUND["mend"]) == 2
    assert "asked again" in told
    assert re.search(r"seen .*\bfound$", told, re.MULTILINE)


def test_a_remark_does_not_change_the_exit_code(kit, capsys):
    """It is listed apart, with its check."""
    kit(passes, unusual)
    assert main(["check", "mine"]) == 0
    out = capsys.readouterr().out
    assert "proposes the middle first" in " ".join(out.partition("remarks")[2].split())


def test_the_results_are_written_as_json(kit, capsys):
    """The file says what was found, in the same words, and that no check runs any more."""
    kit(passes, found)
    assert main(["check", "mine", "--json", "found.json"]) == 1
    body = json.loads(Path("found.json").read_text())
    assert body["algorithm"] == "mine"
    assert body["running"] is None
    assert [(it["name"], it["status"], it["cause"]) for it in body["checks"]] == [
        ("passes", "passed", ""),
        ("found", "failed", "finding"),
    ]
    assert body["checks"][1].items() >= FOUND.items()
    assert list(Path().glob("found*")) == [Path("found.json")]


def test_the_json_is_whole_while_a_check_runs(kit, capsys):
    """It has the results so far, and the name of the check that runs."""
    file = Path("found.json").absolute()

    def reads(_):
        body = json.loads(file.read_text())
        assert body["running"] == "reads"
        assert [it["name"] for it in body["checks"]] == ["passes"]

    kit(passes, reads)
    assert main(["check", "mine", "--json", str(file)]) == 0, capsys.readouterr().out


FEW = """
import sys
from byohpo_core.cli import main
from byohpo_core.testing import running
from byohpo_core.testing.behaviours import all as everything
few = everything.checks()[:3]
running.checks = everything.checks = lambda: few
sys.exit(main(sys.argv[1:]))
"""


def on_a_terminal(*arguments):
    """What a terminal of 80 columns shows of a command at its end, line by line, and all that was ever written.

    The command has three checks only.
    """
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-P", "-c", FEW, *arguments]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child)
    os.close(child)
    written = b""
    with suppress(OSError):  # the end of a terminal, on Linux
        while part := os.read(parent, 65536):
            written += part
    os.close(parent)
    process.wait()
    return [_screen(line) for line in written.decode().split("\n")], written.decode()


def _screen(line):
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown.rstrip()


def test_a_terminal_shows_the_check_that_runs_in_one_line(tmp_path):
    """The line is written over, and the count is in it; what passed does not stay."""
    (tmp_path / "mine.py").write_text(MINE)
    lines, written = on_a_terminal("check", "mine:Mine")
    assert all(f"\r[{number}/3] batches: " in written for number in range(1, 4))
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.startswith(("[", "batches"))]
    assert any(line.startswith("Mine: 3 checks in ") for line in lines)


def test_a_class_in_the_working_folder_is_checked_by_its_name(tmp_path, monkeypatch, capsys):
    """The folder is a place to import from, behind all others, also for the kit's own child processes."""
    (tmp_path / "own_search.py").write_text(MINE)
    (tmp_path / "attrs.py").write_text("raise ImportError('it would shadow an installed package')")
    few = [it for it in everything.checks() if it.name == "repeats-itself-in-another-process"]
    for module in (running, everything):
        monkeypatch.setattr(module, "checks", lambda: few)
    assert main(["check", "own_search:Mine", "--options", '{"size": 5}']) == 0
    assert "Mine: 1 checks in" in capsys.readouterr().out
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize("name", ["mine:Nobody", "nowhere:Mine", "mine:NUMBER", "mine:", ":Mine"])
def test_a_class_that_cannot_be_found_is_refused(name, tmp_path):
    """The message is one line, with exit code 2."""
    (tmp_path / "mine.py").write_text(MINE + "NUMBER = 3\n")
    done = byohpo("check", name)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("byohpo: error: ")


def test_the_command_refuses_what_it_cannot_build(capsys):
    """An unknown algorithm and wrong options give one line and exit code 2."""
    assert main(["check", "nobody"]) == 2
    assert "algorithm 'nobody'" in capsys.readouterr().err
    assert main(["check", "pso", "--options", '{"populaton": 3}']) == 2
    assert "did you mean 'population'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", ["[1]", "{", "3", "null", "{'population': 3}", pytest.param("[" * 99999, id="deep")]
)
def test_the_command_refuses_options_that_are_no_object(options, capsys):
    """The message is one line and shows how to write options."""
    with pytest.raises(SystemExit) as left:
        main(["check", "pso", "--options", options])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--options: {options!r}" in line
    assert '{"population": 8}' in line


@pytest.mark.parametrize("place", ["nowhere/found.json", "/dev/null", "."])
def test_the_command_refuses_a_file_that_cannot_be_written_before_the_checks(place, capsys, monkeypatch):
    """The command does not run the checks first, which take a while, and replaces no device."""
    monkeypatch.setattr(running, "run_all", None)
    assert main(["check", "random", "--json", place]) == 2
    message = capsys.readouterr().err
    assert f"--json: {place}" in message


def test_a_link_beside_the_json_is_not_followed(kit, capsys):
    """What it leads to stays as it is, and the file itself is for its owner only."""
    Path("precious").write_text("precious")
    Path("found.json.part").symlink_to("precious")
    kit(passes)
    assert main(["check", "mine", "--json", "found.json"]) == 2
    assert "--json: found.json.part is a symbolic link" in capsys.readouterr().err
    assert Path("precious").read_text() == "precious"
    Path("found.json.part").unlink()
    assert main(["check", "mine", "--json", "found.json"]) == 0
    assert Path("found.json").stat().st_mode & 0o777 == 0o600


def test_the_command_says_why_options_fit_neither_one_objective_nor_two(capsys):
    """The message gives both reasons, or the reason once if both are the same."""
    assert main(["check", "de", "--options", '{"num_selected": 3}']) == 2
    message = capsys.readouterr().err
    assert "num_selected" in message
    assert "two objectives" in message
    assert main(["check", "pso", "--options", '{"popul": 3}']) == 2
    assert capsys.readouterr().err.count("'popul'") == 1


def test_the_strength_is_a_table_with_the_shelf_below(capsys):
    """There is one column a problem, an interval, and a line for each algorithm of the shelf."""
    register("climber", seeded_bugs.Climber)
    assert main(["check", "climber", "--strength", "--minutes", "0.02", "--json", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    body = json.loads(Path("found.json").read_text())
    measured = [name for name, tally in body["strength"].items() if tally["seeds"]]
    assert measured
    assert lines[1].split() == " ".join(body["strength"]).split()
    assert lines[2].startswith("climber")


def test_no_time_for_the_strength_is_refused(capsys):
    """The message names the flag."""
    assert main(["check", "pso", "--strength", "--minutes", "0"]) == 2
    assert "--minutes" in capsys.readouterr().err
