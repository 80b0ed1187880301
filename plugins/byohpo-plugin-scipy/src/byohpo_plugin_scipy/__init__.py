"""SciPy's global and local optimisers for byohpo, each in its own loop, one trial at a time.

https://docs.scipy.org/doc/scipy/reference/optimize.html. No search here takes finite differences, which would be paid
jobs: local ones are derivative-free. A point outside the unit cube is moved to its edge, and one within 1e-6 of an
earlier one has that one's loss: neither is a trial. A search that asks for nothing else any more ends.
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
"""Points closer than this in every coordinate are one."""
_FOR_EVER = sys.maxsize // 2
_PATIENCE = 2000
"""After so many known points in a row a search has nothing new to ask."""
_SEQUENTIAL = Traits(sequential=True)
Vector = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[list[list[float]]], list[float]]


class NothingNew(Exception):
    """Raised in SciPy's loop, which without new points would go round for ever."""


class Objective:
    """The objective as SciPy calls it: one new point a trial, and what is known again for nothing."""

    def __init__(
        self, evaluate: Evaluate, generator: np.random.Generator, dimension: int, known: Vector | None
    ) -> None:
        self.generator = generator
        self.dimension = dimension
        self.known = known
        """The best known point of an earlier study."""
        self.box = optimize.Bounds(np.zeros(dimension), np.ones(dimension))
        self._evaluate = evaluate
        self._known_in_a_row = 0
        # Points are found again by a weighted sum, which differs by at most NEAR times the sum of the weights.
        self._weights = [1 + math.sqrt(axis) % 1 for axis in range(2, dimension + 2)]
        self._reach = NEAR * sum(self._weights)
        self._sums: list[float] = []
        self._points: list[list[float]] = []
        self._losses: list[float] = []

    def starts(self) -> Iterator[Vector]:
        """Where a local search begins: at the best known point, and when it has converged, at random, for ever."""
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
    """The search that all of them are: one objective, the unit cube, a generator, and where known the best point.

    *minimise* calls SciPy; the loss of the best known point the objective knows.
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
        1.0, help="higher: farther jumps at first; SciPy's own is 5230", minimum=0.02, maximum=5e4
    )
    restart_temp_ratio: float = option(
        2e-5, help="annealing starts again at this share of it", minimum=1e-9, maximum=0.999
    )
    visit: float = option(2.4, help="higher: a heavier tail of far jumps", minimum=1.5, maximum=2.9)
    accept: float = option(-50.0, help="lower: worse points are accepted less", minimum=-1e4, maximum=-5)

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
    eps: float = option(1e-4, help="the improvement that makes a rectangle worth dividing", minimum=0, maximum=1)
    locally_biased: bool = attrs.field(
        default=True,
        validator=attrs.validators.instance_of(bool),
        metadata={"help": "whether to prefer the surroundings of good points"},
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
    """Simplicial homology global optimisation (Endres et al. 2018): Sobol points, then searches from the best of them.

    The searches are Powell's, derivative-free. When it has ended it begins again with more points.
    """

    traits: ClassVar[Traits] = _SEQUENTIAL
    points: int | None = option(
        None,
        help="points of the first round, at least the dimension + 2; default a quarter of the jobs",
        minimum=2,
        maximum=100_000,
    )
    local_evaluations: int | None = option(
        None, help="trials of a local search; default 10 times the dimension", minimum=1
    )

    def search(self) -> Blocking:
        least = self.problem.space.dimension + 2
        if self.points is not None and self.points < least:  # of fewer SciPy makes no triangles, and evaluates nothing
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
    temperature: float = option(1.0, help="the rise of the loss that is often accepted between jumps", minimum=0)
    step: float = option(
        0.3, help="how far a jump reaches in each coordinate, in the unit cube", minimum=0.001, maximum=1
    )
    local_evaluations: int | None = option(
        None,
        help="trials of a local search, at least the dimension + 2; default 5 times the dimension, at least 10",
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
    """The simplex search of Nelder & Mead 1965; when it has converged it starts again elsewhere."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    step: float = option(0.25, help="the size of the first simplex, in the unit cube", minimum=0.001, maximum=0.5)
    tolerance: float = option(1e-3, help="the size at which it has converged", minimum=NEAR, maximum=0.5)

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
    """Line searches along conjugate directions (Powell 1964); when it has converged it starts again elsewhere."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    tolerance: float = option(1e-2, help="how exact a line search is, in the unit cube", minimum=NEAR, maximum=0.5)

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
    """A trust region with quadratic models (Ragonneau & Zhang 2022); converged, it starts again elsewhere."""

    traits: ClassVar[Traits] = _SEQUENTIAL
    step: float = option(0.2, help="the first radius of the trust region, in the unit cube", minimum=0.001, maximum=0.5)
    tolerance: float = option(1e-3, help="the radius at which it has converged", minimum=NEAR, maximum=0.5)

    def search(self) -> Blocking:
        return one_point_at_a_time(self.problem, self._minimise)

    def _minimise(self, objective: Objective) -> None:
        for first in objective.starts():
            _cobyqa(objective, first, objective.box, self.step, min(self.tolerance, self.step), _FOR_EVER)


def _local_search(fun: Callable[..., float], x0: Vector, *, bounds: Any, maxfev: int, **_: Any) -> Any:
    """COBYQA in the form of SciPy's custom minimisers."""
    return _cobyqa(fun, x0, bounds, 0.1, 1e-3, maxfev)


def _cobyqa(fun: Callable[..., float], x0: Vector, bounds: Any, step: float, tolerance: float, maxfev: int) -> Any:
    """COBYQA by its authors' own package: SciPy's copy holds a lock throughout, so that no second study could run."""
    options = {"radius_init": step, "radius_final": tolerance, "maxfev": maxfev, "maxiter": _FOR_EVER}
    return cobyqa.minimize(fun, x0, bounds=bounds, options=options)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()
