"""inspyred's surprises: each test shows that the plugins avoid one of them."""

import random
import threading
from importlib.metadata import entry_points

import inspyred
import pytest
from byohpo_inspyred import bit_string, generation_size

from byohpo_core import (
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Objective,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
)

RANGES = {"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1)}


def tune(strategy, ranges=RANGES, objectives=1, loss=lambda h: h["x"] ** 2 + h["y"], **settings):
    metrics = [f"m{number}" for number in range(objectives)]
    options = {
        "objective_type": "Minimize",
        "max_jobs": 40,
        "max_parallel_jobs": 4,
        "random_seed": 1,
        "failure_limit": False,
        "journal": ":memory:",
        "progress": False,
        **settings,
    }

    def job(hyperparameters):
        value = loss(hyperparameters)
        if value is None:
            return Simulation({}, 1, "failed")
        return Simulation({name: value + number * hyperparameters["x"] for number, name in enumerate(metrics)}, 1)

    return Tuner(Simulated(job), metrics, ranges, strategy=strategy, **options).fit()


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials]


def test_failed_trials_do_not_shrink_the_swarm():
    """inspyred drops a candidate whose fitness is None, so that the swarm no longer matches its memory."""

    def loss(hyperparameters):
        return (
            None
            if hyperparameters["x"] > 0.7
            else (hyperparameters["x"] - 0.4) ** 2 + (hyperparameters["y"] - 0.5) ** 2
        )

    study = tune("pso", loss=loss, strategy_options={"population": 8})
    assert study.jobs == 40


@pytest.mark.parametrize("strategy", ["ga", "de", "es", "eda", "sa", "paes", "nsga2", "pso"])
def test_misspelt_options_do_not_pass_silently(strategy):
    """inspyred ignores an unknown argument; the plugins raise an error before any job."""
    with pytest.raises(InvalidInput, match=f"'{strategy}'.*'mutaton_rate'"):
        tune(strategy, objectives=1 + (strategy == "nsga2"), strategy_options={"mutaton_rate": 0.1})


