"""All checks of the kit."""

from byohpo_core.testing.behaviours import (
    batches,
    learning,
    options,
    replaying,
    resources,
    results,
    seeds,
    stops,
    values,
)
from byohpo_core.testing.check import Check, registered

MODULES = (batches, learning, options, replaying, resources, results, seeds, stops, values)
"""Each registers its checks when it is imported."""


def checks() -> list[Check]:
    """All checks, in the order in which they are run: by group, then as they stand in their module."""
    return sorted(registered(), key=lambda check: check.group)
