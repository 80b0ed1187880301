"""The imports of byohpo, drawn: they run one way, down the layers of docs/architecture.md, and never in a circle."""

import re

import grimp
import pytest
from studies import ROOT

PAGE = ROOT / "docs" / "architecture.md"
DOORS = ("byohpo_core", "byohpo_core.testing", "byohpo_sagemaker_emulator")
"""Their `__init__` list the public names, and nobody inside imports through them."""
FOR_PLUGINS = {"byohpo_core", "byohpo_core.container", "byohpo_core.metrics", "byohpo_core.testing"}


def layers():
    """The layers that the page declares, the highest first: each a list of files or folders of byohpo_core."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.findall(r"`(\w+)`", row) for row in rows]


@pytest.fixture
def graph():
    """All imports: also late ones, in functions, and those for types only."""
    return grimp.build_graph("byohpo_core", "byohpo_sagemaker_emulator", include_external_packages=True)


def imports(graph):
    """Modules, each with those that it imports."""
    inside = {module for module in graph.modules if module.startswith("byohpo_")}.difference(DOORS)
    return {module: graph.find_modules_directly_imported_by(module) & inside for module in sorted(inside)}


def circles(graph):
    """Sets of modules that all reach each other."""
    drawn = imports(graph)
    reach = {}
    for module in drawn:
        seen, left = set(), [module]
        while left:
            fresh = drawn[left.pop()] - seen
            seen |= fresh
            left += fresh
        reach[module] = seen
    tied = {frozenset(it for it in reach[module] if module in reach[it]) for module in drawn}
    return sorted(sorted(circle) for circle in tied if circle)


def against_the_flow(graph):
    """Pairs (importer, imported) that run upwards, or between different files or folders of one layer."""
    height = {name: -place for place, row in enumerate(layers()) for name in row}
    wrong = []
    for importer, imported in imports(graph).items():
        for other in imported if importer.startswith("byohpo_core.") else ():
            here, there = importer.split(".")[1], other.split(".")[1]
            if here != there and height[here] <= height[there]:
                wrong.append((importer, other))
    return wrong


def test_every_file_and_folder_has_a_layer(graph):
    """A new one is added to the page, or this test says so."""
    declared = [name for row in layers() for name in row]
    assert sorted(declared) == sorted(
        {module.split(".")[1] for module in graph.modules if module.startswith("byohpo_core.")}
    )


def test_nobody_inside_goes_through_a_door(graph):
    """They are for those outside."""
    for door in DOORS:
        assert {it for it in graph.find_modules_that_directly_import(door) if it.startswith(f"{door}.")} == set()


def test_no_imports_run_in_a_circle(graph):
    """Whoever reads a module from its imports down comes to an end."""
    assert circles(graph) == []


def test_imports_run_down_the_layers(graph):
    """Each layer knows only those below it."""
    assert against_the_flow(graph) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("byohpo_core.space.scaling", "byohpo_core.driving.driver"),
        ("byohpo_core.journal.lock", "byohpo_core.plugins.finding"),
        ("byohpo_core.blocking", "byohpo_core.extensions.progress"),
    ],
)
def test_an_import_against_the_flow_is_found(graph, importer, imported):
    """Also one between two of the same layer."""
    graph.add_import(importer=importer, imported=imported)
    assert against_the_flow(graph) == [(importer, imported)]


def test_a_circle_is_found(graph):
    """Also inside a folder, where the layers say nothing."""
    graph.add_import(importer="byohpo_core.driving.budget", imported="byohpo_core.driving.driver")
    assert ["byohpo_core.driving.budget", "byohpo_core.driving.driver"] in circles(graph)


def test_no_kind_of_backend_knows_another(graph):
    """Each is a plugin: `estimators.py` finds them by entry point, and only SageMaker's imports boto3."""
    kinds = ("function", "local", "sagemaker", "simulated")
    for importer, imported in imports(graph).items():
        if importer.startswith("byohpo_core.backends."):
            others = {
                it for kind in kinds if kind != importer.split(".")[2] for it in imported if f"backends.{kind}" in it
            }
            assert not others, importer
    users = graph.find_modules_that_directly_import("boto3") | graph.find_modules_that_directly_import("botocore")
    assert all(user.startswith(("byohpo_core.backends.sagemaker.", "byohpo_sagemaker_emulator")) for user in users)


def test_plugins_import_public_names_only():
    """What an algorithm of ours needs, anybody's can have."""
    for package in sorted((ROOT / "plugins").glob("*/src/*/")):
        text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
        used = set(re.findall(r"^\s*from (byohpo_core[\w.]*) import", text, re.MULTILINE))
        assert used <= FOR_PLUGINS, package.name
