"""Every algorithm that wraps a library is bit for bit the library, called directly on the encoded problem."""

import contextlib
import random

import cobyqa
import inspyred
import numpy as np
import pytest
from byohpo_inspyred import latin_hypercube, uniform
from scipy import optimize
from scipy.stats import qmc
from studies import tune

from byohpo_core import ContinuousParameter, IntegerParameter, Objective, Problem, SearchSpace, Simulated, Simulation

FUNCTIONS = ["Sphere", "Rosenbrock", "Rastrigin"]
JOBS, SLOTS, DIMENSION = 40, 4, 3
SPACE = SearchSpace({f"x{axis}": ContinuousParameter(0, 1) for axis in range(DIMENSION)})


ASYNCHRONOUS = {"ga", "de", "es", "eda", "sa", "paes", "nsga2", "pso", "scipy-de"}
"""Those that by default do not wait for a generation, where there is more than one slot."""


class EnoughError(BaseException):
    """The direct run has made as many evaluations as are compared."""


class Direct:
    """A function of the unit cube that remembers where it was evaluated."""

    def __init__(self, function, decode=None):
        benchmark = getattr(inspyred.benchmarks, function)(DIMENSION)
        self.low, self.high = benchmark.bounder.lower_bound[0], benchmark.bounder.upper_bound[0]
        self.benchmark, self.decode, self.seen = benchmark, decode or list, []

    def loss(self, unit):
        return float(self.benchmark.evaluator([[self.low + (self.high - self.low) * x for x in unit]], {})[0])

    def __call__(self, candidate):
        if len(self.seen) == JOBS:
            raise EnoughError
        unit = self.decode(candidate)
        self.seen.append(list(unit))
        return self.loss(unit)


def tuned(strategy, function, seed, options, objectives=1):
    """What the plugin proposes in a study with slots that free up in another order than they were filled."""
    direct = Direct(function)

    def job(hyperparameters):
        loss = direct.loss(hyperparameters.values())
        metrics = {f"loss{number}": loss if number == 0 else hyperparameters["x0"] for number in range(objectives)}
        return Simulation(metrics, 1 + hyperparameters["x0"] * hyperparameters["x2"])

    study = tune(
        Simulated(job),
        SPACE.parameters,
        [f"loss{number}" for number in range(objectives)],
        strategy=strategy,
        max_jobs=JOBS,
        max_parallel_jobs=SLOTS,
        random_seed=seed,
        strategy_options=options if strategy not in ASYNCHRONOUS else {"mode": "generational", **options},
        duplicates="run",
        journal=":memory:",
    )
    return [list(trial.hyperparameters.values()) for trial in study.trials]


def evolve(
    kind,
    seed,
    direct,
    population,
    *,
    fitness=float,
    maximize=False,
    place=list,
    design=latin_hypercube,
    bounder=None,
    **arguments,
):
    """The library's own loop on a direct function. Its generator hands out the points of a design."""
    generator = random.Random(seed)
    engine = kind(generator)
    first = iter(design(generator, population, DIMENSION))

    def evaluator(candidates, args):
        return [fitness(direct(candidate)) for candidate in candidates]

    engine.terminator = inspyred.ec.terminators.generation_termination
    with contextlib.suppress(EnoughError):
        engine.evolve(
            lambda random, args: place(next(first)),
            evaluator,
            pop_size=population,
            maximize=maximize,
            bounder=bounder or inspyred.ec.Bounder(0, 1),
            max_generations=JOBS,
            **arguments,
        )
    return direct.seen


def ga(function, seed):
    direct = Direct(function, lambda bits: list(SPACE.decode_bits(bits, 2**-8).values()))
    return evolve(
        inspyred.ec.GA,
        seed,
        direct,
        6,
        place=lambda units: SPACE.encode_bits(SPACE.decode(units), 2**-8),
        bounder=inspyred.ec.DiscreteBounder([0, 1]),
        crossover_rate=0.9,
        num_crossover_points=2,
        mutation_rate=0.05,
        num_elites=1,
    )


def de(function, seed):
    return evolve(
        inspyred.ec.DEA,
        seed,
        Direct(function),
        8,
        num_selected=4,
        tournament_size=2,
        crossover_rate=0.9,
        mutation_rate=0.2,
        gaussian_stdev=0.1,
    )


def es(function, seed):
    class OwnSteps(inspyred.ec.ES):
        def evolve(self, *arguments, **named):
            return inspyred.ec.EvolutionaryComputation.evolve(self, *arguments, **named)

    return evolve(
        OwnSteps,
        seed,
        Direct(function, lambda candidate: candidate[:DIMENSION]),
        5,
        place=lambda units: [*units, *[0.2] * DIMENSION],
        tau=None,
        tau_prime=None,
        epsilon=1e-3,
    )


def eda(function, seed):
    return evolve(
        inspyred.ec.EDA,
        seed,
        Direct(function, lambda candidate: [coordinate / 3.0 for coordinate in candidate]),
        10,
        place=lambda units: [3.0 * unit for unit in units],
        bounder=inspyred.ec.Bounder(0, 3.0),
        num_selected=4,
        num_offspring=10,
        num_elites=1,
    )


