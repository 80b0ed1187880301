"""Measure what `{"per": "second"}` of `gp` saves where durations depend on the hyperparameters, on a virtual clock.

The tasks are the six tables of real training runs and seconds of `asynchronous.py`. A study without it has 40 jobs; one
with it has as many, or more (`--with`), since it pays less for each. The target of a task is the loss that half of the
studies without it reach with half of their jobs. A study that never reaches it counts with all that it spent, as in the
expected running time (Hansen et al. 2010): the sum over all seeds, divided by the number of successes. Ratios are
geometric means over tasks. At equal money, which is here the seconds of all slots together, the share of random
configurations that are better is compared, seed by seed. Brackets are 95 % confidence intervals: bootstrap over seeds,
which both ways share.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import asynchronous
import attrs
import numpy as np

from byohpo_core import Simulated, Tuner

WAYS = (None, "second")
SHARES = (0.25, 0.5, 0.75, 1.0)
RESAMPLES = 2000


def run(name: str, per: str | None, slots: int, jobs: int, seed: int) -> asynchronous.Run:
    """Run one study on the simulated backend's virtual clock."""
    table = asynchronous.task(name)
    study = Tuner(
        Simulated(table),
        "loss",
        table.parameters,
        strategy=asynchronous.algorithm("gp"),
        objective_type="Minimize",
        max_jobs=jobs,
        max_parallel_jobs=slots,
        random_seed=seed,
        strategy_options={"per": per},
        failure_limit=False,
        journal=":memory:",
        progress=False,
    ).fit()
    trials = sorted(study.trials, key=lambda trial: trial.ended)
    begun = min(trial.started for trial in trials)
    best = asynchronous.running_minimum([trial.losses for trial in trials])
    times = ([getattr(trial, moment) - begun for trial in trials] for moment in ("started", "ended"))
    return asynchronous.Run(*times, best, slots, 0.0)


@attrs.frozen
class Pair:
    """The studies of one task: a row for each seed, a column for each of `WAYS`."""

    reached: Any
    """1 if a study reached the target, else 0."""
    seconds: Any
    """Until the target, or until the end."""
    paid: Any
    """The same, of all slots together."""
    spent: Any
    """All that a study paid."""
    quality: Any
    """For each of `SHARES` of the money that both spent, the share of random configurations that are better."""

    def at(self, rows: Any) -> "Pair":
        return Pair(*(part[rows] for part in attrs.astuple(self, recurse=False)))

    def ratio(self, what: Any) -> float:
        """How many times more it takes without."""
        expected = what.sum(axis=0) / np.maximum(1, self.reached.sum(axis=0))
        return float(expected[0] / expected[1])


def pair(job: tuple[str, int, Sequence[int], Sequence[int]]) -> Pair:
    """Run all studies of one task."""
    name, slots, jobs, seeds = job
    runs = [[run(name, per, slots, most, seed) for per, most in zip(WAYS, jobs, strict=True)] for seed in seeds]
    target = statistics.median_low([plain.after(jobs[0] // 2) for plain, _ in runs])
    told = np.array([[it.spent(target) for it in row] for row in runs], dtype=float)
    quality = [[[better(name, at(it, share * money(row))) for it in row] for share in SHARES] for row in runs]
    spent = np.array([[it.paid(math.inf) for it in row] for row in runs])
    return Pair(told[..., 0], told[..., asynchronous.TIME], told[..., asynchronous.PAID], spent, np.array(quality))


def money(row: Sequence[asynchronous.Run]) -> float:
    return min(it.paid(math.inf) for it in row)


def at(found: asynchronous.Run, paid: float) -> float:
    """The best loss when so many seconds are paid."""
    done = sum(found.paid(moment) <= paid for moment in found.ended)
    return found.best[done - 1] if done else math.inf


def better(name: str, loss: float) -> float:
    return asynchronous.rank(sorted(it for it, _ in asynchronous.task(name).sample), loss)


MEASURES: dict[str, Callable[[Sequence[Pair]], float]] = {
    "times faster": lambda pairs: asynchronous.geometric([it.ratio(it.seconds) for it in pairs]),
    "times cheaper": lambda pairs: asynchronous.geometric([it.ratio(it.paid) for it in pairs]),
    "reached with": lambda pairs: statistics.fmean(float(it.reached[:, 1].mean()) for it in pairs),
    "reached without": lambda pairs: statistics.fmean(float(it.reached[:, 0].mean()) for it in pairs),
    "spent": lambda pairs: asynchronous.geometric([float(np.divide(*it.spent.sum(axis=0)[::-1])) for it in pairs]),
    **{
        f"better at {share:.0%}": lambda pairs, place=place: statistics.fmean(
            float(np.heaviside(-np.diff(it.quality[:, place]), 0.5).mean()) for it in pairs
        )
        for place, share in enumerate(SHARES)
    },
    **{
        f"gain at {share:.0%}": lambda pairs, place=place: statistics.fmean(
            float(-100 * np.diff(it.quality[:, place]).mean()) for it in pairs
        )
        for place, share in enumerate(SHARES)
    },
}


def line(pairs: Sequence[Pair]) -> str:
    generator, seeds = np.random.default_rng(1), len(pairs[0].reached)
    drawn = [[it.at(generator.integers(seeds, size=seeds)) for it in pairs] for _ in range(RESAMPLES)]
    cells = []
    for measure in MEASURES.values():
        low, high = np.quantile([measure(it) for it in drawn], (0.025, 0.975))
        cells.append(f"{measure(pairs):.2f} ({low:.2f} to {high:.2f})")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three seeds, four slots, two tasks")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--with", dest="jobs_with", type=int, help="how many jobs a study has with it, if not as many")
    parser.add_argument("--slots", type=int, nargs="+", default=[4, 1])
    parser.add_argument("--tasks", nargs="+", default=list(asynchronous.TASKS), help="run only these tasks")
    options, _ = parser.parse_known_args()
    if options.quick:
        options.seeds, options.slots, options.tasks = 3, [4], ["protein", "segment"]
    jobs = options.jobs, options.jobs_with or options.jobs
    seeds = range(options.first, options.first + options.seeds)
    for slots in options.slots:
        began = time.perf_counter()
        with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            pairs = list(pool.map(pair, [(it, slots, jobs, seeds) for it in options.tasks]))
        told = f"{slots} slots, {jobs[0]} jobs without and {jobs[1]} with, {len(seeds)} seeds"
        print(f"\n{told} ({time.perf_counter() - began:.0f} s)\n")
        print(f"| | {' | '.join(MEASURES)} |\n{'|---' * (len(MEASURES) + 1)}|")
        for name, found in zip(options.tasks, pairs, strict=True):
            print(f"| {name} | {line([found])} |")
        print(f"| **all** | {line(pairs)} |", flush=True)


if __name__ == "__main__":
    main()
