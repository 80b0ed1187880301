"""A genetic algorithm for byohpo, with inspyred's `GA`.

Holland 1975, "Adaptation in Natural and Artificial Systems". The Gray code follows Caruana & Schaffer 1988,
"Representation and Hidden Bias: Gray vs. Binary Coding for Genetic Algorithms".
"""

import attrs
from byohpo_inspyred import (
    Turns,
    bit_string,
    evolving,
    generation_size,
    population_option,
    require_even,
    startup_option,
    steady_size,
)
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns(replacer=ec.replacers.plus_replacement, arguments={"num_selected": 2})


@attrs.define(eq=False)
class GeneticAlgorithm(BlockingAlgorithm):
    """Selects bit strings by rank, crosses them in pairs and flips single bits.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many bit strings are kept, an even number; in generational mode also the trials of a generation",
        asynchronous=steady_size(0.6),
        generational=generation_size(10),
        minimum=2,
        even=True,
    )
    startup: int = startup_option()
    crossover_rate: float = option(1.0, help="the share of parent pairs that are crossed", minimum=0, maximum=1)
    num_crossover_points: int = option(2, help="at how many points a pair is crossed", minimum=1)
    mutation_rate: float | None = option(
        None,
        help="the probability that a bit is flipped; default 2.25 / (number of bits in the string), at most 1",
        minimum=0,
        maximum=1,
    )
    num_elites: int = option(
        1, help="how many of the best bit strings survive each generation; only in generational mode", minimum=0
    )
    bits: int = option(
        10,
        help="how many bits a continuous parameter has, and how many an integer parameter has at most",
        minimum=1,
        maximum=32,
    )

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        require_even("population", self.population)
        length = max(1, self.problem.space.bit_length(2.0**-self.bits))
        return evolving(
            self.problem,
            ec.GA,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            encoding=bit_string(self.problem.space, self.bits),
            crossover_rate=self.crossover_rate,
            num_crossover_points=self.num_crossover_points,
            mutation_rate=min(1.0, 2.25 / length) if self.mutation_rate is None else self.mutation_rate,
            num_elites=self.num_elites,
        )
