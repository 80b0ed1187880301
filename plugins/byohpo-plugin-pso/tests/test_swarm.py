"""A swarm whose particles land one by one is still inspyred's."""

import random

import inspyred
import pytest
from byohpo_inspyred import Flat
from byohpo_plugin_pso import _Landed
from inspyred import ec

TOPOLOGIES = [inspyred.swarm.topologies.star_topology, inspyred.swarm.topologies.ring_topology]


def sphere(candidates):
    return [sum((value - 0.7) ** 2 for value in candidate) for candidate in candidates]


def fly(swarm, evaluator, generations):
    """Seven particles in a square."""
    swarm.terminator = ec.terminators.generation_termination
    swarm.evolve(
        lambda random, args: Flat([random.random(), random.random()]),
        evaluator,
        pop_size=7,
        maximize=False,
        bounder=ec.Bounder(0, 1),
        max_generations=generations,
        neighborhood_size=3,
    )


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_swarm_that_lands_together_is_inspyreds_bit_for_bit(topology):
    """What is taken from its inside, the previous population and the archive beside the population, is what it was."""
    flights = []
    for kind in (inspyred.swarm.PSO, lambda generator: _Landed(generator, topology)):
        made, seen = kind(random.Random(1)), []
        if not isinstance(made, _Landed):
            made.topology = topology

        def evaluator(candidates, args, seen=seen):
            seen.extend(list(it) for it in candidates)
            return sphere(candidates)

        fly(made, evaluator, 9)
        flights.append(seen)
    assert len(flights[0]) == 70
    assert flights[0] == flights[1]


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_each_particle_goes_on_from_its_own_place_and_its_own_best(topology):
    """In whatever order they land: four of seven are in the air."""
    made, draw = _Landed(random.Random(1), topology), random.Random(2)
    in_the_air, places = [], []

    def evaluator(candidates, args):
        landed = zip(made._numbers, made.population, made._previous_population, strict=True)
        for number, individual, previous in landed:
            assert individual.candidate is places[number][-1]
            assert previous.candidate is places[number][-2:][0]
        for number, neighbours in zip(made._numbers, made.topology(None, made.archive, args), strict=True):
            assert any(it is made._bests[number] for it in neighbours)
        in_the_air.extend(candidates)
        candidates[:] = [in_the_air.pop(draw.randrange(len(in_the_air))) for _ in range(3)]
        for it in candidates:
            number = getattr(it, "number", len(places))
            if number == len(places):
                places.append([])
            else:
                assert it.origin.candidate is places[number][-1]
            places[number].append(it)
        return sphere(candidates)

    fly(made, evaluator, 60)
    assert sum(map(len, places)) == 3 * 61
    assert len(places) == 7
    assert [best.fitness for best in made._bests] == [min(sphere(visited)) for visited in places]
    assert [best.fitness for best in made.archive] == [made._bests[number].fitness for number in made._numbers]
    assert min(best.fitness for best in made._bests) < 1e-4
    assert not any(hasattr(it, "origin") for visited in places for it in visited), "the past is let go"
