"""Compare the search of each algorithm, and of Optuna's and cmaes's, at several budgets on the tasks of `tasks.py`.

Each cell is a study of its own with that many jobs, one slot and the algorithm's defaults. Its regret is 0 for the best
loss that a long search finds, and 1 for the median of random configurations and all that is worse. The table has the
mean over all tasks and seeds, the mean less that of random search on the same tasks, both with 95 % intervals
(bootstrap over seeds within tasks), and the mean of each group of tasks.

`--keep FILE` keeps what is finished, and goes on from there. `--write` keeps the table in `search-quality.md`. Optuna's
GPSampler takes part if torch is installed.
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import attrs
import numpy as np
from tasks import Task, development_tasks

from byohpo_core import CategoricalParameter, IntegerParameter, SearchSpace, Simulated, Simulation, Tuner

MARKS, SEEDS, RESAMPLES = (18, 50), 10, 2000
OURS = ("gp", "cmaes", "aco", "pso", "de", "es", "ga", "eda", "sa", "paes", "scipy-de", "sobol", "random")
PAGE = Path(__file__).with_name("search-quality.md")


@attrs.frozen
class Cell:
    """What is run as one: a searcher with a budget, on one task, with one seed."""

    searcher: str
    jobs: int
    task: int
    seed: int

    def regret(self) -> float:
        task = development_tasks()[self.task]
        kind, _, name = self.searcher.rpartition(" ")
        search = {"": by_ours, "Optuna": by_optuna, "cmaes": by_cmaes}[kind]
        return task.regret(search(name, task, self.seed, self.jobs))


def by_ours(strategy: str, task: Task, seed: int, jobs: int) -> float:
    """The best loss of a study."""
    study = Tuner(
        Simulated(lambda hyperparameters: Simulation({"loss": task.loss(**hyperparameters)}, 1.0)),
        "loss",
        task.ranges,
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=jobs,
        random_seed=seed,
        journal=":memory:",
        progress=False,
    ).fit()
    return study.best.value


def by_optuna(sampler, task, seed, jobs):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        return task.loss(**{name: suggested(trial, name, it) for name, it in task.ranges.items()})

    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
    study.optimize(objective, n_trials=jobs)
    return study.best_value


def suggested(trial, name, parameter):
    if isinstance(parameter, CategoricalParameter):
        return trial.suggest_categorical(name, parameter.values)
    suggest = trial.suggest_int if isinstance(parameter, IntegerParameter) else trial.suggest_float
    return suggest(name, parameter.min_value, parameter.max_value, log=parameter.scaling == "Logarithmic")


def by_cmaes(_, task, seed, jobs):
    from cmaes import CMA

    space, losses = SearchSpace(task.ranges), []
    bounds = np.tile([0.0, 1.0], (space.dimension, 1))
    optimizer = CMA(np.full(space.dimension, 0.5), 0.3, bounds=bounds, seed=seed + 1)
    while len(losses) < jobs:
        told = []
        for _ in range(optimizer.population_size):
            point = optimizer.ask()
            told.append((point, task.loss(**space.decode(point.tolist()))))
        optimizer.tell(told)
        losses += [loss for _, loss in told]
    return min(losses[:jobs])


def searchers() -> Iterator[str]:
    yield from OURS
    if find_spec("cmaes"):
        yield "cmaes CMA"
    if find_spec("optuna"):
        yield "Optuna TPESampler"
        if find_spec("torch"):
            yield "Optuna GPSampler"


class Kept:
    """Regrets by cell; with a file they are appended to it, one JSON line each."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file and file.exists() else []
        self.regrets = {Cell(*cell): regret for cell, regret in map(json.loads, lines)}

    def add(self, cell: Cell, regret: float) -> None:
        self.regrets[cell] = regret
        if self._file:
            with self._file.open("a") as file:
                file.write(json.dumps([attrs.astuple(cell), regret]) + "\n")

    def of(self, searcher: str, jobs: int) -> list[list[float]]:
        """The regrets of a searcher, task by task."""
        found: dict[int, list[float]] = {}
        for cell, regret in self.regrets.items():
            if (cell.searcher, cell.jobs) == (searcher, jobs):
                found.setdefault(cell.task, []).append(regret)
        return [found[task] for task in sorted(found)]


