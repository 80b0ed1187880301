"""Simulated annealing for byohpo, with inspyred's `SA`.

Kirkpatrick, Gelatt & Vecchi 1983, "Optimization by Simulated Annealing", Science 220. Annealing takes one step at a
time. To fill several slots, asynchronous mode takes steps without waiting for all results, and generational mode runs
independent chains.
"""

import attrs
from byohpo_inspyred import Turns, evolving, startup_option
from inspyred import ec

from byohpo_core import BlockingAlgorithm, Chains, mode_option, option

TURNS = Turns(pairs=True)


@attrs.define(eq=False)
class SimulatedAnnealing(BlockingAlgorithm):
    """Takes small random steps: always a better one, and a worse one less and less often as the temperature falls.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    chains: int = option(
        attrs.Factory(
            lambda self: 1 if self.mode == "asynchronous" else self.problem.max_parallel_jobs, takes_self=True
        ),
        help="how many independent searches run side by side; default 1 in asynchronous mode, as many as slots in "
        "generational mode",
        minimum=1,
        maximum=100_000,
    )
    startup: int = startup_option()
    temperature: float = option(
        0.01, help="the increase of the loss that is often accepted at first, in the objective's unit", minimum=0
    )
    cooling_rate: float = option(0.9, help="each step multiplies the temperature by this", minimum=0, maximum=1)
    mutation_rate: float = option(0.3, help="the probability that a coordinate is mutated", minimum=0, maximum=1)
    gaussian_stdev: float = option(0.2, help="the standard deviation of a mutation, in the unit cube", minimum=0)

    def search(self) -> Chains:
        self.problem.require_one_objective()
        return Chains(
            [
                evolving(
                    self.problem,
                    ec.SA,
                    population=1,
                    turns=TURNS if self.mode == "asynchronous" else None,
                    startup=-(-self.startup // self.chains),
                    chain=chain,
                    chains=self.chains,
                    temperature=self.temperature,
                    cooling_rate=self.cooling_rate,
                    mutation_rate=self.mutation_rate,
                    gaussian_stdev=self.gaussian_stdev,
                )
                for chain in range(self.chains)
            ]
        )
