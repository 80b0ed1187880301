"""Plugins are found by their entry points, and only the chosen one is imported."""

import subprocess
import sys
import textwrap
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from studies import ROOT, byohpo, tune

from byohpo_core import InvalidInput, PluginError, UnknownPlugin, hookimpl, register
from byohpo_core.cli import main
from byohpo_core.plugins.finding import EXTENSIONS, OURS, find, restore

GOOD = """
from byohpo_core import hookimpl

class Algorithm:
    '''A good one.'''
    def __init__(self, problem):
        self.space = problem.space
    @hookimpl
    def propose(self, study, count):
        return [self.space.decode([0.5])]
"""


BROKEN = {
    "importing": "import there_is_no_such_module",
    "syntax": "def (",
    "exiting": "import sys; sys.exit('goodbye')",
    "sleeping": "import time; time.sleep(3600)",
    "raising": "raise RuntimeError('not today')",
}


def ship(folder, distribution, name, code, module=None):
    """Lay out an installed distribution as pip would: a module and its metadata."""
    module = module or distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(
        f"import pathlib; pathlib.Path(__file__).with_suffix('.imported').touch()\n{textwrap.dedent(code)}"
    )
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: For tests\n")
    (info / "entry_points.txt").write_text(f"[byohpo.algorithms]\n{name} = {module}:Algorithm\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed plugins."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def imported(site):
    return sorted(path.stem for path in site.glob("*.imported"))


def test_broken_neighbours_hurt_nobody(site):
    """With broken plugins of every kind around, listing imports none and a good one tunes."""
    ship(site, "good-plugin", "good", GOOD)
    for name, code in BROKEN.items():
        ship(site, f"{name}-plugin", name, code)
    ship(site, "first-plugin", "clash", GOOD)
    ship(site, "second-plugin", "clash", GOOD)
    listed = byohpo("algorithms")
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in ("good", "pso", "random", "clash", *BROKEN))
    assert imported(site) == []
    code = """
        from byohpo_core import ContinuousParameter, Tuner
        tuner = Tuner(lambda h: h["x"], "loss", {"x": ContinuousParameter(0, 1)}, strategy="good", progress=False)
        print(tuner.fit().best.value)
    """
    tuned = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (tuned.stdout, tuned.stderr) == ("0.5\n", "")
    assert imported(site) == ["good_plugin"]


def test_a_name_of_two_distributions_is_refused(site):
    """Neither is chosen silently; both are named."""
    ship(site, "first-plugin", "clash", GOOD)
    ship(site, "second-plugin", "clash", GOOD)
    expected = "'clash'.*first-plugin 1.0.*second-plugin 1.0.*uninstall"
    with pytest.raises(UnknownPlugin, match=expected):
        find("clash")
    assert imported(site) == []


@pytest.mark.parametrize("name", ["importing", "syntax", "exiting", "raising"])
def test_a_plugin_that_cannot_be_loaded_is_named_with_its_distribution(site, name):
    """The line says what the import said."""
    ship(site, f"{name}-plugin", name, BROKEN[name])
    with pytest.raises(PluginError) as raised:
        find(name)
    assert f"plugin '{name}' ({name}-plugin 1.0)" in str(raised.value)


def test_each_plugin_can_be_tried_in_a_process_of_its_own(site, monkeypatch, capsys):
    """Even one that sleeps or computes for ever gets an answer."""
    monkeypatch.setattr("byohpo_core.cli.plugins.LOAD_SECONDS", 2.0)
    monkeypatch.setattr("byohpo_core.cli.plugins.LAST_RESORT_SECONDS", 30.0)
    ship(site, "good-plugin", "good", GOOD)
    ship(site, "endless-plugin", "endless", "while True: pass")
    for name, code in BROKEN.items():
        ship(site, f"{name}-plugin", name, code)
    ours = {"good", "endless", *BROKEN}

    def others_out(group):
        return [entry for entry in entry_points(group=group) if entry.name in ours]

    monkeypatch.setattr("byohpo_core.plugins.finding.entry_points", others_out)
    assert main(["algorithms", "--verbose"]) == 1
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert told.keys() == ours
    for name, words in {
        "good": ["loads"],
        "importing": ["ModuleNotFoundError", "there_is_no_such_module"],
        "sleeping": ["still importing", "30 s"],
        "endless": ["still importing", "2 s of processor time"],
        "exiting": ["goodbye"],
        "raising": ["RuntimeError: not today"],
        "syntax": ["SyntaxError"],
    }.items():
        assert all(word in told[name] for word in words), told[name]


def test_a_manifests_plugin_is_found_again(monkeypatch):
    """A registered one by its name, a class by module and qualified name; otherwise the way out is told."""
    monkeypatch.setattr("byohpo_core.plugins.finding._registered", {})
    found = find(Path)
    assert restore(found.spec({})).plugin is Path

    class Local:
        """Not importable from elsewhere."""

    register("local-one", Local)
    assert restore(find("local-one").spec({})).plugin is Local
    with pytest.raises(UnknownPlugin, match=r"Tuner.attach\(..., strategy=TheClass\)"):
        restore(find(Local).spec({}))
    with pytest.raises(UnknownPlugin, match=r"register\('Local', TheClass, group=.extensions.\)"):
        restore(find(Local, EXTENSIONS).spec({}))
    register("Local", Local, group="extensions")
    assert restore(find(Local, EXTENSIONS).spec({})).plugin is Local
    with pytest.raises(InvalidInput):
        find("no-such-extension", "byohpo.extensions")


def test_a_registered_name_belongs_to_its_group(monkeypatch):
    """It replaces nothing of another group: not the core's early stopping, nor a kind of backend."""
    monkeypatch.setattr("byohpo_core.plugins.finding._registered", {})
    for name in ("median", "simulated"):

        @register(name)
        class Mine:
            """An algorithm that has the name of something else."""

        assert find(name).plugin is Mine
    assert find("median", EXTENSIONS).distribution == "byohpo-core"
    assert find("simulated", "byohpo.backends").distribution == "byohpo-core"
    core = find("median", EXTENSIONS)
    register("median", Mine, group="extensions")
    assert find("median", EXTENSIONS).plugin is Mine
    assert restore(core.spec({})).plugin is Mine  # as for an algorithm: who registers a name means it
    with pytest.raises(UnknownPlugin, match=r"'simulated'.*algorithm.*group=\"extensions\""):
        find("simulated", EXTENSIONS)
    with pytest.raises(InvalidInput, match="group is 'extension'"):
        register("x", Mine, group="extension")


def test_the_table_of_our_algorithms_is_what_our_packages_bring():
    """It names the package to install for an algorithm that is not there."""
    brought = {}
    for path in ROOT.glob("plugins/byohpo-plugin-*/pyproject.toml"):
        project = tomllib.loads(path.read_text())["project"]
        for name in project["entry-points"]["byohpo.algorithms"]:
            brought[name] = project["name"].removeprefix("byohpo-plugin-")
    assert brought == dict(OURS)


def test_a_registered_class_is_found_by_its_name():
    """`register` does without packaging what an entry point does."""

    @register("house-special")
    class HouseSpecial:
        def __init__(self, problem):
            self.space = problem.space

        @hookimpl
        def propose(self, study, count):
            return [self.space.decode([0.5])]

    assert tune(strategy="house-special", max_jobs=1, max_parallel_jobs=1).best.value == 1.0