def mean(tasks: list[list[float]]) -> float:
    return statistics.fmean(map(statistics.fmean, tasks))


def interval(tasks: list[list[float]], less: list[list[float]] | None = None) -> str:
    """The 95 % bootstrap interval of a mean or, with *less*, of the difference of two, seeds drawn within tasks."""
    generator = np.random.default_rng(1)

    def resampled(tasks: list[list[float]]) -> np.ndarray:
        drawn = [generator.choice(regrets, (RESAMPLES, len(regrets))).mean(axis=1) for regrets in tasks]
        return np.mean(drawn, axis=0)

    means = np.sort(resampled(tasks) - (0 if less is None else resampled(less)))
    return f"{means[int(0.025 * RESAMPLES)]:.3f} to {means[int(0.975 * RESAMPLES)]:.3f}"


def table(kept: Kept, jobs: int, names: Sequence[str]) -> Iterator[str]:
    groups = [task.group for task in development_tasks()]
    shown = sorted(set(groups))
    yield "| searcher | regret (95 %) | less that of random (95 %) | " + " | ".join(shown) + " |"
    yield "|---|---|---|" + "---|" * len(shown)
    usual = kept.of("random", jobs)
    for name in sorted((name for name in names if kept.of(name, jobs)), key=lambda name: mean(kept.of(name, jobs))):
        found = kept.of(name, jobs)
        row = [name.replace(" ", "'s ", 1), f"{mean(found):.3f} ({interval(found)})"]
        row.append(f"{mean(found) - mean(usual):.3f} ({interval(found, usual)})" if usual and name != "random" else "")
        parts = ([it for it, its in zip(found, groups, strict=True) if its == group] for group in shown)
        yield "| " + " | ".join([*row, *(f"{mean(part):.3f}" for part in parts)]) + " |"


def run(cells: Sequence[Cell], kept: Kept, work: Callable[..., Iterator[float]]) -> None:
    for cell, regret in zip(cells, work(Cell.regret, cells), strict=True):
        kept.add(cell, regret)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed, 18 jobs")
    parser.add_argument("--seeds", type=int, help="so many seeds")
    parser.add_argument("--jobs", type=int, nargs="*", help="these budgets")
    parser.add_argument("--only", nargs="*", help="only these searchers")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many run at once")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep what is finished, and go on from there")
    parser.add_argument("--write", action="store_true", help="keep the table in search-quality.md")
    options = parser.parse_args()
    marks = options.jobs or ((18,) if options.quick else MARKS)
    seeds = options.seeds or (1 if options.quick else SEEDS)
    names = options.only or [*searchers()]
    for task in development_tasks():
        task.reference  # noqa: B018 - once, for all processes
    kept, places = Kept(options.keep), range(len(development_tasks()))
    cells = [Cell(it, jobs, task, seed) for jobs in marks for it in names for task in places for seed in range(seeds)]
    cells = [cell for cell in cells if cell not in kept.regrets]
    if options.processes > 1:
        with ProcessPoolExecutor(options.processes) as pool:
            run(cells, kept, lambda *work: pool.map(*work, chunksize=seeds))
    else:
        run(cells, kept, map)
    lines = [f"Python {platform.python_version()}, byohpo {version('byohpo-core')}; one slot, {seeds} seeds."]
    for jobs in marks:
        lines += ["", f"## {jobs} jobs", "", *table(kept, jobs, names)]
    print("\n".join(lines))
    if options.write:
        heading = "# How well each algorithm searches\n\n" + __doc__.partition("\n\n")[2].partition("\n\n`--keep")[0]
        PAGE.write_text(f"{heading}\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
