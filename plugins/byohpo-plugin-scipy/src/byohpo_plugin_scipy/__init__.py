"""SciPy's global and local optimisers for byohpo, each in its own loop, one trial at a time.

https://docs.scipy.org/doc/scipy/reference/optimize.html. All local searches are derivative-free: finite differences
would cost a job each. A point outside the unit cube is moved to its edge. A point within 1e-6 of an earlier point gets
the loss of that point without a new trial. A search that asks only for known points ends.
"""

import math
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

import attrs
import cobyqa
import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.stats import qmc

from byohpo_core import Blocking, BlockingAlgorithm, InvalidInput, Problem, Traits, option, remembering

NEAR = 1e-6
"""Two points that differ by at most this in every coordinate count as the same point."""
_FOR_EVER = sys.maxsize // 2
_PATIENCE = 2000
"""A search ends after asking for more known points in a row than this."""
_SEQUENTIAL = Traits(sequential=True)
Vector = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[list[list[float]]], list[float]]


class NothingNew(Exception):
    """Ends SciPy's loop, which would otherwise ask for known points for ever."""


class Objective:
    """The function that SciPy minimises. A new point becomes a trial; a known point returns its loss at once."""

    def __init__(
        self, evaluate: Evaluate, generator: np.random.Generator, dimension: int, known: Vector | None
    ) -> None:
        self.generator = generator
        self.dimension = dimension
        self.known = known
        """The best point of earlier studies, if there is one."""
        self.box = optimize.Bounds(np.zeros(dimension), np.ones(dimension))
        self._evaluate = evaluate
        self._known_in_a_row = 0
        # Points are sorted by a weighted sum. Sums of equal points differ by at most NEAR times the sum of the weights.
        self._weights = [1 + math.sqrt(axis) % 1 for axis in range(2, dimension + 2)]
        self._reach = NEAR * sum(self._weights)
        self._sums: list[float] = []
        self._points: list[list[float]] = []
        self._losses: list[float] = []

    def starts(self) -> Iterator[Vector]:
        """Start points of local searches, without end: first the best known point, then random points."""
        if self.known is not None:
            yield self.known
        while True:
            yield self.generator.random(self.dimension)

    def __call__(self, x: Vector) -> float:
        point = [min(max(coordinate, 0.0), 1.0) for coordinate in x.tolist()]
        total = math.fsum(map(math.prod, zip(point, self._weights, strict=True)))
        place = bisect_left(self._sums, total - self._reach)
        while place < len(self._sums) and self._sums[place] <= total + self._reach:
            if all(abs(mine - its) <= NEAR for mine, its in zip(point, self._points[place], strict=True)):
                self._known_in_a_row += 1
                if self._known_in_a_row > _PATIENCE:
                    raise NothingNew
                return self._losses[place]
            place += 1
        self._known_in_a_row = 0
        (loss,) = self._evaluate([point])
        place = bisect_left(self._sums, total)
        self._sums.insert(place, total)
        self._points.insert(place, point)
        self._losses.insert(place, loss)
        return loss


def one_point_at_a_time(problem: Problem, minimise: Callable[[Objective], object]) -> Blocking:
    """Run *minimise*, which calls SciPy with an `Objective`, as a search of the unit cube for one objective.

    If earlier studies have results, the objective knows the loss of their best point before *minimise* begins.
    """
    problem.require_one_objective()
    encode, decode = remembering(problem.space, problem.space.encode, problem.space.decode)

    def optimise(evaluate: Evaluate) -> None:
        known = np.array(encode(search.known[0].proposal.hyperparameters)) if search.known else None
        objective = Objective(evaluate, np.random.default_rng(problem.seed), problem.space.dimension, known)
        with suppress(NothingNew):
            if known is not None:
                objective(known)
            minimise(objective)

    search = Blocking(problem, optimise, decode=decode)
    return search


