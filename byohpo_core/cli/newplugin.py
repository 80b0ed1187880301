"""`byohpo new-plugin`: a package for an algorithm of one's own, which installs and passes `byohpo check` as it is."""

import argparse
import keyword
import re
import shlex
from pathlib import Path
from string import Template
from typing import Any

from byohpo_core.cli.output import say
from byohpo_core.errors import InvalidInput
from byohpo_core.plugins.finding import OURS

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_LENGTH = 40


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    new = commands.add_parser("new-plugin", help="write a package for an algorithm of your own")
    new.add_argument("name", help="the algorithm's name, as in strategy=NAME")
    new.add_argument("--blocking", action="store_true", help="for an optimiser that calls f(x) and waits")
    new.add_argument("--folder", type=Path, default=Path(), help="where to write it; default the working folder")
    new.set_defaults(run=_new_plugin)


def _new_plugin(options: argparse.Namespace) -> int:
    package = write_plugin(options.name, options.folder, blocking=options.blocking)
    place = package if package.is_absolute() else f"./{package}"  # without ./ pip takes it for a name
    say(f"{package} is written. Next:")
    say(f"  pip install --editable {shlex.quote(str(place))}")
    say(f"  byohpo check {options.name}")
    return 0


def write_plugin(name: str, folder: Path, *, blocking: bool = False) -> Path:
    """Write the package `byohpo-plugin-NAME` into a folder and return its path. Existing files are not touched."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_LENGTH:
        raise InvalidInput(
            f"{name!r} is no name for an algorithm: lower-case letters, digits and single inner hyphens, at most "
            f"{_MAX_LENGTH}, such as house-special"
        )
    if name in OURS or name in OURS.values():
        raise InvalidInput(f"{name!r} is one of byohpo's own algorithms: choose another name")
    module = f"byohpo_plugin_{name.replace('-', '_')}"
    words = {
        "name": name,
        "module": module,
        "algorithm": _class_name(name),
    }
    package = folder / f"byohpo-plugin-{name}"
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        f"src/{module}/__init__.py": _BLOCKING if blocking else _PLAIN,
        f"src/{module}/py.typed": "",
        "tests/test_conformance.py": _TESTS,
    }
    try:
        package.mkdir(parents=True)
        for place, text in files.items():
            path = package / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(text).substitute(words), encoding="utf-8")
    except FileExistsError as error:
        raise InvalidInput(f"{package} exists already: choose another name or folder") from error
    except OSError as error:
        raise InvalidInput(f"{package} cannot be written: {error.strerror}") from error
    return package


def _class_name(name: str) -> str:
    camel = "".join(word.capitalize() for word in name.split("-"))
    return f"{camel}Search" if keyword.iskeyword(camel) or camel in {"Blocking", "Problem", "Study", "Trial"} else camel


_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "byohpo-plugin-$name"
version = "0.1.0"
description = "An algorithm for byohpo: $name"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["byohpo-core>=0.1", "attrs>=24.2"]

[project.optional-dependencies]
test = ["pytest>=8.2"]

[project.entry-points."byohpo.algorithms"]
$name = "$module:$algorithm"
"""

_README = """\
# byohpo-plugin-$name

An algorithm for byohpo. After `pip install .` it is there as `strategy="$name"`:

    byohpo info $name
    byohpo check $name
"""

_TESTS = '''\
"""The algorithm behaves as `byohpo check $name` wants it."""

import pytest

from byohpo_core.testing import AlgorithmConformance


class Test$algorithm(AlgorithmConformance):
    @pytest.fixture
    def algorithm(self):
        return "$name"
'''

_PLAIN = '''\
"""The algorithm $name for byohpo."""

import random
from collections.abc import Sequence
from typing import Any

import attrs

from byohpo_core import Problem, Study, Trial, hookimpl, option


@attrs.define(eq=False)
class $algorithm:
    """Random configurations first, then steps from the best one, in the unit cube."""

    problem: Problem
    step: float = option(0.1, help="how far a step reaches, in the unit cube", minimum=0.001, maximum=1)
    _random: random.Random = attrs.field(init=False)
    _best: tuple[float, list[float]] | None = attrs.field(init=False, default=None)
    _made: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.problem.require_one_objective()
        self._random = random.Random(self.problem.seed)

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """As many as are asked for."""
        return [self._next() for _ in range(count)]

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        """Remember the best; a failed trial has no losses."""
        for trial in trials:
            if trial.losses is not None:
                found = (trial.losses[0], self.problem.space.encode(trial.proposal.hyperparameters))
                self._best = found if self._best is None else min(self._best, found)

    def _next(self) -> dict[str, Any]:
        self._made += 1
        if self._best is None or self._made <= self.problem.max_parallel_jobs + 4:
            return self.problem.space.sample(self._random)
        _, best = self._best
        return self.problem.space.decode([self._random.gauss(unit, self.step) for unit in best])
'''

_BLOCKING = '''\
"""The algorithm $name for byohpo: an optimiser that calls a function and waits."""

import random
from collections.abc import Callable

import attrs

from byohpo_core import Blocking, BlockingAlgorithm, option


@attrs.define(eq=False)
class $algorithm(BlockingAlgorithm):
    """Generations of steps from the best point so far, in the unit cube."""

    population: int | None = option(None, help="points a generation; default as many as slots, at least 4", minimum=1)
    step: float = option(0.15, help="how far a step reaches, in the unit cube", minimum=0.001, maximum=1)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        return Blocking(self.problem, self._minimise)

    def _minimise(self, evaluate: Callable[[list[list[float]]], list[float]]) -> None:
        """Your optimiser: hand it `evaluate`, which takes points and gives their losses; smaller is better."""
        generator = random.Random(self.problem.seed)
        size = self.population or max(4, self.problem.max_parallel_jobs)
        points = [[generator.random() for _ in range(self.problem.space.dimension)] for _ in range(size)]
        best = None
        while True:
            found = min(zip(evaluate(points), points, strict=True))
            best = found if best is None else min(best, found)
            points = [[min(1.0, max(0.0, generator.gauss(x, self.step))) for x in best[1]] for _ in range(size)]
'''
