"""An evolution strategy for byohpo, by inspyred.

Beyer & Schwefel 2002, "Evolution strategies: a comprehensive introduction", Natural Computing 1: each configuration
carries the widths of its own mutations, which evolve with it.
"""

from typing import Any

import attrs
from byohpo_inspyred import Encoding, Turns, cube, evolving, generation_size, population_option, steady_size
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, SearchSpace, mode_option, option

TURNS = Turns(selector=ec.selectors.uniform_selection, arguments={"num_selected": 2})


@attrs.define(eq=False)
class EvolutionStrategy(BlockingAlgorithm):
    """Each configuration has one mutated child a generation, and the best of both survive.

    Generational rather than asynchronous if trials take nearly equally long, or if that must not matter: see `mode`.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many configurations are kept; in generational mode also the trials of a generation",
        asynchronous=steady_size(0.7),
        generational=generation_size(20),
        minimum=1,
    )
    step: float = option(0.1, help="the width of the first mutations, in the unit cube", minimum=0)
    tau: float | None = option(None, help="how fast each width changes; default 1 / sqrt(2 sqrt(dimension))", minimum=0)
    tau_prime: float | None = option(
        None, help="how fast all widths change together; default 1 / sqrt(2 dimension)", minimum=0
    )
    epsilon: float = option(0.00001, help="the smallest width", minimum=0)

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        return evolving(
            self.problem,
            _OwnSteps,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            encoding=_with_steps(self.problem.space, self.step),
            tau=self.tau,
            tau_prime=self.tau_prime,
            epsilon=self.epsilon,
        )


class _OwnSteps(ec.ES):  # type: ignore[misc] # inspyred carries no types
    """inspyred's strategy on candidates that carry their widths already: its own `evolve` would draw them up to 1."""

    def evolve(self, *arguments: Any, **named: Any) -> Any:
        return ec.EvolutionaryComputation.evolve(self, *arguments, **named)


def _with_steps(space: SearchSpace, step: float) -> Encoding:
    """Points of the unit cube, each followed by the widths of its mutations."""
    points, steps = cube(space), [step] * space.dimension
    return Encoding(
        lambda random: points.generator(random) + steps,
        points.bounder,
        lambda configuration: points.encode(configuration) + steps,
        lambda candidate: points.decode(candidate[: space.dimension]),
    )
