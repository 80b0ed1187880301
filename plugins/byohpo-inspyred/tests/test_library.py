"""What is taken for granted of inspyred."""

import random

import byohpo_inspyred
import pytest
from byohpo_plugin_paes import _engine as paes_engine
from inspyred import ec


def engine(kind=ec.EvolutionaryComputation):
    made = kind(random.Random(1))
    made.terminator = ec.terminators.generation_termination
    return made


def test_evolve_goes_by_the_list_that_it_gave_to_the_evaluator():
    """What the evaluator puts into it is taken for the offspring: the first and every later time."""

    def evaluator(candidates, args):
        candidates[:] = [[number / 10] for number in range(3)]
        return [0.0, 1.0, 2.0]

    made = engine()
    made.replacer = ec.replacers.generational_replacement
    population = made.evolve(
        lambda random, args: [random.random()], evaluator, pop_size=9, maximize=False, max_generations=2
    )
    assert sorted((one.candidate[0], one.fitness) for one in population) == [(0.0, 0.0), (0.1, 1.0), (0.2, 2.0)]
    assert made.num_evaluations == 9


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (ec.GA, {"num_selected": 6}),
        (ec.DEA, {"num_selected": 2}),
        (ec.EDA, {"num_selected": 3, "num_offspring": 6}),
        (ec.emo.NSGA2, {"num_selected": 6}),
        (paes_engine, {}),
    ],
    ids=["GA", "DEA", "EDA", "NSGA2", "PAES"],
)
def test_an_engines_own_evolve_only_fills_in_what_is_not_given(kind, arguments):
    """So the base class's does the same, for a population of any size."""
    pareto = "Pareto" if kind in (ec.emo.NSGA2, paes_engine) else None
    seen = []
    for evolve in (lambda made, *given, **named: made.evolve(*given, **named), ec.EvolutionaryComputation.evolve):
        candidates_seen = []

        def evaluator(candidates, args, candidates_seen=candidates_seen):
            candidates_seen += [list(candidate) for candidate in candidates]
            losses = [abs(sum(candidate) - 1) for candidate in candidates]
            return [byohpo_inspyred.pareto((loss, loss)) for loss in losses] if pareto else losses

        made = engine(kind)
        evolve(
            made,
            lambda random, args: [random.random() for _ in range(3)],
            evaluator,
            pop_size=6,
            maximize=pareto is not None,
            bounder=ec.Bounder(0, 1),
            max_generations=4,
            **arguments,
        )
        seen.append(candidates_seen)
    assert len(seen[0]) >= 14
    assert seen[0] == seen[1]


def test_only_the_base_class_leaves_an_annealing_its_first_candidates():
    """`SA.evolve` evaluates one, whatever it is told; a second slot would stay empty."""
    first = {}
    for evolve in (ec.SA.evolve, ec.EvolutionaryComputation.evolve):
        evaluated = []

        def evaluator(candidates, args, evaluated=evaluated):
            evaluated.append(len(candidates))
            return [0.0] * len(candidates)

        arguments = {"temperature": 1.0, "cooling_rate": 0.5, "max_generations": 1}
        evolve(engine(ec.SA), lambda random, args: [random.random()], evaluator, pop_size=4, **arguments)
        first[evolve] = evaluated[0]
    assert list(first.values()) == [1, 4]


@pytest.mark.parametrize(
    "crossover",
    [ec.variators.n_point_crossover, ec.variators.blend_crossover, ec.variators.heuristic_crossover],
    ids=lambda it: it.__name__,
)
def test_crossovers_drop_an_odd_parent(crossover):
    """One child a turn would be none, and a loop without trials; so these have two."""
    made = engine()
    made.bounder, made.archive, made._kwargs = ec.Bounder(0, 1), [], {}
    parents = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
    made.population = [ec.Individual(parent) for parent in parents]
    for individual in made.population:
        individual.fitness = individual.candidate[0]
    counts = [len(crossover(random.Random(1), parents[:count], {"_ec": made})) for count in (1, 2, 3)]
    assert counts == [0, 2, 2]


def test_pairing_replacers_lose_what_has_no_partner():
    """Annealing and the archived strategy: two results for one parent would be one, and no result no population."""

    def individual(fitness):
        made = ec.Individual([fitness], maximize=True)
        made.fitness = ec.emo.Pareto([fitness], [False])
        return made

    parent, *offspring = map(individual, (3.0, 2.0, 1.0))
    made = engine(ec.emo.PAES)
    made.archive = [parent]
    arguments = {"_ec": made, "temperature": 1e-9, "cooling_rate": 0.5}
    parent.fitness, offspring[0].fitness, offspring[1].fitness = 1.0, 2.0, 3.0
    replaced = ec.replacers.simulated_annealing_replacement(random.Random(1), [parent], [parent], offspring, arguments)
    assert [one.fitness for one in replaced] == [2.0]
    for replacer in (ec.replacers.simulated_annealing_replacement, ec.replacers.paes_replacement):
        assert replacer(random.Random(1), [parent], [parent], [], arguments) == []
        kept = byohpo_inspyred._whole(replacer, pairs=True)
        assert kept(random.Random(1), [parent], [parent], [], arguments) == [parent]
        assert kept.__name__ == replacer.__name__


@pytest.mark.parametrize(
    ("replacer", "kept"),
    [
        (ec.replacers.plus_replacement, [1.0, 2.0]),
        (ec.replacers.steady_state_replacement, [1.0, 2.0]),
        (ec.replacers.generational_replacement, [1.0]),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_replacers_for_a_few_children_keep_the_size(replacer, kept):
    """Generational replacement, in which the children are the next population, would shrink it to them."""

    def individual(loss):
        made = ec.Individual([loss], maximize=False)
        made.fitness = loss
        return made

    population = [individual(2.0), individual(3.0)]
    replaced = replacer(random.Random(1), population, population[:1], [individual(1.0)], {})
    assert sorted(one.fitness for one in replaced) == kept


def test_pareto_fitness_carries_its_own_direction():
    """An engine that minimised it would turn it round a second time: the dominated would survive."""
    good, bad = byohpo_inspyred.pareto((1.0, 1.0)), byohpo_inspyred.pareto((2.0, 2.0))
    survivors = {}
    for maximize in (True, False):
        population = []
        for fitness in (good, bad):
            population.append(ec.Individual([0.5], maximize=maximize))
            population[-1].fitness = fitness
        (best,) = ec.replacers.plus_replacement(random.Random(1), population[1:], [], population[:1], {})
        survivors[maximize] = best.fitness
    assert survivors == {True: good, False: bad}
