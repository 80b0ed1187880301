"""The Pareto archived evolution strategy for byohpo, with inspyred's `PAES`.

Knowles & Corne 2000, "Approximating the Nondominated Front Using the Pareto Archived Evolution Strategy", Evolutionary
Computation 8(2).
"""

import random
from types import FunctionType

import attrs
from byohpo_inspyred import SLOTS, Turns, evolving, pareto, population_option, startup_option
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns(pairs=True)


@attrs.define(eq=False)
class ParetoArchivedEvolution(BlockingAlgorithm):
    """Mutates each parent into one child, which replaces it if the child is better or in a less crowded region.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many parents there are, and so trials in each turn", asynchronous=3, generational=SLOTS, minimum=1
    )
    startup: int = startup_option()
    max_archive_size: int = option(20, help="how many nondominated configurations the archive keeps", minimum=1)
    num_grid_divisions: int = option(
        3, help="how often the grid of the archive halves the range of each objective", minimum=1, maximum=8
    )
    mutation_rate: float = option(0.4, help="the probability that a coordinate is mutated", minimum=0, maximum=1)
    gaussian_stdev: float = option(0.15, help="the standard deviation of a mutation, in the unit cube", minimum=0)

    def search(self) -> Blocking:
        return evolving(
            self.problem,
            _engine,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            fitness=pareto,
            maximize=True,
            max_archive_size=self.max_archive_size,
            num_grid_divisions=self.num_grid_divisions,
            mutation_rate=self.mutation_rate,
            gaussian_stdev=self.gaussian_stdev,
        )


def _engine(generator: random.Random) -> ec.emo.PAES:
    engine = ec.emo.PAES(generator)
    engine.archiver = _own(engine.archiver)
    return engine


def _own(archiver: FunctionType) -> FunctionType:
    """A copy of inspyred's archiver, so that studies do not share a grid.

    The archiver stores its grid as an attribute of itself, and finds itself by its global name.
    """
    namespace = {**archiver.__globals__, "dir": vars}  # vars is faster, and has the attributes that it looks for
    own = FunctionType(archiver.__code__, namespace, archiver.__name__, archiver.__defaults__, archiver.__closure__)
    namespace[archiver.__name__] = own
    return own
