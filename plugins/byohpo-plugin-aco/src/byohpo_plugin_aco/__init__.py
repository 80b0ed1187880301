"""Ant colony optimisation for byohpo, with pygmo's `gaco`.

Schlueter, Egea & Banga 2009, "Extended ant colony optimization for non-convex mixed integer nonlinear programming";
Acciarini, Izzo & Mooij 2020, "MHACO: a multi-objective hypervolume-based ant colony optimizer for space trajectory
optimization"; https://esa.github.io/pygmo2/algorithms.html#pygmo.gaco
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from scipy.stats import qmc

from byohpo_core import Blocking, BlockingAlgorithm, InvalidInput, MissingExtra, Problem, option, remembering
from byohpo_plugin_aco.coordinates import Coordinates

Evaluate: TypeAlias = Callable[[list[list[float]]], list[float]]
_FEWEST = 6
"""Ants by default. Measured: fewer converge too soon, more learn too late."""
_FOR_EVER = 2**32 - 1
"""The most generations that pygmo counts."""
_HUGE = 1e300
"""Losses are clipped to this: pygmo multiplies them, and an overflow ends its learning."""


def _usual_archive(problem: Problem) -> int:
    """3 solutions for 18 jobs, 4 for 50, 6 for 200: a small budget must narrow the search sooner."""
    return max(2, math.floor(math.log2(problem.max_jobs)) - 1)


def _archive_within(problem: Problem, ants: Any) -> int:
    """The usual archive, but not larger than a generation. What *ants* is, is checked later."""
    usual = _usual_archive(problem)
    return min(usual, ants) if isinstance(ants, int) else usual


def _usual_ants(problem: Problem) -> int:
    """No slot is idle while jobs take equally long."""
    slots = problem.max_parallel_jobs
    return slots * math.ceil(max(_FEWEST, _usual_archive(problem)) / slots)


@attrs.define(eq=False)
class AntColony(BlockingAlgorithm):
    """Draws each generation around the best configurations so far, as far as these are from each other.

    The whole generation runs at once. Its best configurations enter the archive, whose worst ones leave it.
    """

    ants: int = option(
        attrs.Factory(lambda self: _usual_ants(self.problem), takes_self=True),
        help="trials in a generation; default the smallest multiple of the slots that is at least 6 and at least the "
        "default of archive",
        minimum=2,
        maximum=100_000,
    )
    archive: int = option(
        attrs.Factory(lambda self: _archive_within(self.problem, self.ants), takes_self=True),
        help="how many of the best configurations are kept, at most the ants; fewer narrow the search sooner; default "
        "floor(log2(max_jobs)) - 1, at least 2: 3 for 18 jobs, 4 for 50, 6 for 200",
        minimum=2,
        maximum=1000,
    )
    q: float = option(
        0.1, help="lower values draw more ants around the best of the archive", minimum=0.001, maximum=1000
    )
    n_gen_mark: int = option(
        3,
        help="the steps are divided by 1, 2, ... up to this, one generation after the other, and again from 1",
        minimum=1,
        maximum=1000,
    )
    impstop: int = option(
        10,
        help="after this many generations in a row that leave the archive as it is, the search begins anew, with the "
        "best configuration and random ones",
        minimum=2,
        maximum=1_000_000,
    )
    _encode: Callable[[Mapping[str, Any]], list[float]] = attrs.field(init=False)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        _import_pygmo()
        if self.archive > self.ants:
            raise InvalidInput(f"archive is {self.archive}; it must be at most the number of ants ({self.ants})")
        coordinates = Coordinates(self.problem.space)
        self._encode, decode = remembering(self.problem.space, coordinates.encode, coordinates.decode)
        return Blocking(self.problem, self._forage, decode=decode)

    def _forage(self, evaluate: Evaluate) -> None:
        """One colony after another. The first begins with known configurations, the next with the best of the last."""
        pygmo, generator = _import_pygmo(), np.random.default_rng(self.problem.seed)
        coordinates = Coordinates(self.problem.space)
        landscape = pygmo.problem(Landscape(coordinates.bounds, coordinates.whole))
        known = self._search.known[: self.ants // 2]
        points = [self._encode(trial.proposal.hyperparameters) for trial in known]
        population = pygmo.population(landscape)
        while True:
            cube = qmc.LatinHypercube(len(coordinates.sizes), rng=generator)
            points += coordinates.spread(cube.random(self.ants - len(points) - len(population)))
            for point, loss in zip(points, _losses(evaluate, points), strict=True):
                population.push_back(point, [loss])
            last = self._colony(population, int(generator.integers(_FOR_EVER)), evaluate)
            population, points = pygmo.population(landscape), []
            population.push_back(last.champion_x, last.champion_f)

    def _colony(self, population: Any, seed: int, evaluate: Evaluate) -> Any:
        """Send ants until the archive stays as it is for long; the last generation, which knows the best of all.

        pygmo draws one generation a call, and is not in the middle of its work while the study runs the trials.
        """
        pygmo = _import_pygmo()
        gaco = pygmo.gaco(
            gen=1,
            memory=True,
            ker=self.archive,
            q=self.q,
            n_gen_mark=self.n_gen_mark,
            impstop=self.impstop,
            seed=seed,
            threshold=_FOR_EVER,  # q never becomes 0.01
            evalstop=0,  # only impstop counts
            acc=0.0,  # losses that differ by little differ
        )
        algorithm = pygmo.algorithm(gaco)
        while np.isinf((drawn := algorithm.evolve(population)).get_f()).all():
            points = drawn.get_x()
            for ant, loss in enumerate(_losses(evaluate, points.tolist())):
                drawn.set_xf(ant, points[ant], [loss])
            population = drawn
        return population


@attrs.frozen
class Landscape:
    """The search space as a problem of pygmo's, which copies it. No point has a loss before its trial has run."""

    bounds: tuple[list[float], list[float]]
    whole: int

    def get_bounds(self) -> tuple[list[float], list[float]]:
        return self.bounds

    def get_nix(self) -> int:
        return self.whole

    def fitness(self, _: object) -> list[float]:
        return [math.inf]


def _losses(evaluate: Evaluate, points: list[list[float]]) -> list[float]:
    return [min(max(loss, -_HUGE), _HUGE) for loss in evaluate(points)]


def _import_pygmo() -> Any:
    """The library, imported late: the plugin can be installed where pygmo cannot."""
    try:
        import pygmo
    except ImportError as error:
        raise MissingExtra(
            f"aco (byohpo-plugin-aco) cannot import pygmo ({error}); PyPI has it for CPython on Linux with glibc "
            "(x86_64, aarch64) only: elsewhere install it by conda install -c conda-forge pygmo, or choose another "
            "algorithm, such as cmaes"
        ) from error
    return pygmo
