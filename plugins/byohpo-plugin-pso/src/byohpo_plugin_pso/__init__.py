"""Particle swarm optimisation for byohpo, by inspyred.

Kennedy & Eberhart 1995, "Particle Swarm Optimization"; inspyred's form keeps the previous positions in place of
velocities (Deb & Padhye 2010, "Development of Efficient Particle Swarm Optimizers by Using Concepts from Evolutionary
Algorithms").
"""

import random
from collections.abc import Callable
from typing import Any

import attrs
from byohpo_inspyred import evolving, generation_size
from inspyred import swarm

from byohpo_core import Blocking, BlockingAlgorithm, Chains, Problem, mode_option, option


@attrs.define(eq=False)
class ParticleSwarm(BlockingAlgorithm):
    """A swarm of configurations, each drawn to the best that it and its neighbours have found.

    Generational rather than asynchronous if trials take nearly equally long, or if that must not matter: see `mode`.
    """

    mode: str = mode_option()
    population: int = option(
        attrs.Factory(lambda self: _size(self.problem, self.mode), takes_self=True),
        help="particles, in generational mode the trials of a generation; default "
        "max(slots, 4, min(20, max_jobs // 4)), asynchronous at least slots + 1",
        minimum=2,
    )
    inertia: float = option(0.5, help="how much of its last step a particle repeats", minimum=0, maximum=10)
    cognitive_rate: float = option(
        2.1, help="how strongly a particle's own best position draws it", minimum=0, maximum=10
    )
    social_rate: float = option(1.6, help="how strongly its neighbours' best position draws it", minimum=0, maximum=10)
    neighborhood_size: int | None = option(
        None, help="neighbours on a ring, itself included; by default all particles are neighbours", minimum=1
    )

    def search(self) -> Blocking | Chains:
        self.problem.require_one_objective()
        if self.mode == "asynchronous":
            return self._flock()
        neighbours: dict[str, Any] = (
            {} if self.neighborhood_size is None else {"neighborhood_size": self.neighborhood_size}
        )
        return evolving(self.problem, self._swarm, population=self.population, **self._rates, **neighbours)

    @property
    def _rates(self) -> dict[str, Any]:
        return {"inertia": self.inertia, "cognitive_rate": self.cognitive_rate, "social_rate": self.social_rate}

    def _swarm(self, generator: random.Random) -> swarm.PSO:
        engine = swarm.PSO(generator)
        if self.neighborhood_size is not None:  # the star topology would ignore it
            engine.topology = swarm.topologies.ring_topology
        return engine

    def _flock(self) -> Chains:
        """Swarms of one particle, each of which moves when its own result is in, and knows the others' best places."""
        particles: dict[int, swarm.PSO] = {}
        reach = self.population if self.neighborhood_size is None else self.neighborhood_size

        def particle(place: int) -> Callable[[random.Random], swarm.PSO]:
            first = place - reach // 2
            neighbours = [number % self.population for number in range(first, first + reach)]

            def topology(*_: Any, **__: Any) -> list[list[Any]]:
                """One neighbourhood, for the one particle: those of its neighbours that have a result."""
                return [[best for number in neighbours if number in particles for best in particles[number].archive]]

            def engine(generator: random.Random) -> swarm.PSO:
                particles[place] = swarm.PSO(generator)
                particles[place].topology = topology
                return particles[place]

            return engine

        return Chains(
            [
                evolving(
                    self.problem, particle(place), population=1, chain=place, chains=self.population, **self._rates
                )
                for place in range(self.population)
            ]
        )


def _size(problem: Problem, mode: str) -> int:
    """With one more than the slots, asynchronously: the best particle repeats its place until another is better."""
    least = problem.max_parallel_jobs + 1 if mode == "asynchronous" else 2
    return max(least, generation_size(problem))
