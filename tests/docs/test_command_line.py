"""docs/command-line.md, run as it stands."""

import re
import shlex
import textwrap
from pathlib import Path

from studies import ROOT, byohpo

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
