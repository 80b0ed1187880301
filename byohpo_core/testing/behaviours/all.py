"""All checks of the kit."""

from byohpo_core.testing.behaviours import (
    batches,
    coverage,
    driving,
    learning,
    objectives,
    options,
    others,
    replaying,
    resources,
    results,
    seeds,
    spaces,
    stops,
    values,
)
from byohpo_core.testing.check import Check, registered

MODULES = (
    batches,
    driving,
    learning,
    options,
    replaying,
    resources,
    results,
    others,
    objectives,
    seeds,
    stops,
    values,
    coverage,
    spaces,
)
"""Importing a module registers its checks."""


def checks() -> list[Check]:
    """All checks in the order in which they run: by group, then by their place in the module."""
    return sorted(registered(), key=lambda check: check.group)
