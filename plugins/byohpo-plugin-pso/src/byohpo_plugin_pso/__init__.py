"""Particle swarm optimisation for byohpo, with inspyred's `PSO`.

Kennedy & Eberhart 1995, "Particle Swarm Optimization". inspyred stores previous positions instead of velocities, as in
Deb & Padhye 2010, "Development of Efficient Particle Swarm Optimizers by Using Concepts from Evolutionary Algorithms".
"""

import random
from collections.abc import Iterable
from typing import Any

import attrs
from byohpo_inspyred import (
    MAX_JOBS,
    SLOTS,
    Flat,
    Operator,
    Turns,
    evolving,
    largest,
    population_option,
    smallest,
    uniform,
)
from inspyred import ec, swarm

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns(moves=True)
_GENERATION = (smallest(4, MAX_JOBS), smallest(20, MAX_JOBS // 4))


@attrs.define(eq=False)
class ParticleSwarm(BlockingAlgorithm):
    """A swarm of configurations, each drawn to the best that it and its neighbours have found.

    Choose `mode="generational"` if trials take nearly equally long, or if their durations must not change the search.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many particles there are, in asynchronous mode at least one for each slot; in generational mode also the "
        "trials of a generation",
        # There are more particles than slots, so that some can move while the others are being tried.
        asynchronous=largest(SLOTS + 1, *_GENERATION, smallest(2 * SLOTS, MAX_JOBS // 4)),
        generational=largest(2, SLOTS, *_GENERATION),
        minimum=2,
    )
    inertia: float = option(0.5, help="how much of its last step a particle repeats", minimum=0, maximum=10)
    cognitive_rate: float = option(
        2.1, help="how strongly a particle moves towards its own best position", minimum=0, maximum=10
    )
    social_rate: float = option(
        1.6, help="how strongly a particle moves towards its neighbours' best position", minimum=0, maximum=10
    )
    neighborhood_size: int | None = option(
        None, help="how many neighbours a particle has on a ring, itself included; default all particles", minimum=2
    )

    def search(self) -> Blocking:
        self.problem.require_one_objective()
        neighbours: dict[str, Any] = (
            {} if self.neighborhood_size is None else {"neighborhood_size": self.neighborhood_size}
        )
        return evolving(
            self.problem,
            self._swarm,
            population=self.population,
            turns=TURNS if self.mode == "asynchronous" else None,
            design=uniform,  # measured: a Latin hypercube is no better for a swarm
            inertia=self.inertia,
            cognitive_rate=self.cognitive_rate,
            social_rate=self.social_rate,
            **neighbours,
        )

    def _swarm(self, generator: random.Random) -> swarm.PSO:
        whole = self.neighborhood_size is None  # the star topology ignores its size
        topology = swarm.topologies.star_topology if whole else swarm.topologies.ring_topology
        if self.mode == "asynchronous":
            return _Landed(generator, topology)
        engine = swarm.PSO(generator)
        engine.topology = topology
        return engine


class _Move(Flat):
    """A position that a particle moves to, with the particle's number and its individual before the move."""

    def __init__(self, coordinates: Iterable[float], number: int, origin: ec.Individual) -> None:
        super().__init__(coordinates)
        self.number, self.origin = number, origin


class _Landed(swarm.PSO):  # type: ignore[misc] # inspyred carries no types
    """inspyred's swarm, made of the particles that have a result: they move while the others are being tried.

    Its population, previous population and archive hold one item for each particle that has a result. Neighbours are
    chosen among all particles.
    """

    def __init__(self, generator: random.Random, topology: Operator) -> None:
        super().__init__(generator)
        self._topology_of_all = topology
        self.topology = self._neighbours
        self._bests: list[ec.Individual] = []
        """The best position of each particle. Particles are numbered in the order of their first results."""
        self._numbers: list[int] = []
        """The numbers of the particles that have a result."""

    def _neighbours(self, random: random.Random, _: Any, args: Any) -> list[Any]:
        neighbours = list(self._topology_of_all(random, self._bests, args))
        return [neighbours[number] for number in self._numbers]

    def _swarm_variator(self, random: random.Random, candidates: Any, args: Any) -> list[_Move]:
        moves = super()._swarm_variator(random, candidates, args)
        return [_Move(*move) for move in zip(moves, self._numbers, self.population, strict=True)]

    def _swarm_replacer(self, *, offspring: Any, **_: Any) -> Any:
        # Popped, because otherwise each individual would keep all its predecessors in memory.
        self._previous_population = [vars(it.candidate).pop("origin", it) for it in offspring]
        return offspring

    def _swarm_archiver(self, *, population: Any, **_: Any) -> list[Any]:
        self._numbers = []
        for individual in population:
            number = getattr(individual.candidate, "number", len(self._bests))
            if (
                number == len(self._bests) or not individual < self._bests[number]
            ):  # of equals the later, as in inspyred
                self._bests[number : number + 1] = [individual]
            self._numbers.append(number)
        return [self._bests[number] for number in self._numbers]
