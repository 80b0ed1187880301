"""Choose an algorithm for a problem, where the user names none.

The order of preference is measured: docs/benchmarks/search-quality.md.
"""

import attrs

from byohpo_core.errors import UnknownPlugin
from byohpo_core.plugins.finding import ALGORITHMS, installed, registered
from byohpo_core.study.problem import Problem

AUTO = "auto"
_MOST_JOBS, _MOST_DIMENSIONS = 1000, 60
"""With more, a model of all results takes long to fit, and shows little."""
_ETA = 3
"""With less room between the least and the most of a resource, there is nothing to give to the best alone."""


@attrs.frozen
class Automatic:
    """The name of an algorithm and, for the user, why it was chosen."""

    name: str
    reason: str


def choose(problem: Problem) -> Automatic:
    """Choose the best algorithm for a problem among those installed; raise `UnknownPlugin` if there is none for it."""
    known = {*installed(ALGORITHMS), *registered(ALGORITHMS)}
    names, reason = _preferred(problem)
    found = next((name for name in names if name in known), None)
    if found is None:
        best = f"byohpo-plugin-{names[0]}"
        raise UnknownPlugin(f"no algorithm for this problem is installed: pip install {best}")
    return Automatic(
        found, reason if found == names[0] else f"{reason}; {names[0]}, which does better, is not installed"
    )


def _preferred(problem: Problem) -> tuple[tuple[str, ...], str]:
    """The names of algorithms for a problem, the best first, and what speaks for them."""
    jobs, space, several = problem.max_jobs, problem.space, len(problem.objectives) > 1
    if problem.resource is not None and problem.resource.most >= _ETA * problem.resource.least and not several:
        return ("hyperband", "gp", "random"), f"only good trials should have much of {problem.resource.name}"
    if space.cardinality <= jobs and not several:
        return ("grid", "gp", "random"), f"{jobs} jobs are enough for all {space.cardinality:.0f} configurations"
    if jobs <= _MOST_JOBS and space.dimension <= _MOST_DIMENSIONS:
        names = ("gp", "nsga2", "paes", "random") if several else ("gp", "cmaes", "pso", "random")
        return names, f"a model of all results pays for {jobs} jobs and {space.dimension} hyperparameters"
    names = ("nsga2", "gp", "paes", "random") if several else ("cmaes", "gp", "pso", "random")
    return names, f"{jobs} jobs and {space.dimension} hyperparameters are too many for a model of all results"