def sa(function, seed):
    return evolve(
        inspyred.ec.SA,
        seed,
        Direct(function),
        1,
        temperature=1.0,
        cooling_rate=0.8,
        mutation_rate=0.5,
        gaussian_stdev=0.2,
    )


def pareto(loss):
    return inspyred.ec.emo.Pareto([loss], maximize=False)


def paes(function, seed):
    def kind(generator):
        engine = inspyred.ec.emo.PAES(generator)
        for name in ("grid_population", "global_smallest", "global_largest"):
            vars(engine.archiver).pop(name, None)  # left by another run in this process
        return engine

    return evolve(
        kind,
        seed,
        Direct(function),
        4,
        fitness=pareto,
        maximize=True,
        max_archive_size=10,
        num_grid_divisions=2,
        mutation_rate=0.5,
        gaussian_stdev=0.2,
    )


def nsga2(function, seed):
    def kind(generator):
        engine = inspyred.ec.emo.NSGA2(generator)
        engine.variator = [inspyred.ec.variators.blend_crossover, inspyred.ec.variators.gaussian_mutation]
        return engine

    direct = Direct(function)
    return evolve(
        kind,
        seed,
        direct,
        6,
        fitness=lambda loss: inspyred.ec.emo.Pareto([loss, direct.seen[-1][0]], maximize=False),
        maximize=True,
        tournament_size=2,
        crossover_rate=1.0,
        blx_alpha=0.1,
        mutation_rate=0.3,
        gaussian_stdev=0.1,
    )


def pso(function, seed):
    return evolve(
        inspyred.swarm.PSO,
        seed,
        Direct(function),
        6,
        design=uniform,
        inertia=0.6,
        cognitive_rate=1.5,
        social_rate=2.0,
    )


def sobol(function, seed):
    engine = qmc.Sobol(DIMENSION, rng=seed)
    return engine.random(64)[:JOBS].tolist()


def scipy_de(function, seed):
    direct, generator = Direct(function), np.random.default_rng(seed)
    start = qmc.LatinHypercube(DIMENSION, rng=generator).random(8)
    with contextlib.suppress(EnoughError):
        optimize.differential_evolution(
            lambda columns: np.array([direct(point) for point in columns.T.tolist()]),
            [(0, 1)] * DIMENSION,
            strategy="rand1bin",
            mutation=0.7,
            recombination=0.8,
            init=start,
            tol=0,
            atol=-1,
            polish=False,
            updating="deferred",
            vectorized=True,
            rng=generator,
        )
    return direct.seen


class OnceEach(Direct):
    """As `Direct`, but a point within 1e-6 of an earlier one is not evaluated again, and none lies outside."""

    def __call__(self, x):
        unit = np.clip(x, 0, 1)
        for earlier in self.seen:
            if np.abs(unit - earlier).max() <= 1e-6:
                return self.loss(earlier)
        return super().__call__(unit.tolist())


def with_scipy(search):
    """A direct run of one of SciPy's searches: *search* gets the function, a generator and the box."""

    def run(function, seed):
        direct = OnceEach(function)
        with contextlib.suppress(EnoughError):
            search(direct, np.random.default_rng(seed), optimize.Bounds(np.zeros(DIMENSION), np.ones(DIMENSION)))
        return direct.seen

    return run


def starts(generator):
    while True:
        yield generator.random(DIMENSION)


def dual_annealing(function, generator, box):
    optimize.dual_annealing(
        function,
        box,
        maxiter=10**6,
        maxfun=10**6,
        initial_temp=5.0,
        restart_temp_ratio=2e-5,
        visit=2.4,
        accept=-50.0,
        no_local_search=True,
        rng=generator,
    )


def direct_search(function, generator, box):
    optimize.direct(function, box, eps=1e-3, locally_biased=True, maxfun=1000, maxiter=1000, vol_tol=0.0, len_tol=0.0)


def shgo(function, generator, box):
    while True:
        engine = qmc.Sobol(DIMENSION, rng=generator)
        optimize.shgo(
            function,
            box,
            n=10,
            iters=1,
            sampling_method=lambda count, _, engine=engine: engine.random(1 << (count - 1).bit_length())[:count],
            minimizer_kwargs={"method": "Powell", "options": {"maxfev": 30, "xtol": 1e-2, "ftol": 1e-4}},
        )


def basinhopping(function, generator, box):
    def local(fun, x0, *, bounds, maxfev, **_):
        options = {"radius_init": 0.1, "radius_final": 1e-3, "maxfev": maxfev, "maxiter": 10**6}
        return cobyqa.minimize(fun, x0, bounds=bounds, options=options)

    optimize.basinhopping(
        function,
        generator.random(DIMENSION),
        niter=10**6,
        T=0.5,
        take_step=lambda x: np.clip(x + generator.uniform(-0.2, 0.2, x.size), 0, 1),
        minimizer_kwargs={"method": local, "bounds": box, "options": {"maxfev": 15}},
        rng=generator,
    )


