"""Particle swarm optimisation for byohpo, by inspyred.

Kennedy & Eberhart 1995, "Particle Swarm Optimization"; inspyred's form keeps the previous positions in place of
velocities (Deb & Padhye 2010, "Development of Efficient Particle Swarm Optimizers by Using Concepts from Evolutionary
Algorithms").
"""

import random
from collections.abc import Sequence
from typing import Any

import attrs
from byohpo_inspyred import evolving, single_objective
from inspyred import swarm

from byohpo_core import Blocking, Problem, Proposal, Study, Trial, hookimpl, option


@attrs.define(eq=False)
class ParticleSwarm:
    """A swarm of configurations, each drawn to the best that it and its neighbours have found."""

    problem: Problem
    population: int = option(
        attrs.Factory(lambda self: default_population(self.problem), takes_self=True),
        help="particles, and so trials a generation; default max(slots, 4, min(20, max_jobs // 4))",
        minimum=1,
    )
    inertia: float = option(0.5, help="how much of its last step a particle repeats")
    cognitive_rate: float = option(2.1, help="how strongly a particle's own best position draws it")
    social_rate: float = option(2.1, help="how strongly its neighbours' best position draws it")
    neighborhood_size: int | None = option(
        None, help="neighbours on a ring, itself included; by default all particles are neighbours", minimum=1
    )
    _swarm: Blocking = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        single_objective(self.problem, "particle swarm optimisation")
        arguments: dict[str, Any] = (
            {} if self.neighborhood_size is None else {"neighborhood_size": self.neighborhood_size}
        )
        self._swarm = evolving(
            self.problem,
            self._engine,
            population=self.population,
            inertia=self.inertia,
            cognitive_rate=self.cognitive_rate,
            social_rate=self.social_rate,
            **arguments,
        )

    def _engine(self, generator: random.Random) -> swarm.PSO:
        engine = swarm.PSO(generator)
        if self.neighborhood_size is not None:  # the star topology would ignore it
            engine.topology = swarm.topologies.ring_topology
        return engine

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """What is left of the present generation; the next one starts when all its results are in."""
        return self._swarm.propose(study, count)

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        self._swarm.observe(study, trials)

    def close(self) -> None:
        self._swarm.close()


def default_population(problem: Problem) -> int:
    """At least four generations in the budget, unless there are more slots than that; a swarm of one would not move."""
    return max(problem.max_parallel_jobs, min(20, problem.max_jobs // 4), min(4, problem.max_jobs))
