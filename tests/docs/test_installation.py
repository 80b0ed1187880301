"""Installation commands in messages and pages name only what is ours to publish, and the README lists all of it."""

import re
import tomllib

import pytest
from studies import ROOT

from byohpo_core.plugins.finding import OURS

PROJECTS = [
    tomllib.loads(path.read_text()) for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
]
NAMES = {it["project"]["name"]: it["project"] for it in PROJECTS}
TOOLS = {"nox", "pytest"}
"""What the pages say to install of others."""
PLACES = ["byohpo_core/**/*.py", "plugins/*/src/**/*.py", "*.md", "docs/**/*.md", "docs/**/*.py", "plugins/*/*.md"]
FILES = sorted(path for place in PLACES for path in ROOT.glob(place))
_WORD = r"(?:[^\s`\"';&()]+|'[^']*'|\"[^\"]*\")"
COMMAND = re.compile(rf"pip install ({_WORD}(?: +{_WORD})*)")


def named(text):
    """The distributions that installation commands in a text name, with their extras."""
    for command in COMMAND.findall(text):
        for word in re.findall(_WORD, command):
            name = word.strip("'\"")
            if not name.startswith(("-", ".", "/", "{")):
                yield name


@pytest.mark.parametrize("path", [it for it in FILES if "pip install" in it.read_text()], ids=lambda it: it.name)
def test_each_command_installs_a_project_of_this_repository(path):
    """Anybody could publish another name, and a user who types it would run their code."""
    text = path.read_text()
    assert len(COMMAND.findall(text)) == len(re.findall(r"pip\s+install\b", text))
    for name in named(text.replace("{OURS[lower]}{written}", "random")):
        distribution, _, extra = name.removesuffix("]").partition("[")
        assert distribution in NAMES.keys() | TOOLS
        assert not extra or extra in NAMES[distribution]["optional-dependencies"]


def test_a_command_that_names_another_project_is_found():
    """Also one with quotes, options, versions or several names."""
    text = """`pip install --upgrade byohpo-core "evil[all]>=1" ./here` and 'pip install byohpo-plugin-bayes'"""
    assert [*named(text)] == ["byohpo-core", "evil[all]>=1", "byohpo-plugin-bayes"]


def test_each_algorithm_that_messages_name_is_one_of_ours():
    """An unknown name of an algorithm is answered with the command that installs its distribution."""
    for algorithm, ending in OURS.items():
        project = NAMES[f"byohpo-plugin-{ending}"]
        assert algorithm in project["entry-points"]["byohpo.algorithms"]


def test_the_readme_lists_every_name_to_reserve():
    """One sentence has all names, and that of the command, which people will try."""
    (sentence,) = re.findall(
        r"The first release\s+reserves these names on PyPI: (.*?)\.\n", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert sorted(re.findall(r"`([^`]+)`", sentence)) == sorted([*NAMES, "byohpo"])
