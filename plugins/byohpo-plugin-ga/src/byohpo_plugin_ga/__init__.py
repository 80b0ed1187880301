"""A genetic algorithm for byohpo, by inspyred.

Holland 1975, "Adaptation in Natural and Artificial Systems"; Gray-coded after Caruana & Schaffer 1988, "Representation
and Hidden Bias: Gray vs. Binary Coding for Genetic Algorithms".
"""

import attrs
from byohpo_inspyred import bit_string, evolving, generation_size, pairs, single_objective
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, option


@attrs.define(eq=False)
class GeneticAlgorithm(BlockingAlgorithm):
    """Bit strings that are selected by rank, crossed at some points and flipped bit by bit."""

    population: int = option(
        attrs.Factory(lambda self: generation_size(self.problem, generations=10, even=True), takes_self=True),
        help="bit strings, and so trials a generation; even; default max(slots, 4, min(20, max_jobs // 10))",
        minimum=2,
    )
    crossover_rate: float = option(1.0, help="the share of pairs that are crossed", minimum=0, maximum=1)
    num_crossover_points: int = option(2, help="where a pair is cut", minimum=1)
    mutation_rate: float | None = option(
        None, help="the chance of each bit to be flipped; default 2 / bits of the whole string", minimum=0, maximum=1
    )
    num_elites: int = option(1, help="how many of the best survive a generation", minimum=0)
    bits: int = option(10, help="bits of a continuous parameter", minimum=1, maximum=32)

    def search(self) -> Blocking:
        single_objective(self.problem, "a genetic algorithm")
        pairs("population", self.population)
        length = max(1, self.problem.space.bit_length(2.0**-self.bits))
        return evolving(
            self.problem,
            ec.GA,
            population=self.population,
            encoding=bit_string(self.problem.space, self.bits),
            crossover_rate=self.crossover_rate,
            num_crossover_points=self.num_crossover_points,
            mutation_rate=min(1.0, 2 / length) if self.mutation_rate is None else self.mutation_rate,
            num_elites=self.num_elites,
        )
