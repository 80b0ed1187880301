"""A population's default is the one that `byohpo info` and the plugin's README show."""

import math
import re
from importlib.metadata import entry_points
from itertools import combinations_with_replacement
from pathlib import Path

import attrs
import pytest
from byohpo_inspyred import SLOTS

from byohpo_core import ContinuousParameter, Objective, Problem, SearchSpace

NAMES = ["de", "eda", "es", "ga", "nsga2", "paes", "pso"]
PLUGINS = Path(__file__).parents[2]
NUMBERS = (1000, 100, 64, 40, 13, 8, 5, 3, 2, 1)


def algorithm_class(name):
    """A class as it is found by its entry point."""
    return entry_points(group="byohpo.algorithms")[name].load()


def help_text(name):
    return attrs.fields_dict(algorithm_class(name))["population"].metadata["help"]


def from_help(name, mode, jobs, slots):
    """What a reader of the help text computes."""
    rounded, steady, generation = re.fullmatch(
        r".*; default(, rounded up to an even number)?: (.+) in asynchronous mode, (.+) in generational mode",
        help_text(name),
    ).groups()
    formula = steady if mode == "asynchronous" else generation
    size = eval(formula, {"slots": slots, "max_jobs": jobs, "min": min, "max": max, "ceil": math.ceil})
    return size + size % 2 if rounded else size


@pytest.mark.parametrize("mode", ["asynchronous", "generational"])
@pytest.mark.parametrize("name", NAMES)
def test_the_default_population_is_what_the_help_says(name, mode):
    """The formula in the help text gives the default for small and large budgets and slots."""
    objectives = tuple(Objective(metric, "Minimize") for metric in ("a", "b")[: 1 + (name == "nsga2")])
    space = SearchSpace({"x": ContinuousParameter(0, 1)})
    for jobs, slots in combinations_with_replacement(NUMBERS, 2):
        algorithm = algorithm_class(name)(Problem(space, objectives, 1, jobs, slots), mode=mode)
        algorithm.close()
        assert algorithm.population == from_help(name, mode, jobs, slots)


@pytest.mark.parametrize("name", [*NAMES, "sa"])
def test_the_readme_says_what_the_help_says(name):
    """The table has a row with the default and the help text of each option; the help of `mode` is the core's."""
    readme = (PLUGINS / f"byohpo-plugin-{name}" / "README.md").read_text(encoding="utf-8")
    rows = [
        f"| `{field.name}` | {'derived' if isinstance(field.default, attrs.Factory) else f'`{field.default!r}`'} | "
        f"{field.metadata['help']} |"
        for field in attrs.fields(algorithm_class(name))
        if "help" in field.metadata and field.name != "mode"
    ]
    assert rows == re.findall(r"^\| `(?!mode`).*$", readme, re.MULTILINE)


def test_a_formula_has_parentheses_where_it_needs_them():
    """Arithmetic on a sum multiplies or divides the sum."""
    space = SearchSpace({"x": ContinuousParameter(0, 1)})
    problem = Problem(space, (Objective("a", "Minimize"),), 1, 40, 4)
    for size, formula, value in [
        (2 * (SLOTS + 1), "2 * (slots + 1)", 10),
        ((3 * SLOTS) // 5, "(3 * slots) // 5", 2),
        (0.6 * SLOTS, "ceil(0.6 * slots)", 3),
    ]:
        assert (size.formula, size.of(problem)) == (formula, value)
