"""Asynchronous mode: what it promises, and what it takes for granted of the libraries whose loops it runs."""

import math
import random
import statistics
from importlib.metadata import entry_points
from types import SimpleNamespace

import byohpo_inspyred
import inspyred
import numpy as np
import pytest
import studies
from byohpo_inspyred import Flat
from byohpo_plugin_paes import _engine as paes_engine
from byohpo_plugin_pso import _Landed
from byohpo_plugin_scipy_de.steady import PARTS, STEERABLE, SteadyState
from inspyred import ec
from scipy.optimize import _differentialevolution

from byohpo_core import (
    Blocking,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Objective,
    Problem,
    Proposal,
    SearchSpace,
    Simulated,
    Simulation,
    Trial,
    TrialStatus,
)

ALGORITHMS = ["ga", "es", "de", "pso", "nsga2", "eda", "sa", "paes", "scipy-de"]


SPACE = {
    "x": ContinuousParameter(0, 1),
    "y": ContinuousParameter(0, 1),
    "n": IntegerParameter(1, 9),
    "kind": CategoricalParameter(["a", "b"]),
}


SMALL = {"n": IntegerParameter(1, 6), "kind": CategoricalParameter(["a", "b"])}


def seconds(hyperparameters, spread=1.0):
    """A duration of its own for each configuration, log-normal."""
    generator = random.Random(repr(sorted(hyperparameters.items())))
    return 100 * math.exp(generator.gauss(0, spread))


def tune(strategy, *, slots=6, jobs=90, failing=0.0, space=SPACE, seed=1, duplicates="run", curve=False, **options):
    """A study on a virtual clock in which a share of the trials fails."""

    def job(hyperparameters):
        loss = sum((value - 0.3) ** 2 for value in hyperparameters.values() if not isinstance(value, str))
        lucky = random.Random(f"{sorted(hyperparameters.items())}").random() >= failing
        metrics = {"loss": loss, "cost": hyperparameters["n"]}
        return Simulation([metrics] * 4 if curve else metrics, seconds(hyperparameters), None if lucky else "diverged")

    return studies.tune(
        Simulated(job),
        space,
        ["loss", "cost"] if strategy == "nsga2" else "loss",
        strategy=strategy,
        max_jobs=jobs,
        max_parallel_jobs=slots,
        random_seed=seed,
        early_stopping_type="Auto" if curve else "Off",
        strategy_options=options,
        duplicates=duplicates,
        failure_limit=False,
        journal=":memory:",
    )


def made(strategy, problem, **options):
    """An algorithm by its name, outside a study."""
    (entry,) = entry_points(group="byohpo.algorithms", name=strategy)
    return entry.load()(problem, **options)


def busy(study):
    """The share of the slots' time that is used until the last trial starts."""
    ran = [trial for trial in study.trials if trial.started is not None and trial.result_of is None]
    last = max(trial.started for trial in ran)
    return sum(min(trial.ended, last) - trial.started for trial in ran) / (study.problem.max_parallel_jobs * last)


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials]


@pytest.mark.parametrize("duplicates", ["run", "reuse"])
@pytest.mark.parametrize("slots", [2, 6, 20])
@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_no_slot_is_idle_until_the_last_trial_starts(strategy, slots, duplicates):
    """By default, and however long the trials are; in generations most of the time is spent in waiting."""
    study = tune(strategy, slots=slots, duplicates=duplicates)
    assert study.jobs == 90
    assert busy(study) >= 0.99


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_a_generation_waits_for_its_slowest(strategy):
    """So the other mode is another one: one generation of as many trials as slots, or one chain."""
    options = {"chains": 1} if strategy == "sa" else {"population": 6}
    assert busy(tune(strategy, mode="generational", **options)) < 0.8


@pytest.mark.parametrize("failing", [0.1, 0.3])
@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_failed_trials_do_not_shrink_the_population(strategy, failing, monkeypatch):
    """A tenth and a third of the trials fail: the budget is used up and all populations stay whole."""
    sizes = []

    def terminator(population, **_):
        sizes.append(len(population))
        return False

    monkeypatch.setattr(byohpo_inspyred, "_never", terminator)
    study = tune(strategy, failing=failing)
    assert study.jobs == 90
    assert any(trial.status == "Failed" for trial in study.trials)
    population = 1 if strategy == "sa" else getattr(made(strategy, study.problem), "population", None)
    if strategy == "pso":  # those whose results are in
        population -= study.problem.max_parallel_jobs - 1
    kept = set(sizes[:-1])  # the last turn has what was left at the end
    assert kept == (set() if strategy == "scipy-de" else {population})


def test_several_parents_stay_several(monkeypatch):
    """PAES pairs parents with children, of which a turn may bring fewer: those that have none stay."""
    sizes = set()
    monkeypatch.setattr(byohpo_inspyred, "_never", lambda population, **_: sizes.add(len(population)))
    assert tune("paes", population=3).jobs == 90
    assert tune("paes", population=3, space=SMALL).jobs == 90
    assert sizes == {3}


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_pruned_trials_do_not_disturb(strategy):
    """They give their last values, and their slots are filled at once."""
    study = tune(strategy, curve=True)
    assert study.jobs == 90
    assert busy(study) >= 0.99
    assert any(trial.status == "Pruned" for trial in study.trials)


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_the_same_arrivals_give_the_same_proposals(strategy):
    """The seed and the order of results are all that counts."""
    first, again, other = (tune(strategy, jobs=40, seed=seed) for seed in (1, 1, 2))
    assert configurations(first) == configurations(again)
    assert configurations(first) != configurations(other)