def test_archived_strategies_in_one_process_do_not_share_their_grid():
    """inspyred stores the grid of PAES on the archiver function; each study uses a copy of the function."""
    vars(inspyred.ec.archivers.adaptive_grid_archiver).pop("grid_population", None)  # from a test of the bare library
    alone = configurations(tune("paes", objectives=2))
    found = {}
    threads = [
        threading.Thread(
            target=lambda number=number: found.update({number: configurations(tune("paes", objectives=2))})
        )
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [alone] * 3
    assert not hasattr(inspyred.ec.archivers.adaptive_grid_archiver, "grid_population")


def test_the_archived_strategy_works_with_one_objective_and_fills_its_slots():
    """PAES needs a Pareto fitness even for one objective, and several parents to fill several slots."""
    study = tune("paes", max_parallel_jobs=6, max_jobs=36)
    assert study.jobs == 36
    starts = [trial.started for trial in study.trials]
    assert starts.count(0.0) == 6


def test_annealing_cools_and_always_has_a_temperature():
    """Without a temperature inspyred heats up from 0 to 1, or raises a KeyError."""
    assert tune("sa").jobs == 40
    for wrong in ({"temperature": None}, {"cooling_rate": None}, {"cooling_rate": 1.5}):
        with pytest.raises(InvalidInput):
            tune("sa", strategy_options=wrong)


def test_annealing_fills_the_slots_by_chains():
    """inspyred's annealing has one individual; all four slots are used nevertheless."""
    study = tune("sa", max_parallel_jobs=4)
    assert [trial.started for trial in study.trials].count(0.0) == 4


def test_the_ring_is_used_when_its_size_is_given():
    """The star topology ignores neighborhood_size, so the plugin changes the topology."""
    star, ring = (tune("pso", strategy_options=o) for o in ({}, {"neighborhood_size": 3}))
    assert configurations(star) != configurations(ring)


def test_differential_evolution_fills_its_slots():
    """inspyred's default is two children per generation; the plugin asks for more."""
    study = tune("de", max_parallel_jobs=6, max_jobs=60)
    assert [trial.started for trial in study.trials].count(study.trials[12].started) >= 4


def test_mutation_and_crossover_act_on_the_genetic_algorithms_bits():
    """inspyred's bit-flip mutation ignores genes that are not 0 or 1; the plugin's genes are bits."""
    space = SearchSpace({"x": ContinuousParameter(0, 1), "n": IntegerParameter(1, 6)})
    encoding = bit_string(space, 10)
    candidate = encoding.place([0.3, 0.8])
    assert set(candidate) <= {0, 1}
    mutant = inspyred.ec.variators.bit_flip_mutation(random.Random(1), [candidate], {"mutation_rate": 0.5})[0]
    assert encoding.decode(mutant) != encoding.decode(candidate)
    still = {"mutation_rate": 0.0, "num_elites": 0, "population": 10}
    mutated, unmutated = (tune("ga", strategy_options=o, max_jobs=60) for o in ({**still, "mutation_rate": 0.1}, still))
    assert configurations(mutated) != configurations(unmutated)
    crossed = tune("ga", strategy_options={**still, "crossover_rate": 0.0}, max_jobs=60)
    assert configurations(crossed) != configurations(unmutated)


def test_steps_are_small_in_the_unit_cube():
    """inspyred's default standard deviation is 1, the whole cube; the plugins' defaults are at most 0.2."""
    problem = Problem(SearchSpace(RANGES), (Objective("m", "Minimize"),), 1, 40, 4)
    for name in ("de", "sa", "paes"):
        assert entry_points(group="byohpo.algorithms")[name].load()(problem).gaussian_stdev <= 0.2


@pytest.mark.parametrize(
    ("strategy", "options", "told"),
    [
        ("ga", {"population": 1}, r"population.*\b1\b.*\b2\b.*100000"),
        ("ga", {"population": 7}, r"population.*\b7\b"),
        ("eda", {"population": 3}, r"population.*\b3\b.*\b4\b.*100000"),
        ("eda", {"population": 6, "num_selected": 7}, r"num_selected.*\b7\b.*population.*\b6\b"),
        ("de", {"num_selected": 3}, r"num_selected.*\b3\b"),
        ("de", {"population": 4, "num_selected": 6}, r"num_selected.*\b6\b.*population.*\b4\b"),
        ("pso", {"inertia": -0.1}, r"inertia.*-0\.1\b.*\b0\b.*\b10\b"),
        ("pso", {"social_rate": 1e300}, r"social_rate.*1e\+300.*\b0\b.*\b10\b"),
        ("de", {"tournament_size": 90}, r"tournament_size.*\b90\b.*population"),
        ("nsga2", {"population": 5}, r"population.*\b5\b"),
        ("sa", {"chains": 10**9}, r"chains.*1000000000.*\b1\b.*100000"),
        *(
            (name, {"population": 10**9}, r"population.*1000000000.*\b\d\b.*100000")
            for name in ("de", "eda", "es", "ga", "nsga2", "paes", "pso")
        ),
    ],
    ids=str,
)
def test_populations_that_the_library_does_not_bear_are_refused(strategy, options, told):
    """GA needs 2 individuals, EDA needs 4, a crossover needs pairs, and a population must fit into memory."""
    with pytest.raises(InvalidInput, match=told):
        tune(strategy, objectives=1 + (strategy == "nsga2"), strategy_options=options)


@pytest.mark.parametrize("strategy", ["ga", "de", "es", "eda", "sa", "pso"])
def test_several_objectives_are_refused_by_those_for_one(strategy):
    """The error names the objectives and an algorithm for them, before any job."""
    with pytest.raises(InvalidInput, match=rf"'{strategy}'.*m0.*m1.*several"):
        tune(strategy, objectives=2)


def test_one_objective_is_refused_by_nsga2():
    """The error names algorithms for one objective."""
    with pytest.raises(InvalidInput, match=r"'nsga2'.*\bga\b.*\bde\b.*\bes\b"):
        tune("nsga2")


def test_a_library_searches_on_until_the_study_ends():
    """Without a terminator inspyred ends after one generation."""
    assert tune("ga", max_jobs=80, strategy_options={"population": 4}).jobs == 80


@pytest.mark.parametrize(("jobs", "slots", "size"), [(100, 5, 10), (18, 6, 6), (1, 1, 1), (6, 1, 4), (10_000, 3, 20)])
def test_a_default_generation_follows_budget_and_slots(jobs, slots, size):
    """The budget divided by the generations, at most 20, but at least the slots, and at least 4 if there are 4 jobs."""
    problem = Problem(SearchSpace(RANGES), (Objective("m", "Minimize"),), 1, jobs, slots)
    assert generation_size(10).of(problem) == size
