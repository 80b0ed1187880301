"""Estimation of distribution for byohpo, with inspyred's `EDA`.

Larranaga & Lozano 2001, "Estimation of Distribution Algorithms": the univariate Gaussian model, UMDAc.
"""

import attrs
from byohpo_inspyred import (
    MAX_JOBS,
    SLOTS,
    Turns,
    cube,
    evolving,
    largest,
    population_option,
    require_within_population,
    smallest,
    startup_option,
)
from inspyred import ec

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns(replacer=ec.replacers.plus_replacement, arguments={"num_offspring": 8})
_GENERATION = (4, SLOTS, smallest(20, MAX_JOBS // 6))


@attrs.define(eq=False)
class EstimationOfDistribution(BlockingAlgorithm):
    """Fits normal distributions to the better part of a generation and draws the next generation from them.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many configurations are kept; in generational mode also the trials of a generation",
        # A distribution that is fitted to few points narrows too early.
        asynchronous=largest(*_GENERATION, smallest(2 * SLOTS, MAX_JOBS // 4)),
        generational=largest(*_GENERATION),
        minimum=4,
    )
    startup: int = startup_option()
    num_selected: int | None = option(
        None,
        help="how many of the best configurations the distributions are fitted to; default half of the population",
        minimum=2,
    )
    num_elites: int = option(
        1, help="how many of the best configurations survive each generation; only in generational mode", minimum=0
    )
    spread: float = option(
        attrs.Factory(lambda self: 5.0 if self.mode == "asynchronous" else 4.0, takes_self=True),
        help="the side of the cube in which inspyred works; a larger side gives wider distributions, because inspyred "
        "uses variances as standard deviations; default 5 in asynchronous mode, 4 in generational mode",
        minimum=0.001,
    )

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        selected = self.population // 2 if self.num_selected is None else self.num_selected
        require_within_population("num_selected", selected, self.population)
        return evolving(
            self.problem,
            ec.EDA,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            startup=self.startup,
            encoding=cube(self.problem.space, self.spread),
            num_selected=selected,
            num_offspring=self.population,
            num_elites=self.num_elites,
        )