def nelder_mead(function, generator, box):
    for first in starts(generator):
        corners = np.vstack([first, first + np.diag([0.2 if x + 0.2 <= 1 else -0.2 for x in first])])
        optimize.minimize(
            function,
            first,
            method="Nelder-Mead",
            bounds=box,
            options={"initial_simplex": corners, "xatol": 0.01, "fatol": np.inf, "adaptive": True},
        )


def powell(function, generator, box):
    for first in starts(generator):
        optimize.minimize(function, first, method="Powell", bounds=box, options={"xtol": 0.02, "ftol": 1e-4})


def scipys_cobyqa(function, generator, box):
    for first in starts(generator):
        optimize.minimize(
            function,
            first,
            method="COBYQA",
            bounds=box,
            options={"initial_tr_radius": 0.3, "final_tr_radius": 0.01, "maxfev": 10**6, "maxiter": 10**6},
        )


CASES = {
    "ga": (
        ga,
        {"population": 6, "bits": 8, "crossover_rate": 0.9, "num_crossover_points": 2, "mutation_rate": 0.05},
    ),
    "de": (
        de,
        {"population": 8, "num_selected": 4, "crossover_rate": 0.9, "mutation_rate": 0.2, "gaussian_stdev": 0.1},
    ),
    "es": (es, {"population": 5, "startup": 5, "step": 0.2, "epsilon": 1e-3}),
    "eda": (eda, {"population": 10, "num_selected": 4, "num_elites": 1, "spread": 3.0}),
    "sa": (
        sa,
        {
            "chains": 1,
            "startup": 1,
            "temperature": 1.0,
            "cooling_rate": 0.8,
            "mutation_rate": 0.5,
            "gaussian_stdev": 0.2,
        },
    ),
    "paes": (
        paes,
        {
            "population": 4,
            "startup": 4,
            "max_archive_size": 10,
            "num_grid_divisions": 2,
            "mutation_rate": 0.5,
            "gaussian_stdev": 0.2,
        },
    ),
    "nsga2": (nsga2, {"population": 6, "mutation_rate": 0.3, "gaussian_stdev": 0.1}),
    "pso": (pso, {"population": 6, "inertia": 0.6, "cognitive_rate": 1.5, "social_rate": 2.0}),
    "sobol": (sobol, {}),
    "scipy-de": (scipy_de, {"population": 8, "strategy": "rand1bin", "mutation": 0.7, "recombination": 0.8}),
    "scipy-dual-annealing": (with_scipy(dual_annealing), {"initial_temp": 5.0}),
    "scipy-direct": (with_scipy(direct_search), {"eps": 1e-3}),
    "scipy-shgo": (with_scipy(shgo), {"points": 10, "local_evaluations": 30}),
    "scipy-basinhopping": (with_scipy(basinhopping), {"temperature": 0.5, "step": 0.2, "local_evaluations": 15}),
    "scipy-nelder-mead": (with_scipy(nelder_mead), {"step": 0.2, "tolerance": 0.01}),
    "scipy-powell": (with_scipy(powell), {"tolerance": 0.02}),
    "scipy-cobyqa": (with_scipy(scipys_cobyqa), {"step": 0.3, "tolerance": 0.01}),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("strategy", CASES)
def test_the_trajectory_is_the_librarys_bit_for_bit(strategy, function, seed):
    """Forty evaluations on four slots."""
    directly, options = CASES[strategy]
    expected = directly(function, seed)
    assert len(expected) == JOBS
    assert tuned(strategy, function, seed, options, objectives=1 + (strategy == "nsga2")) == expected


def test_several_chains_of_annealing_are_several_runs_of_the_library():
    """Chain 0 has the study's seed, the others one of their own; each is the library's own run."""
    from byohpo_plugin_sa import SimulatedAnnealing

    problem = Problem(SPACE, (Objective("loss", "Minimize"),), seed=3, max_jobs=30, max_parallel_jobs=3)
    options = {"temperature": 1.0, "cooling_rate": 0.8, "mutation_rate": 0.5, "gaussian_stdev": 0.2}
    trials = tuned("sa", "Sphere", 3, {"chains": 3, "startup": 3, **options})
    for seed in (3, "3-1", "3-2"):
        rest = iter(trials)
        assert all(point in rest for point in sa("Sphere", seed)[:8])
    assert SimulatedAnnealing(problem, mode="generational").chains == 3


def test_scipys_whole_numbers_are_the_spaces():
    """Integers and categories are integral variables with a share each; a logarithmic range is not."""
    from byohpo_plugin_scipy_de import Box

    space = SearchSpace(
        {"n": IntegerParameter(3, 7), "x": ContinuousParameter(1, 1000), "m": IntegerParameter(1, 1000)}
    )
    box = Box(space)
    assert box.integrality == [True, False, False]
    assert box.bounds == [(0, 4), (0, 1), (0, 1)]
    assert [box.decode([n, 0.5, 0.5])["n"] for n in range(5)] == [3, 4, 5, 6, 7]
    assert box.decode(box.encode({"n": 5, "x": 10.0, "m": 9}))["n"] == 5
