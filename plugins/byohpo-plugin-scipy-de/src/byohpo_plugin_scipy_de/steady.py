"""SciPy's differential evolution, one trial at a time, while others are still open.

The public function has its results in the order of its calls only. So this takes the solver behind it, which is not
public: all that is known of its inside is here, and the tests hold it against the SciPy versions that are installed.
"""

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

try:
    from scipy.optimize._differentialevolution import DifferentialEvolutionSolver
except ImportError:  # a SciPy that has it elsewhere
    DifferentialEvolutionSolver = None

PARTS = ("_mutate", "_ensure_constraint", "_scale_parameters")
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
        self._rows = list(range(len(self._solver.population)))
        """In which row each member is: SciPy wants the best in row 0."""
        self._energies = np.full(len(self._rows), np.inf)
        """The loss in each row: of a member without a result anything is better."""

    def trials(self) -> list[Trial]:
        """The first population, each for its own place."""
        return [self._trial(member, self._solver.population[row].copy()) for member, row in enumerate(self._rows)]

    def mix(self, member: int) -> Trial:
        """A mixture that competes with a member."""
        solver = self._solver
        if solver.dither is not None:
            solver.scale = solver.random_number_generator.uniform(*solver.dither)
        unit = solver._mutate(self._rows[member])  # noqa: SLF001 - as said above
        solver._ensure_constraint(unit)  # noqa: SLF001
        return self._trial(member, unit)

    def select(self, trial: Trial, loss: float) -> None:
        """Let the trial have its member's place, if it is not worse."""
        row = self._rows[trial.member]
        if loss <= self._energies[row]:
            self._solver.population[row], self._energies[row] = trial.unit, loss
            if loss < self._energies[0]:
                self._to_front(trial.member)

    def _to_front(self, member: int) -> None:
        row, former = self._rows[member], self._rows.index(0)
        for kept in (self._solver.population, self._energies):
            kept[[0, row]] = kept[[row, 0]]
        self._rows[member], self._rows[former] = 0, row

    def _trial(self, member: int, unit: NDArray[Any]) -> Trial:
        return Trial(member, unit, self._solver._scale_parameters(unit).tolist())  # noqa: SLF001
