"""The three ways to bring an algorithm: the pages of docs/bring-your-own, run as they stand."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from studies import ROOT

PAGES = ROOT / "docs" / "bring-your-own"


def blocks(page, language):
    (path,) = PAGES.glob(f"{page}-*.md")
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run_page(page):
    Path("page.py").write_text("\n\n".join(blocks(page, "python")))
    return runpy.run_path("page.py", run_name="__main__")


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """What a page registers is gone after it."""
    monkeypatch.setattr("byohpo_core.plugins.finding._registered", {})


def test_a_class_in_a_program(capsys):
    """Registered by name, with an option, it finds the minimum."""
    study = run_page(1)["study"]
    assert study.jobs == 30
    assert study.best.value < 3  # as the first three give, whose losses do not depend on the order of results
    assert float(capsys.readouterr().out) == study.best.value


@pytest.mark.kit
def test_a_private_package_is_found_by_its_entry_point():
    """The page's commands, in this order, with pip installing into a folder of its own."""
    commands = [shlex.split(line) for block in blocks(2, "console") for line in block.splitlines()]
    assert [command[:2] for command in commands] == [
        ["byohpo", "new-plugin"],
        ["pip", "install"],
        ["byohpo", "info"],
        ["byohpo", "check"],
    ]
    environment = {**os.environ, "PYTHONPATH": "installed"}
    Path("installed").mkdir()
    # A folder on PYTHONPATH is no site folder, where an editable package's .pth file would be read.
    Path("installed/sitecustomize.py").write_text("import site; site.addsitedir(__file__.rpartition('/')[0])\n")
    outputs = []
    for program, *arguments in commands:
        module, more = "byohpo_core.cli", []
        if program == "pip":
            module, more = "pip", ["--target", "installed", "--no-deps", "--no-build-isolation"]
        command = [sys.executable, "-m", module, *arguments, *more]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout)
    assert "byohpo-plugin-house-special 0.1.0" in outputs[2]
    (told,) = re.findall(r"^house-special: \d+ checks\b.*$", outputs[3], re.MULTILINE)
    assert re.search(r"\b\d+ passed\b", told)
    assert "failed" not in told


def test_optimisers_that_call_a_function(capsys):
    """SciPy's and inspyred's, each wrapped in at most ten lines."""
    run_page(3)
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert set(told) == {"annealing", "evolution"}
    assert all(1 <= float(value) < 20 for value in told.values())  # how good it is depends on when jobs end
    for block in blocks(3, "python")[:2]:
        body = block[block.index("@register") :].strip().splitlines()[2:]
        assert len([line for line in body if line.strip()]) <= 10
