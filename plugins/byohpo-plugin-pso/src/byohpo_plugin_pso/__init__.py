"""Particle swarm optimisation for byohpo, by inspyred.

Kennedy & Eberhart 1995, "Particle Swarm Optimization"; inspyred's form keeps the previous positions in place of
velocities (Deb & Padhye 2010, "Development of Efficient Particle Swarm Optimizers by Using Concepts from Evolutionary
Algorithms").
"""

import random
from typing import Any

import attrs
from byohpo_inspyred import evolving, generation_size, single_objective
from inspyred import swarm

from byohpo_core import Blocking, BlockingAlgorithm, option


@attrs.define(eq=False)
class ParticleSwarm(BlockingAlgorithm):
    """A swarm of configurations, each drawn to the best that it and its neighbours have found."""

    population: int = option(
        attrs.Factory(lambda self: generation_size(self.problem), takes_self=True),
        help="particles, and so trials a generation; default max(slots, 4, min(20, max_jobs // 4))",
        minimum=1,
    )
    inertia: float = option(0.5, help="how much of its last step a particle repeats")
    cognitive_rate: float = option(2.1, help="how strongly a particle's own best position draws it")
    social_rate: float = option(2.1, help="how strongly its neighbours' best position draws it")
    neighborhood_size: int | None = option(
        None, help="neighbours on a ring, itself included; by default all particles are neighbours", minimum=1
    )

    def search(self) -> Blocking:
        single_objective(self.problem, "particle swarm optimisation")
        neighbours: dict[str, Any] = (
            {} if self.neighborhood_size is None else {"neighborhood_size": self.neighborhood_size}
        )
        return evolving(
            self.problem,
            self._engine,
            population=self.population,
            inertia=self.inertia,
            cognitive_rate=self.cognitive_rate,
            social_rate=self.social_rate,
            **neighbours,
        )

    def _engine(self, generator: random.Random) -> swarm.PSO:
        engine = swarm.PSO(generator)
        if self.neighborhood_size is not None:  # the star topology would ignore it
            engine.topology = swarm.topologies.ring_topology
        return engine
