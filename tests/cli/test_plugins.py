"""`byohpo algorithms`, `extensions` and `info`."""

import re

from studies import byohpo, refused


def test_algorithms_and_their_options_are_told():
    """What is installed, and what one of them takes."""
    listed = byohpo("algorithms")
    shown = [line.split()[:3] for line in listed.stdout.splitlines()]
    assert shown == sorted(shown)
    assert ["pso", "byohpo-plugin-pso", "0.1.0"] in shown
    assert ["random", "byohpo-plugin-random", "0.1.0"] in shown
    told = byohpo("info", "pso").stdout
    assert told.startswith("pso: ")
    assert re.search(r"^ +inertia +0\.5 +\w", told, re.MULTILINE)
    assert "byohpo-core 0.1.0" in byohpo("--version").stdout


def test_every_algorithm_can_be_tried():
    """`--verbose` loads each in a process of its own."""
    tried = byohpo("algorithms", "--verbose")
    assert tried.returncode == 0
    assert all(line.endswith("loads") for line in tried.stdout.splitlines())


def test_extensions_are_listed_and_told():
    """Stop rules have names and options as algorithms have."""
    listed = byohpo("extensions").stdout.splitlines()
    (target,) = (line for line in listed if line.startswith("target-value"))
    assert target.split()[1:3] == ["byohpo-core", "0.1.0"]
    assert "target" in target.split(None, 3)[3]
    told = byohpo("info", "target-value").stdout
    assert told.startswith("target-value: ")
    assert re.search(r"^ +value +\(needed\) +\w", told, re.MULTILINE)
    assert refused(byohpo("info", "target"), "algorithm 'target'", "extension", "did you mean 'target-value'?")
