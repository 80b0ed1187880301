"""SciPy's differential evolution, some trials at a time, while others are still open.

The public function has its results in the order of its calls only. So this takes the solver behind it, which is not
public: all that is known of its inside is here, and the tests hold it against the SciPy versions that are installed.
"""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

try:
    from scipy.optimize._differentialevolution import DifferentialEvolutionSolver
except ImportError:  # a SciPy that has it elsewhere
    DifferentialEvolutionSolver = None

PARTS = ("_mutate_many", "_ensure_constraint", "_scale_parameters")
STEERABLE = all(hasattr(DifferentialEvolutionSolver, part) for part in PARTS)
"""Whether this SciPy's solver can be steered from outside; otherwise there are generations only."""


@attrs.frozen(eq=False)
class Trial:
    """A vector that competes for the place of a member."""

    member: int
    unit: NDArray[Any]
    """The vector as SciPy keeps it, each coordinate from 0 to 1."""
    variables: list[float]
    """The same within the bounds, rounded where they are whole numbers."""


class SteadyState:
    """A population that each result changes at once: SciPy's `updating="immediate"`, for several open trials."""

    def __init__(self, **settings: Any) -> None:
        # It wants a function, which it would call in its own loop only.
        self._solver = DifferentialEvolutionSolver(np.sum, polish=False, **settings)
        self._mutate, self._bound, self._scale = (getattr(self._solver, part) for part in PARTS)
        self._rows = list(range(len(self._solver.population)))
        """In which row each member is: SciPy wants the best in row 0."""
        self._energies = [math.inf] * len(self._rows)
        """The loss in each row: of a member without a result anything is better."""

    def trials(self) -> list[Trial]:
        """The first population, each for its own place."""
        return self._trials(range(len(self._rows)), self._solver.population[self._rows])

    def mix(self, members: Sequence[int]) -> list[Trial]:
        """Mixtures that compete with some members."""
        solver = self._solver
        if solver.dither is not None:
            solver.scale = solver.random_number_generator.uniform(*solver.dither)
        units = self._mutate(np.array([self._rows[member] for member in members]))
        self._bound(units)
        return self._trials(members, units)

    def select(self, trial: Trial, loss: float) -> None:
        """Let the trial have its member's place, if it is not worse."""
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
