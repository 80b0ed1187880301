"""Differential evolution for byohpo, with inspyred's `DEA`.

Storn & Price 1997, "Differential Evolution". In place of difference vectors `DEA` uses the heuristic crossover of
Wright 1991, "Genetic Algorithms for Real Parameter Optimization".
"""

import attrs
from byohpo_inspyred import (
    Turns,
    evolving,
    generation_size,
    population_option,
    require_even,
    require_within_population,
    startup_option,
    steady_size,
)
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns()


@attrs.define(eq=False)
class DifferentialEvolution(BlockingAlgorithm):
    """Each child lies beyond the better of its two parents, seen from the worse; children replace the worst members.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many configurations are kept",
        asynchronous=steady_size(0.8),
        generational=generation_size(8),
        minimum=2,
        even=True,
    )
    startup: int = startup_option()
    num_selected: int = option(
        attrs.Factory(
            lambda self: (
                _children(4, self.population // 2)
                if self.mode == "asynchronous"
                else _children(self.problem.max_parallel_jobs, self.population)
            ),
            takes_self=True,
        ),
        help="how many parents, and so trials, each turn has, an even number; default in asynchronous mode 4, but at "
        "most half of the population; in generational mode the number of slots, rounded up to an even number, but at "
        "most the population",
        minimum=2,
    )
    tournament_size: int = option(2, help="how many configurations compete to become a parent", minimum=1)
    crossover_rate: float = option(1.0, help="the share of parent pairs that are crossed", minimum=0, maximum=1)
    mutation_rate: float = option(0.3, help="the probability that a coordinate is mutated", minimum=0, maximum=1)
    gaussian_stdev: float = option(0.2, help="the standard deviation of a mutation, in the unit cube", minimum=0)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        require_even("num_selected", self.num_selected)
        require_within_population("num_selected", self.num_selected, self.population)
        require_within_population("tournament_size", self.tournament_size, self.population)
        return evolving(
            self.problem,
            ec.DEA,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            num_selected=self.num_selected,
            tournament_size=self.tournament_size,
            crossover_rate=self.crossover_rate,
            mutation_rate=self.mutation_rate,
            gaussian_stdev=self.gaussian_stdev,
        )


def _children(wanted: int, places: int) -> int:
    """An even number near *wanted*, at most *places* but at least 2: parents are paired."""
    return max(2, min(wanted + wanted % 2, places - places % 2))