@attrs.define(eq=False)
class DualAnnealing(BlockingAlgorithm):
    """Generalised simulated annealing with restarts (Xiang et al. 1997), without its local search."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    initial_temp: float = option(
        1.0, help="higher values give longer jumps at first; SciPy's own default is 5230", minimum=0.02, maximum=5e4
    )
    restart_temp_ratio: float = option(
        2e-5,
        help="annealing restarts when the temperature has fallen to this share of initial_temp",
        minimum=1e-9,
        maximum=0.999,
    )
    visit: float = option(2.4, help="higher values give more very long jumps", minimum=1.5, maximum=2.9)
    accept: float = option(-50.0, help="lower values accept worse points less often", minimum=-1e4, maximum=-5)

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        optimize.dual_annealing(
            objective,
            objective.box,
            maxiter=_FOR_EVER,
            maxfun=_FOR_EVER,
            initial_temp=self.initial_temp,
            restart_temp_ratio=self.restart_temp_ratio,
            visit=self.visit,
            accept=self.accept,
            no_local_search=True,
            x0=objective.known,
            rng=objective.generator,
        )


@attrs.define(eq=False)
class Direct(BlockingAlgorithm):
    """Dividing rectangles (Jones et al. 1993), by default in its locally biased form (Gablonsky & Kelley 2001)."""

    traits: ClassVar[Traits] = Traits(sequential=True, finite=True, seeded=False)
    eps: float = option(1e-4, help="the smallest improvement for which a rectangle is divided", minimum=0, maximum=1)
    locally_biased: bool = attrs.field(
        default=True,
        validator=attrs.validators.instance_of(bool),
        metadata={"help": "whether to search first near good points"},
    )

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        optimize.direct(
            objective,
            objective.box,
            eps=self.eps,
            locally_biased=self.locally_biased,
            maxfun=max(1000, 10 * self.problem.max_jobs),
            maxiter=max(1000, 10 * self.problem.max_jobs),
            vol_tol=0.0,
            len_tol=0.0,
        )


@attrs.define(eq=False)
class Shgo(BlockingAlgorithm):
    """Simplicial homology global optimisation (Endres et al. 2018): Sobol points, then local searches from the best.

    The local searches are Powell's method, without derivatives. After the last one a new round begins with new points.
    """

    traits: ClassVar[Traits] = _SEQUENTIAL
    points: int | None = option(
        None,
        help="how many points each round samples, at least the dimension + 2; default a quarter of max_jobs",
        minimum=2,
        maximum=100_000,
    )
    local_evaluations: int | None = option(
        None, help="the budget of a local search, in trials; default 10 times the dimension", minimum=1
    )

    def search(self) -> Blocking:
        least = self.problem.space.dimension + 2
        if self.points is not None and self.points < least:  # SciPy needs them for a triangle, or evaluates nothing
            raise InvalidInput(f"points is {self.points}; for {least - 2} hyperparameters it must be at least {least}")
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        dimension = objective.dimension
        points = max(dimension + 2, self.problem.max_jobs // 4) if self.points is None else self.points
        local = 10 * dimension if self.local_evaluations is None else self.local_evaluations
        while True:
            sobol = qmc.Sobol(dimension, rng=objective.generator)
            optimize.shgo(
                objective,
                objective.box,
                n=points,
                iters=1,
                sampling_method=lambda count, _, sobol=sobol: sobol.random(_power_of_two(count))[:count],
                minimizer_kwargs={"method": "Powell", "options": {"maxfev": local, "xtol": 1e-2, "ftol": 1e-4}},
            )


@attrs.define(eq=False)
class BasinHopping(BlockingAlgorithm):
    """Jumps, each followed by a derivative-free local search (Wales & Doye 1997)."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    temperature: float = option(1.0, help="the increase of the loss that is often accepted between jumps", minimum=0)
    step: float = option(0.3, help="the longest jump in each coordinate, in the unit cube", minimum=0.001, maximum=1)
    local_evaluations: int | None = option(
        None,
        help="the budget of a local search, in trials, at least the dimension + 2; default 5 times the dimension, but "
        "at least 10",
        minimum=1,
    )

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        dimension = objective.dimension
        local = max(10, 5 * dimension) if self.local_evaluations is None else self.local_evaluations
        optimize.basinhopping(
            objective,
            next(objective.starts()),
            niter=_FOR_EVER,
            T=self.temperature,
            take_step=lambda x: np.clip(x + objective.generator.uniform(-self.step, self.step, x.size), 0, 1),
            minimizer_kwargs={
                "method": _local_search,
                "bounds": objective.box,
                "options": {"maxfev": max(local, dimension + 2)},
            },
            rng=objective.generator,
        )


@attrs.define(eq=False)
class NelderMead(BlockingAlgorithm):
    """The simplex search of Nelder & Mead 1965, restarted from a random point whenever it has converged."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    step: float = option(0.25, help="the size of the first simplex, in the unit cube", minimum=0.001, maximum=0.5)
    tolerance: float = option(
        1e-3, help="the size of the simplex at which the search has converged", minimum=NEAR, maximum=0.5
    )

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        for first in objective.starts():
            corners = np.tile(first, (first.size + 1, 1))
            corners[1:] += np.diag(np.where(first + self.step <= 1, self.step, -self.step))
            optimize.minimize(
                objective,
                first,
                method="Nelder-Mead",
                bounds=objective.box,
                options={
                    "initial_simplex": corners,
                    "xatol": self.tolerance,
                    "fatol": math.inf,
                    "maxiter": _FOR_EVER,
                    "maxfev": _FOR_EVER,
                    "adaptive": True,
                },
            )


@attrs.define(eq=False)
class Powell(BlockingAlgorithm):
    """Line searches along conjugate directions (Powell 1964), restarted from a random point after convergence."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    tolerance: float = option(1e-2, help="the tolerance of a line search, in the unit cube", minimum=NEAR, maximum=0.5)

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        for first in objective.starts():
            optimize.minimize(
                objective,
                first,
                method="Powell",
                bounds=objective.box,
                options={"xtol": self.tolerance, "ftol": 1e-4, "maxiter": _FOR_EVER, "maxfev": _FOR_EVER},
            )


@attrs.define(eq=False)
class Cobyqa(BlockingAlgorithm):
    """A trust region of quadratic models (Ragonneau & Zhang 2022), restarted from a random point after convergence."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    step: float = option(
        0.2, help="the initial radius of the trust region, in the unit cube", minimum=0.001, maximum=0.5
    )
    tolerance: float = option(1e-3, help="the radius at which the search has converged", minimum=NEAR, maximum=0.5)

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        for first in objective.starts():
            _cobyqa(objective, first, objective.box, self.step, min(self.tolerance, self.step), _FOR_EVER)


def _local_search(fun: Callable[..., float], x0: Vector, *, bounds: Any, maxfev: int, **_: Any) -> Any:
    """COBYQA with the signature that SciPy expects of a custom minimiser."""
    return _cobyqa(fun, x0, bounds, 0.1, 1e-3, maxfev)


def _cobyqa(fun: Callable[..., float], x0: Vector, bounds: Any, step: float, tolerance: float, maxfev: int) -> Any:
    """COBYQA from its authors' package. SciPy's copy holds a lock during the search, so only one study could run."""
    options = {"radius_init": step, "radius_final": tolerance, "maxfev": maxfev, "maxiter": _FOR_EVER}
    return cobyqa.minimize(fun, x0, bounds=bounds, options=options)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
