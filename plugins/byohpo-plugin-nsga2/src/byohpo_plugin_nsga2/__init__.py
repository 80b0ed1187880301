"""NSGA-II for byohpo, with inspyred's `NSGA2`.

Deb, Pratap, Agarwal & Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions
on Evolutionary Computation 6(2).
"""

import random

import attrs
from byohpo_inspyred import (
    Turns,
    evolving,
    generation_size,
    pareto,
    population_option,
    require_even,
    require_within_population,
    startup_option,
    steady_size,
)
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, InvalidInput, mode_option, option

TURNS = Turns(archiver=ec.archivers.default_archiver, arguments={"num_selected": 2})
"""NSGA-II does not read its archive. The default archiver saves comparing it with the population in every turn."""


@attrs.define(eq=False)
class NSGA2(BlockingAlgorithm):
    """Approximates the Pareto front: the least dominated configurations survive, among equals the least crowded.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many configurations are kept, an even number; in generational mode also the trials of a generation",
        asynchronous=steady_size(0.8),
        generational=generation_size(8),
        minimum=2,
        even=True,
    )
    startup: int = startup_option()
    tournament_size: int = option(2, help="how many configurations compete to become a parent", minimum=1)
    crossover_rate: float = option(1.0, help="the share of parent pairs that are blended", minimum=0, maximum=1)
    blx_alpha: float = option(
        0.1, help="how far beyond its parents a blended child may lie, as a share of their distance", minimum=0
    )
    mutation_rate: float = option(0.2, help="the probability that a coordinate is mutated", minimum=0, maximum=1)
    gaussian_stdev: float = option(0.1, help="the standard deviation of a mutation, in the unit cube", minimum=0)

    def search(self) -> Blocking:
        if len(self.problem.objectives) == 1:
            raise InvalidInput("NSGA-II needs two or more objectives; for one objective use ga, de or es")
        require_even("population", self.population)
        require_within_population("tournament_size", self.tournament_size, self.population)
        return evolving(
            self.problem,
            _engine,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            fitness=pareto,
            maximize=True,
            tournament_size=self.tournament_size,
            crossover_rate=self.crossover_rate,
            blx_alpha=self.blx_alpha,
            mutation_rate=self.mutation_rate,
            gaussian_stdev=self.gaussian_stdev,
        )


def _engine(generator: random.Random) -> ec.emo.NSGA2:
    engine = ec.emo.NSGA2(generator)
    engine.variator = [ec.variators.blend_crossover, ec.variators.gaussian_mutation]  # NSGA2 has no default
    return engine
