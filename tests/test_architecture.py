"""The imports of byohpo, drawn: none runs in a circle, but for those that are known."""

import grimp
import pytest

PACKAGES = ("byohpo_core", "byohpo_core.testing", "byohpo_sagemaker_emulator")
"""Their `__init__` are doors, through which nobody inside goes."""
KNOWN = []
"""One module of each circle that is still to be untied."""


@pytest.fixture(scope="module")
def imports():
    """Modules of the core, each with those that it imports: also late, in functions, and only for types."""
    graph = grimp.build_graph("byohpo_core", "byohpo_sagemaker_emulator")
    inside = sorted(graph.modules.difference(PACKAGES))
    return {module: graph.find_modules_directly_imported_by(module) & {*inside} for module in inside}


def circles(imports):
    """Sets of modules that all reach each other."""
    reach = {}
    for module in imports:
        seen, left = set(), [module]
        while left:
            fresh = imports[left.pop()] - seen
            seen |= fresh
            left += fresh
        reach[module] = seen
    tied = {frozenset(it for it in reach[module] if module in reach[it]) for module in imports}
    return sorted((sorted(circle) for circle in tied if circle), key=len)


def test_no_imports_run_in_a_circle(imports):
    """Whoever reads a module from its imports down comes to an end."""
    assert [circle for circle in circles(imports) if not {*circle} & {*KNOWN}] == []
    assert len(circles(imports)) == len(KNOWN)
