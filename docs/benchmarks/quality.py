"""Compare each algorithm with random search on known functions: 100 jobs on 5 slots, default options.

For each function and dimension, print the probability that a study of the algorithm ends with a better value than one
of random search, over all pairs of seeds, with a 95 % confidence interval (bootstrap over seeds). The seed shifts the
optimum away from the middle of the space, because some algorithms begin there.
"""

import argparse
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import inspyred
from bookkeeping import Bench, Row, report

from byohpo_core import ContinuousParameter, Simulated, Simulation, Tuner

FUNCTIONS = ("Sphere", "Rosenbrock", "Rastrigin", "Ackley", "Griewank")
DIMENSIONS = (2, 5, 10)
JOBS, SLOTS, SEEDS, RESAMPLES = 100, 5, 20, 300
# The rival; needs few points; takes several objectives; is for few trials (surrogate.py measures it).
NOT_FOR_THIS = {"random", "grid", "nsga2", "gp", "hyperband"}


def best_value(strategy: str, function: str, dimension: int, seed: int, *, shift: int) -> float:
    benchmark = getattr(inspyred.benchmarks, function)(dimension)
    low, high = benchmark.bounder.lower_bound[0], benchmark.bounder.upper_bound[0]
    generator = random.Random(f"{function}-{dimension}-{shift}")  # noqa: S311 - no secret
    by = [generator.uniform(-0.2, 0.2) * (high - low) for _ in range(dimension)]

    def job(hyperparameters: dict[str, float]) -> Simulation:
        point = [value - offset for value, offset in zip(hyperparameters.values(), by, strict=True)]
        return Simulation({"loss": float(benchmark.evaluator([point], {})[0])}, 1.0)

    study = Tuner(
        Simulated(job),
        "loss",
        {f"x{axis}": ContinuousParameter(low, high) for axis in range(dimension)},
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=JOBS,
        max_parallel_jobs=SLOTS,
        random_seed=seed,
        journal=":memory:",
        progress=False,
    ).fit()
    return study.best.value


def better(ours: list[float], theirs: list[float]) -> float:
    return statistics.fmean((a < b) + (a == b) / 2 for a in ours for b in theirs)


def interval(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    generator = random.Random(1)  # noqa: S311 - no secret
    found = sorted(
        better(generator.choices(ours, k=len(ours)), generator.choices(theirs, k=len(theirs))) for _ in range(RESAMPLES)
    )
    return found[int(0.025 * RESAMPLES)], found[int(0.975 * RESAMPLES)]


def against_random(bench: Bench) -> Iterator[Row]:
    """One row for each algorithm, function and dimension, and one row for each algorithm as a whole."""
    seeds = range(5 if bench.quick else SEEDS)
    cases = [(function, dimension) for dimension in DIMENSIONS for function in FUNCTIONS]
    rivals = {case: [best_value("random", *case, seed + 1000, shift=seed) for seed in seeds] for case in cases}
    for name in sorted({entry.name for entry in entry_points(group="byohpo.algorithms")} - NOT_FOR_THIS):
        wins, surely, all_of_them = 0, 0, []
        for case in cases:
            ours = [best_value(name, *case, seed, shift=seed) for seed in seeds]
            chance = better(ours, rivals[case])
            low, high = interval(ours, rivals[case])
            wins, surely = wins + (chance > 0.5), surely + (low > 0.5)  # noqa: PLR2004 - as good as random
            all_of_them.append(chance)
            yield Row(f"  {name}, {case[0]} in {case[1]}", f"{chance:.2f} ({low:.2f} - {high:.2f})", "random: 0.50")
        most = wins > len(cases) / 2
        told = f"{wins} of {len(cases)}, surely {surely}; mean {statistics.fmean(all_of_them):.2f}"
        yield Row(name, told, "", None, "most", None if name == "sobol" else most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="five seeds")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}; {JOBS} jobs, {SLOTS} slots, {SEEDS} seeds, default options")
    with tempfile.TemporaryDirectory() as folder:
        report({"Better than random search": against_random}, Bench(Path(folder), options.quick))


if __name__ == "__main__":
    sys.exit(main())
