"""An evolution strategy for byohpo, with inspyred's `ES`.

Beyer & Schwefel 2002, "Evolution strategies: a comprehensive introduction", Natural Computing 1. Each configuration
carries the standard deviations of its own mutations, called steps, which evolve with it.
"""

from typing import Any

import attrs
from byohpo_inspyred import (
    MAX_JOBS,
    SLOTS,
    Encoding,
    Turns,
    cube,
    evolving,
    largest,
    population_option,
    smallest,
    startup_option,
    steady_size,
)
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, SearchSpace, mode_option, option

TURNS = Turns(selector=ec.selectors.uniform_selection, arguments={"num_selected": 2})


@attrs.define(eq=False)
class EvolutionStrategy(BlockingAlgorithm):
    """Each configuration gets one mutated child per generation; the best of parents and children survive.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many configurations are kept; in generational mode also the trials of a generation",
        asynchronous=steady_size(0.7),
        # Few parents: with a small budget each must have many generations.
        generational=largest(SLOTS, smallest(2, MAX_JOBS), smallest(20, MAX_JOBS // 20)),
        minimum=1,
    )
    startup: int = startup_option()
    step: float = option(0.1, help="the first step, the standard deviation of a mutation, in the unit cube", minimum=0)
    tau: float | None = option(
        None, help="how fast the step of each coordinate changes; default 1 / sqrt(2 sqrt(dimension))", minimum=0
    )
    tau_prime: float | None = option(
        None, help="how fast the steps of all coordinates change together; default 1 / sqrt(2 dimension)", minimum=0
    )
    epsilon: float = option(0.00001, help="the smallest step", minimum=0)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        return evolving(
            self.problem,
            _OwnSteps,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            encoding=_with_steps(self.problem.space, self.step),
            tau=self.tau,
            tau_prime=self.tau_prime,
            epsilon=self.epsilon,
        )


class _OwnSteps(ec.ES):  # type: ignore[misc] # inspyred carries no types
    """inspyred's strategy for candidates that already carry their steps.

    `ES.evolve` would draw steps of up to 1, the width of the whole cube.
    """

    def evolve(self, *arguments: Any, **named: Any) -> Any:
        return ec.EvolutionaryComputation.evolve(self, *arguments, **named)


def _with_steps(space: SearchSpace, step: float) -> Encoding:
    """Candidates are points of the unit cube, each followed by its steps."""
    points, steps = cube(space), [step] * space.dimension
    return Encoding(
        lambda units: points.place(units) + steps,
        points.bounder,
        lambda configuration: points.encode(configuration) + steps,
        lambda candidate: points.decode(candidate[: space.dimension]),
    )
