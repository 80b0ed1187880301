"""Differential evolution for byohpo, with SciPy's `differential_evolution`.

Storn & Price 1997, "Differential Evolution - a Simple and Efficient Heuristic for Global Optimization over Continuous
Spaces"; https://docs.scipy.org/doc/scipy/reference/generated/scipy.optimize.differential_evolution.html
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution
from scipy.stats import qmc

from byohpo_core import Blocking, BlockingAlgorithm, InvalidInput, SearchSpace, mode_option, option, remembering
from byohpo_plugin_scipy_de.steady import STEERABLE, SteadyState, Trial

TURN = 5
"""How many mixtures are made at a time in asynchronous mode. Made one by one, each takes SciPy twice as long."""
LEAST_FOR_RAND2 = 6
"""The smallest population for the rand2 strategies, which mix five other members."""
MUTATION_LIMIT = 2
"""SciPy accepts only mutation factors below this."""
STRATEGIES = tuple(
    f"{kind}{crossover}"
    for kind in ("best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1")
    for crossover in ("bin", "exp")
)


@attrs.frozen
class Box:
    """SciPy's variables, one for each parameter: whole numbers if all values are equally likely, else from 0 to 1."""

    space: SearchSpace
    sizes: tuple[int, ...] = attrs.field(init=False)
    """How many values each parameter has; 0 if its variable is from 0 to 1."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(map(_equal_shares, self.space.tunable.values())))

    @property
    def bounds(self) -> list[tuple[float, float]]:
        return [(0, max(1, size) - 1) if size else (0, 1) for size in self.sizes]

    @property
    def integrality(self) -> list[bool]:
        return [size > 0 for size in self.sizes]

    def encode(self, configuration: Mapping[str, Any]) -> list[float]:
        """Convert a configuration to variables."""
        units = self.space.encode(configuration)
        return [unit * size - 0.5 if size else unit for unit, size in zip(units, self.sizes, strict=True)]

    def decode(self, variables: Sequence[float]) -> dict[str, Any]:
        """Convert variables to a configuration."""
        return self.space.decode(
            [(value + 0.5) / size if size else value for value, size in zip(variables, self.sizes, strict=True)]
        )

    def fill(self, points: NDArray[Any]) -> NDArray[Any]:
        """Scale points of the unit cube to variables."""
        low, high = np.array(self.bounds, dtype=float).T
        scaled: NDArray[Any] = low + points * (high - low)
        return scaled


@attrs.define(eq=False)
class DifferentialEvolution(BlockingAlgorithm):
    """Mixes other configurations into a rival for each one, and keeps the better of the two.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option(possible=STEERABLE)
    population: int = option(
        attrs.Factory(
            lambda self: (
                max(6, math.ceil(0.8 * self.problem.max_parallel_jobs))
                if self.mode == "asynchronous"
                else max(6, self.problem.max_parallel_jobs, min(20, self.problem.max_jobs // 8))
            ),
            takes_self=True,
        ),
        help="how many configurations are kept; in generational mode also the trials of a generation; default: max(6, "
        "ceil(0.8 * slots)) in asynchronous mode, max(6, slots, min(20, max_jobs // 8)) in generational mode",
        minimum=5,
        maximum=100_000,
    )
    strategy: str = attrs.field(
        default="best1bin", metadata={"help": f"how configurations are mixed: {', '.join(STRATEGIES)}"}
    )
    mutation: float | Sequence[float] = attrs.field(
        default=attrs.Factory(lambda self: (0.4, 0.8) if self.mode == "asynchronous" else (0.5, 1.0), takes_self=True),
        metadata={
            "help": "the factor for differences between configurations: a number, or two between which it is drawn; "
            "default 0.4 to 0.8 in asynchronous mode, 0.5 to 1 in generational mode"
        },
    )
    recombination: float = option(
        0.7, help="the probability that a coordinate is taken from the mixture", minimum=0, maximum=1
    )
    _encode: Callable[[Mapping[str, Any]], list[float]] = attrs.field(init=False)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        if self.strategy not in STRATEGIES:
            raise InvalidInput(f"strategy is {self.strategy!r}; it must be one of {', '.join(STRATEGIES)}")
        if self.strategy.startswith("rand2") and self.population < LEAST_FOR_RAND2:
            raise InvalidInput(
                f"population is {self.population}; it must be at least {LEAST_FOR_RAND2} for {self.strategy}"
            )
        span = self.mutation if isinstance(self.mutation, Sequence) else (self.mutation,)
        if len(span) not in (1, 2) or not all(type(it) in (int, float) and 0 <= it < MUTATION_LIMIT for it in span):
            raise InvalidInput(
                f"mutation is {self.mutation!r}; it must be a number from 0 to below {MUTATION_LIMIT}, or two of them"
            )
        box = Box(self.problem.space)
        self._encode, decode = remembering(box.space, box.encode, box.decode)
        if self.mode == "asynchronous":
            late = self.problem.max_parallel_jobs - 1
            return Blocking(
                self.problem, self._go_on, decode=lambda trial: decode(trial.variables), pending_allowed=late
            )
        return Blocking(self.problem, self._evolve, decode=decode)

    def _evolve(self, evaluate: Callable[[list[list[float]]], list[float]]) -> None:
        # SciPy computes the standard deviation of the losses, which overflows for very large losses.
        with np.errstate(over="ignore"):
            differential_evolution(
                lambda columns: np.array(evaluate(columns.T.tolist())),
                maxiter=sys.maxsize - 1,
                tol=0,
                atol=-1,  # never converged: the study ends the search
                polish=False,  # a polish takes finite differences, and each would cost a job
                updating="deferred",
                vectorized=True,
                **self._settings(),
            )

    def _go_on(self, evaluate: Callable[[list[Trial]], list[float]]) -> None:
        """Select on each result at once, then mix the present population into rivals of the next members in turn."""
        population = SteadyState(**self._settings())
        trials = population.trials()
        turn = cycle(range(self.population))
        while True:
            for loss, trial in zip(evaluate(trials), trials, strict=True):
                population.select(trial, loss)
            trials = population.mix(list(islice(turn, TURN)))

    def _settings(self) -> dict[str, Any]:
        """SciPy's arguments, which are the same in both modes."""
        box = Box(self.problem.space)
        generator = np.random.default_rng(self.problem.seed)
        start = qmc.LatinHypercube(self.problem.space.dimension, rng=generator).random(self.population)
        known = self._search.known
        return {
            "bounds": box.bounds,
            "strategy": self.strategy,
            "mutation": tuple(self.mutation) if isinstance(self.mutation, Sequence) else self.mutation,
            "recombination": self.recombination,
            "init": box.fill(start),
            "x0": self._encode(known[0].proposal.hyperparameters) if known else None,
            "integrality": box.integrality,
            "rng": generator,
        }


def _equal_shares(parameter: Any) -> int:
    scaling = getattr(parameter, "scaling", "Linear")
    return int(parameter.cardinality) if parameter.cardinality < 2**31 and scaling == "Linear" else 0
