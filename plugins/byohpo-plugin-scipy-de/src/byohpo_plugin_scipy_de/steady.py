"""SciPy's differential evolution, a few trials at a time, while other trials still run.

SciPy's public function needs its results in the order of its calls, so this module uses the private solver class behind
it. All that byohpo assumes about the solver is in this module, and the tests compare it with the installed SciPy.
"""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

try:
    from scipy.optimize._differentialevolution import DifferentialEvolutionSolver
except ImportError:  # this SciPy has it in another place
    DifferentialEvolutionSolver = None

PARTS = ("_mutate_many", "_ensure_constraint", "_scale_parameters")
STEERABLE = all(hasattr(DifferentialEvolutionSolver, part) for part in PARTS)
"""Whether this SciPy's solver has the parts that asynchronous mode needs; if not, only generational mode works."""


@attrs.frozen(eq=False)
class Trial:
    """A vector that competes for the place of a member."""

    member: int
    unit: NDArray[Any]
    """The vector as SciPy stores it, with coordinates from 0 to 1."""
    variables: list[float]
    """The same vector scaled to the bounds, with whole numbers rounded."""


class SteadyState:
    """A population that each result changes at once: SciPy's `updating="immediate"`, but with several open trials."""

    def __init__(self, **settings: Any) -> None:
        # The solver requires a function, but calls it only in its own loop, which is not used.
        self._solver = DifferentialEvolutionSolver(np.sum, polish=False, **settings)
        self._mutate, self._bound, self._scale = (getattr(self._solver, part) for part in PARTS)
        self._rows = list(range(len(self._solver.population)))
        """The row of each member. SciPy expects the best member in row 0."""
        self._energies = [math.inf] * len(self._rows)
        """The loss of each row; infinite until the member has a result."""

    def trials(self) -> list[Trial]:
        """The trials of the first population, each for its own place."""
        return self._trials(range(len(self._rows)), self._solver.population[self._rows])

    def mix(self, members: Sequence[int]) -> list[Trial]:
        """Make one mixture to compete with each of *members*."""
        solver = self._solver
        if solver.dither is not None:
            solver.scale = solver.random_number_generator.uniform(*solver.dither)
        units = self._mutate(np.array([self._rows[member] for member in members]))
        self._bound(units)
        return self._trials(members, units)

    def select(self, trial: Trial, loss: float) -> None:
        """Replace the member by the trial, unless the trial is worse."""
        row = self._rows[trial.member]
        if loss <= self._energies[row]:
            self._solver.population[row], self._energies[row] = trial.unit, loss
            if loss < self._energies[0]:
                self._to_front(trial.member)

    def _to_front(self, member: int) -> None:
        row, former, population = self._rows[member], self._rows.index(0), self._solver.population
        population[[0, row]] = population[[row, 0]]
        self._energies[0], self._energies[row] = self._energies[row], self._energies[0]
        self._rows[member], self._rows[former] = 0, row

    def _trials(self, members: Sequence[int], units: NDArray[Any]) -> list[Trial]:
        variables = self._scale(units).tolist()
        return [Trial(*parts) for parts in zip(members, units, variables, strict=True)]
