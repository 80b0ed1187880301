"""Simulated annealing for byohpo, by inspyred.

Kirkpatrick, Gelatt & Vecchi 1983, "Optimization by Simulated Annealing", Science 220. Annealing
takes one step at a time, so parallel slots are filled without waiting for results, or by independent chains.
"""

import attrs
from byohpo_inspyred import Turns, evolving
from inspyred import ec

from byohpo_core import BlockingAlgorithm, Chains, mode_option, option

TURNS = Turns(pairs=True)


@attrs.define(eq=False)
class SimulatedAnnealing(BlockingAlgorithm):
    """Chains of small steps: a better one is always taken, a worse one the more rarely the cooler it has become.

    Generational rather than asynchronous if trials take nearly equally long, or if that must not matter: see `mode`.
    """

    mode: str = mode_option()
    chains: int = option(
        attrs.Factory(
            lambda self: 1 if self.mode == "asynchronous" else self.problem.max_parallel_jobs, takes_self=True
        ),
        help="independent searches side by side; default 1, in generational mode as many as slots",
        minimum=1,
        maximum=100_000,
    )
    temperature: float = option(
        0.01, help="the loss, in the objective's unit, that is at first often accepted", minimum=0
    )
    cooling_rate: float = option(0.9, help="what the temperature is multiplied by at each step", minimum=0, maximum=1)
    mutation_rate: float = option(0.3, help="the chance of each coordinate to be moved", minimum=0, maximum=1)
    gaussian_stdev: float = option(0.2, help="how far it is moved, in the unit cube", minimum=0)

    def search(self) -> Chains:
        self.problem.require_one_objective()
        return Chains(
            [
                evolving(
                    self.problem,
                    ec.SA,
                    population=1,
                    turns=TURNS if self.mode == "asynchronous" else None,
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
