"""Measure busy slots and time with `order="strict"`, compared with results as they arrive, in virtual time."""

import argparse
import random
import statistics

from byohpo_core import ContinuousParameter, Simulated, Simulation, Tuner

SLOTS = 16
JOBS = 300


def busy(order: str, sigma: float, strategy: str, seed: int) -> tuple[float, float]:
    """Return (share of busy slots until the last start, hours until the last end) of one study."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    def job(hyperparameters):
        return Simulation({"loss": hyperparameters["x"] ** 2}, 600 * chance.lognormvariate(0, sigma))

    study = Tuner(
        Simulated(job),
        "loss",
        {"x": ContinuousParameter(-1, 1), "y": ContinuousParameter(-1, 1)},
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=JOBS,
        max_parallel_jobs=SLOTS,
        random_seed=seed,
        order=order,
        journal=":memory:",
        progress=False,
    ).fit()
    jobs = [trial for trial in study.trials if trial.result_of is None]
    last = max(trial.started for trial in jobs)
    begin, end = min(trial.started for trial in jobs), max(trial.ended for trial in jobs)
    spent = sum(min(trial.ended, last) - trial.started for trial in jobs)
    return spent / (SLOTS * (last - begin)), (end - begin) / 3600


def median(order: str, sigma: float, strategy: str, seeds: int) -> list[float]:
    """Return the medians of `busy` over seeds."""
    studies = [busy(order, sigma, strategy, seed) for seed in range(seeds)]
    return [statistics.median(column) for column in zip(*studies, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    arguments = parser.parse_args()
    seeds = 3 if arguments.quick else arguments.seeds
    print(f"\nOrder of observation: {SLOTS} slots, {JOBS} jobs, lognormal durations, medians of {seeds} seeds")
    print(f"{'algorithm':<10} {'sigma':>5}  {'busy, arrival':>13} {'busy, strict':>12}  {'hours, ratio':>12}")
    for strategy in ("random", "de", "pso"):
        for sigma in (0.3, 0.5, 1.0):
            arrival, strict = (median(order, sigma, strategy, seeds) for order in ("arrival", "strict"))
            ratio = strict[1] / arrival[1]
            print(f"{strategy:<10} {sigma:>5}  {arrival[0]:>13.3f} {strict[0]:>12.3f}  {ratio:>12.2f}")


if __name__ == "__main__":
    main()
