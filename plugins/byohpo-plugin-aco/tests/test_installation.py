"""Where pygmo cannot be installed, the plugin can, and says what to do when it is used."""

import sys
import tomllib
from pathlib import Path

import attrs
import pytest
from byohpo_plugin_aco import AntColony
from packaging.requirements import Requirement

from byohpo_core import ContinuousParameter, MissingExtra, Simulated, Tuner

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]


def test_without_pygmo_the_error_names_the_plugin_and_the_way_out(monkeypatch):
    """One line, before the study is created; the options are still shown."""
    monkeypatch.setitem(sys.modules, "pygmo", None)
    words = r"byohpo-plugin-aco.*pygmo.*Linux.*conda install -c conda-forge pygmo"
    with pytest.raises(MissingExtra, match=words) as raised:
        Tuner(Simulated(dict), "loss", {"x": ContinuousParameter(0, 1)}, strategy="aco", max_jobs=1).fit()
    assert "\n" not in str(raised.value)
    assert "ants" in attrs.fields_dict(AntColony)


@pytest.mark.parametrize(
    ("system", "machine", "python", "needed"),
    [
        ("linux", "x86_64", "CPython", True),
        ("linux", "aarch64", "CPython", True),
        ("linux", "ppc64le", "CPython", False),
        ("linux", "x86_64", "PyPy", False),
        ("darwin", "arm64", "CPython", False),
        ("win32", "AMD64", "CPython", False),
    ],
)
def test_pygmo_is_required_where_pypi_has_it(system, machine, python, needed):
    """Elsewhere the installation would fail for the want of it."""
    (requirement,) = [it for it in map(Requirement, PROJECT["dependencies"]) if it.name == "pygmo"]
    place = {"sys_platform": system, "platform_machine": machine, "platform_python_implementation": python}
    assert requirement.marker.evaluate(place) is needed