@pytest.mark.parametrize("strategy", ALGORITHMS)
def test_a_small_space_neither_hangs_nor_idles(strategy):
    """Twelve configurations on six slots: it ends when there is nothing new to propose, having tried most of them."""
    study = tune(strategy, space=SMALL, duplicates="reuse")
    assert 6 <= study.jobs <= 12
    assert study.stop_reason.startswith("nothing new proposed")


def slots_of(strategy, slots, jobs=300, **options):
    objectives = [Objective(f"m{number}", "Minimize") for number in range(1 + (strategy == "nsga2"))]
    return made(strategy, Problem(SearchSpace(SPACE), tuple(objectives), 1, jobs, slots), **options)


@pytest.mark.parametrize(
    ("strategy", "sizes"),
    [
        ("ga", (4, 6, 12)),
        ("es", (4, 7, 14)),
        ("de", (4, 8, 16)),
        ("nsga2", (4, 8, 16)),
        ("pso", (20, 20, 40)),
        ("eda", (20, 20, 40)),
        ("paes", (3, 3, 3)),
        ("scipy-de", (6, 8, 16)),
    ],
)
def test_default_populations_follow_the_slots(strategy, sizes):
    """For 4, 10 and 20 slots."""
    assert tuple(slots_of(strategy, slots).population for slots in (4, 10, 20)) == sizes


@pytest.mark.parametrize(
    ("strategy", "points"),
    [("ga", 2), ("es", 2), ("de", 4), ("nsga2", 2), ("pso", 11), ("eda", 8), ("sa", 1), ("paes", 3), ("scipy-de", 5)],
)
def test_a_turn_makes_so_many_children(strategy, points, monkeypatch):
    """With 10 slots, after the first population."""
    asked, ask = [], Blocking._ask

    def counting(self, new):
        asked.append(len(new))
        ask(self, new)

    monkeypatch.setattr(Blocking, "_ask", counting)
    tune(strategy, slots=10)
    assert set(asked[1:]) == {points}


def test_half_of_a_first_swarm_is_known():
    """At most, in either mode: those that are tried while others move are part of it."""
    generator = random.Random(99)
    for mode in ("asynchronous", "generational"):
        algorithm = slots_of("pso", 10, mode=mode)
        known = [algorithm.problem.space.decode([generator.random() for _ in SPACE]) for _ in range(100)]
        foreign = [
            Trial(number, Proposal(it), "other", it, TrialStatus.Completed, values=(1.0,), losses=(1.0,), prior=True)
            for number, it in enumerate(known)
        ]
        study = SimpleNamespace(trials=[])
        algorithm.observe(study, foreign)
        first = algorithm.propose(study, 20)
        algorithm.close()
        assert len(first) == 20
        assert sum(it.hyperparameters in known for it in first) == 10


def test_chains_share_the_slots():
    """Annealing is one chain by default; several have a part of the slots each, rounded up."""
    assert slots_of("sa", 6).chains == 1
    study = tune("sa", slots=6, chains=4)
    assert busy(study) >= 0.99


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


def test_scipys_solver_has_the_parts_that_are_steered():
    """Were they gone there would be generations only."""
    assert STEERABLE
    assert [part for part in PARTS if not hasattr(_differentialevolution.DifferentialEvolutionSolver, part)] == []


def steady(generator=1, size=6, **settings):
    start = np.random.default_rng(0).random((size, 2))
    return start, SteadyState(
        bounds=[(0, 10), (0, 4)],
        init=start * [10, 4],
        integrality=[False, True],
        rng=np.random.default_rng(generator),
        **{"strategy": "best1bin", "mutation": (0.5, 1.0), "recombination": 0.7, "x0": None, **settings},
    )


def test_scipys_population_is_what_it_was_given_scaled_and_rounded():
    """Each member is a point from 0 to 1; variables are within the bounds and whole where they must be."""
    start, population = steady()
    assert [it.variables[0] for it in population.trials()] == pytest.approx((10 * start[:, 0]).tolist())
    assert all(it.variables[1] in range(5) for it in population.trials())
    known = steady(x0=[5.0, 2.0])[1].trials()
    assert [5.0, 2.0] in [it.variables for it in known]


@pytest.mark.parametrize("strategy", ["best1bin", "best2exp", "currenttobest1bin", "rand1bin"])
def test_scipys_mixtures_start_from_the_best_in_row_0(strategy):
    """Members keep their numbers while rows are swapped, and none but the competitor's row changes."""
    _, population = steady(strategy=strategy, recombination=1.0, mutation=0.0)
    losses = [5.0, 3.0, 4.0, 1.0, 2.0, 6.0]
    trials = population.trials()
    for trial, value in zip(trials, losses, strict=True):
        population.select(trial, value)
    assert sorted(population._rows) == list(range(6))
    assert population._rows[3] == 0
    for trial in trials:
        assert population._solver.population[population._rows[trial.member]].tolist() == trial.unit.tolist()
    (mixture, *_), before = population.mix([0, 5]), population._solver.population.copy()
    if strategy.startswith("best"):  # without differences it is the best itself
        assert mixture.unit.tolist() == trials[3].unit.tolist()
    population.select(population.mix([5])[0], 7.0)
    assert (population._solver.population == before).all(), "a worse one changes nothing"


def test_scipys_steady_state_finds_the_minimum():
    """Each result decides at once, in any order of arrival."""
    generator, (_, population) = random.Random(1), steady()
    running = population.trials()
    found = []
    for number in range(300):
        trial = running.pop(generator.randrange(len(running)))
        loss = (trial.variables[0] - 7) ** 2 + (trial.variables[1] - 3) ** 2
        found.append(loss)
        population.select(trial, loss)
        running += population.mix([number % 6])
    assert statistics.median(found[-20:]) < 1e-3 < statistics.median(found[:20])
