"""Particle swarm optimisation for byohpo, by inspyred.

Kennedy & Eberhart 1995, "Particle Swarm Optimization"; inspyred's form keeps the previous positions in place of
velocities (Deb & Padhye 2010, "Development of Efficient Particle Swarm Optimizers by Using Concepts from Evolutionary
Algorithms").
"""

import random
from collections.abc import Iterable
from typing import Any

import attrs
from byohpo_inspyred import MAX_JOBS, SLOTS, Flat, Operator, Turns, evolving, largest, population_option, smallest
from inspyred import ec, swarm

from byohpo_core import Blocking, BlockingAlgorithm, mode_option, option

TURNS = Turns(moves=True)
_GENERATION = (smallest(4, MAX_JOBS), smallest(20, MAX_JOBS // 4))


@attrs.define(eq=False)
class ParticleSwarm(BlockingAlgorithm):
    """A swarm of configurations, each drawn to the best that it and its neighbours have found.

    Generational rather than asynchronous if trials take nearly equally long, or if that must not matter: see `mode`.
    """

    mode: str = mode_option()
    population: int = population_option(
        "how many particles there are, in asynchronous mode at least one for each slot; in generational mode also the "
        "trials of a generation",
        # Asynchronously more than the slots: the others move while these are being tried.
        asynchronous=largest(SLOTS + 1, *_GENERATION, smallest(2 * SLOTS, MAX_JOBS // 4)),
        generational=largest(2, SLOTS, *_GENERATION),
        minimum=2,
    )
    inertia: float = option(0.5, help="how much of its last step a particle repeats", minimum=0, maximum=10)
    cognitive_rate: float = option(
        2.1, help="how strongly a particle's own best position draws it", minimum=0, maximum=10
    )
    social_rate: float = option(1.6, help="how strongly its neighbours' best position draws it", minimum=0, maximum=10)
    neighborhood_size: int | None = option(
        None, help="neighbours on a ring, itself included; by default all particles are neighbours", minimum=2
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
            inertia=self.inertia,
            cognitive_rate=self.cognitive_rate,
            social_rate=self.social_rate,
            **neighbours,
        )

    def _swarm(self, generator: random.Random) -> swarm.PSO:
        whole = self.neighborhood_size is None  # the star topology would ignore it
        topology = swarm.topologies.star_topology if whole else swarm.topologies.ring_topology
        if self.mode == "asynchronous":
            return _Landed(generator, topology)
        engine = swarm.PSO(generator)
        engine.topology = topology
        return engine


class _Move(Flat):
    """A place that a particle moves to."""

    def __init__(self, coordinates: Iterable[float], number: int, origin: ec.Individual) -> None:
        super().__init__(coordinates)
        self.number, self.origin = number, origin


class _Landed(swarm.PSO):  # type: ignore[misc] # inspyred carries no types
    """inspyred's swarm of those particles whose results are in: they move on while the others are being tried.

    Its population, previous population and archive have one item for each of them, their neighbours are among all.
    """

    def __init__(self, generator: random.Random, topology: Operator) -> None:
        super().__init__(generator)
        self._topology_of_all = topology
        self.topology = self._neighbours
        self._bests: list[ec.Individual] = []
        """The best place of each particle, by its number: in the order in which their first results came."""
        self._numbers: list[int] = []
        """Whose results are in."""

    def _neighbours(self, random: random.Random, _: Any, args: Any) -> list[Any]:
        neighbours = list(self._topology_of_all(random, self._bests, args))
        return [neighbours[number] for number in self._numbers]

    def _swarm_variator(self, random: random.Random, candidates: Any, args: Any) -> list[_Move]:
        moves = super()._swarm_variator(random, candidates, args)
        return [_Move(*move) for move in zip(moves, self._numbers, self.population, strict=True)]

    def _swarm_replacer(self, *, offspring: Any, **_: Any) -> Any:
        # Popped, since each would keep the one before it alive.
        self._previous_population = [vars(it.candidate).pop("origin", it) for it in offspring]
        return offspring

    def _swarm_archiver(self, *, population: Any, **_: Any) -> list[Any]:
        self._numbers = []
        for individual in population:
            number = getattr(individual.candidate, "number", len(self._bests))
            if number == len(self._bests) or not individual < self._bests[number]:  # the later of equals, as inspyred
                self._bests[number : number + 1] = [individual]
            self._numbers.append(number)
        return [self._bests[number] for number in self._numbers]
