"""Measure what byohpo costs per trial: in memory, on disk, over 10,000 trials, after a crash, around an optimiser.

byohpo and its peers are measured in turns, in one run, so that a noisy machine affects both. Tables show medians and,
in brackets, the range. The script reports and never fails: the last column says whether a target was met.
"""

import argparse
import gc
import logging
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from itertools import count, pairwise
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Objective,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    Trial,
    TrialStatus,
    Tuner,
)

LONG = 10_000
STEP = 1_000
FLAT = 1.2
NUMBERS = count()


@attrs.frozen
class Sample:
    """Repeated measurements of one quantity."""

    values: tuple[float, ...] = attrs.field(converter=tuple)
    unit: str = "ms"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        middle = f"{_figures(self.median)} {self.unit}"
        spread = f" ({_figures(min(self.values))} - {_figures(max(self.values))})"
        return middle + spread if len(self.values) > 1 else middle


@attrs.frozen
class Row:
    """A line of a table; without a bar (a target) it is only for information."""

    name: str
    measured: object
    against: object = ""
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None

    @classmethod
    def compared(cls, name: str, ours: Sample, peer: Sample, called: str, bar: float | None = None) -> "Row":
        """Compare ours with a peer that was measured in the same run."""
        ratio = ours.median / peer.median
        against = f"{called}: {peer}"
        if bar is None:
            return cls(name, ours, against, ratio)
        return cls(name, ours, against, ratio, f"<= {bar:g} x", ratio <= bar)

    @classmethod
    def limited(cls, name: str, ours: Sample, limit: float) -> "Row":
        """Compare ours with a fixed limit."""
        ratio = ours.median / limit
        return cls(name, ours, f"limit: {limit:g} {ours.unit}", ratio, f"<= {limit:g} {ours.unit}", ratio <= 1)

    @property
    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x"
        met = "-" if self.met is None else "yes" if self.met else "NO"
        return [self.name, str(self.measured), str(self.against), ratio, self.bar, met]


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three figures


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the table of a topic."""
    lines = [["name", "measured", "peer or limit", "ratio", "bar", "met?"], *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    print(f"\n{title}")
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    sys.stdout.flush()


def in_turns(rounds: int, unit: str = "ms", **measures: Callable[[], float]) -> dict[str, Sample]:
    """Call every measure once a round, in alternating order, after one warm-up call of each."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(-1, rounds):
        for name in list(measures) if number % 2 else reversed(measures):
            gc.collect()
            value = measures[name]()
            if number >= 0:
                found[name].append(value)
    return {name: Sample(values, unit) for name, values in found.items()}


def per_trial(trials: int, work: Callable[[], object]) -> float:
    """Milliseconds per trial."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / trials * 1e3


# The problem: 11 parameters of all kinds, and a result that takes almost no time.


def ranges() -> dict[str, Any]:
    return {
        "learning_rate": ContinuousParameter(1e-5, 1.0, "Logarithmic"),
        "weight_decay": ContinuousParameter(1e-6, 0.1, "Logarithmic"),
        "epsilon": ContinuousParameter(1e-9, 1e-3, "Logarithmic"),
        "momentum": ContinuousParameter(0.5, 0.999, "Linear"),
        "dropout": ContinuousParameter(0.0, 0.5, "Linear"),
        "label_smoothing": ContinuousParameter(0.0, 0.2, "Linear"),
        "layers": IntegerParameter(1, 12, "Linear"),
        "batch_size": IntegerParameter(8, 512, "Linear"),
        "units": IntegerParameter(16, 2048, "Logarithmic"),
        "warmup_steps": IntegerParameter(1, 10_000, "Logarithmic"),
        "optimizer": CategoricalParameter(["sgd", "adam", "rmsprop", "lamb"]),
    }


def loss(hyperparameters: Mapping[str, Any]) -> float:
    return (hyperparameters["dropout"] - 0.1) ** 2 + (hyperparameters["momentum"] - 0.9) ** 2


def job(hyperparameters: Mapping[str, Any]) -> Simulation:
    return Simulation({"loss": loss(hyperparameters)}, 1.0)


def tuner(
    journal: str | Path, trials: int, strategy: str = "random", function: Callable[..., Simulation] = job
) -> Tuner:
    return Tuner(
        Simulated(function),
        "loss",
        ranges(),
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=trials,
        random_seed=1,
        journal=journal,
        progress=False,
    )


def ours(journal: str | Path, trials: int, strategy: str = "random") -> float:
    return per_trial(trials, lambda: tuner(journal, trials, strategy).fit(job_name="bench"))


# The peers.


def optuna_trial(trial: Any) -> float:
    """The same problem, as a user of Optuna writes it."""
    return loss(
        {
            "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1.0, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-6, 0.1, log=True),
            "epsilon": trial.suggest_float("epsilon", 1e-9, 1e-3, log=True),
            "momentum": trial.suggest_float("momentum", 0.5, 0.999),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
            "layers": trial.suggest_int("layers", 1, 12),
            "batch_size": trial.suggest_int("batch_size", 8, 512),
            "units": trial.suggest_int("units", 16, 2048, log=True),
            "warmup_steps": trial.suggest_int("warmup_steps", 1, 10_000, log=True),
            "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam", "rmsprop", "lamb"]),
        }
    )


def optuna_study(storage: Any = None) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))


def optuna_optimize(trials: int, storage: Callable[[], Any] = lambda: None) -> float:
    return per_trial(trials, lambda: optuna_study(storage()).optimize(optuna_trial, n_trials=trials))


def optuna_ask_and_tell(trials: int) -> float:
    def work() -> None:
        study = optuna_study()
        for _ in range(trials):
            trial = study.ask()
            study.tell(trial, optuna_trial(trial))

    return per_trial(trials, work)


def optuna_journal(path: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def nevergrad(name: str, trials: int) -> float:
    import nevergrad as ng

    space = ng.p.Dict(
        learning_rate=ng.p.Log(lower=1e-5, upper=1.0),
        weight_decay=ng.p.Log(lower=1e-6, upper=0.1),
        epsilon=ng.p.Log(lower=1e-9, upper=1e-3),
        momentum=ng.p.Scalar(lower=0.5, upper=0.999),
        dropout=ng.p.Scalar(lower=0.0, upper=0.5),
        label_smoothing=ng.p.Scalar(lower=0.0, upper=0.2),
        layers=ng.p.Scalar(lower=1, upper=12).set_integer_casting(),
        batch_size=ng.p.Scalar(lower=8, upper=512).set_integer_casting(),
        units=ng.p.Log(lower=16, upper=2048).set_integer_casting(),
        warmup_steps=ng.p.Log(lower=1, upper=10_000).set_integer_casting(),
        optimizer=ng.p.Choice(["sgd", "adam", "rmsprop", "lamb"]),
    )

    def work() -> None:
        optimizer = ng.optimizers.registry[name](parametrization=space, budget=trials)
        for _ in range(trials):
            candidate = optimizer.ask()
            optimizer.tell(candidate, loss(candidate.value))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return per_trial(trials, work)


def nevergrad_row(name: str, title: str, rounds: int, trials: int) -> Row:
    try:
        nevergrad(name, 20)
        return Row(title, Sample([nevergrad(name, trials) for _ in range(rounds)]))
    except Exception as error:  # noqa: BLE001 - any failure of a peer is reported
        return Row(title, f"crashes here: {type(error).__name__}: {str(error).splitlines()[0][:70]}")


def two_commits(path: Path, trials: int, size: int) -> float:
    """Two transactions a trial that share *size* characters: the least that two commits can cost."""

    def work() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body TEXT)")
        body = "x" * (size // 2)
        for _ in range(2 * trials):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows (body) VALUES (?)", (body,))
            connection.execute("COMMIT")
        connection.close()

    return per_trial(trials, work)


# The topics.


@attrs.frozen
class Bench:
    """The folder of the journals, and whether to measure fewer rounds."""

    folder: Path
    quick: bool
    _number: Iterator[int] = attrs.field(factory=count, init=False)

    def fresh(self, suffix: str = ".db") -> Path:
        """A path that does not exist yet."""
        return self.folder / f"{next(self._number)}{suffix}"

    def rounds(self, thorough: int, quick: int) -> int:
        return quick if self.quick else thorough


def in_memory(bench: Bench) -> Iterator[Row]:
    trials, rounds = 1000, bench.rounds(11, 3)
    found = in_turns(
        rounds,
        ours=lambda: ours(":memory:", trials),
        pso=lambda: ours(":memory:", trials, "pso"),
        optimize=lambda: optuna_optimize(trials),
        ask_and_tell=lambda: optuna_ask_and_tell(trials),
    )
    fastest = min("optimize", "ask_and_tell", key=lambda name: found[name].median)
    called = {"optimize": "Optuna, optimize", "ask_and_tell": "Optuna, ask and tell"}
    yield Row.compared("byohpo, random", found["ours"], found[fastest], called[fastest], 0.25)
    yield Row.compared("byohpo, pso", found["pso"], found[fastest], called[fastest])
    (slower,) = set(called) - {fastest}
    yield Row(called[slower], found[slower])
    yield nevergrad_row("RandomSearch", "Nevergrad, RandomSearch", bench.rounds(5, 2), 500)
    yield nevergrad_row("OnePlusOne", "Nevergrad, OnePlusOne", bench.rounds(5, 2), 500)
    yield nevergrad_row("NGOpt", "Nevergrad, NGOpt (its default)", bench.rounds(3, 1), 200)


def durable(bench: Bench) -> Iterator[Row]:
    trials = 300
    written = bench.fresh()
    ours(written, trials)
    with sqlite3.connect(written) as connection:
        ((size, rows),) = connection.execute("SELECT sum(length(body) + length(study) + 24), count(*) FROM events")
    found = in_turns(
        bench.rounds(11, 3),
        ours=lambda: ours(bench.fresh(), trials),
        commits=lambda: two_commits(bench.fresh(), trials, size // trials),
    )
    title = f"byohpo, random ({rows / trials:.0f} events, {size / trials:.0f} characters a trial)"
    yield Row.compared(title, found["ours"], found["commits"], "two bare commits", 2.0)
    peers = in_turns(
        bench.rounds(3, 1),
        journal=lambda: optuna_optimize(50, lambda: optuna_journal(bench.fresh(".log"))),
        sqlite=lambda: optuna_optimize(30, lambda: f"sqlite:///{bench.fresh()}"),
    )
    yield Row("Optuna, journal file", peers["journal"])
    yield Row("Optuna, SQLite", peers["sqlite"])


@attrs.frozen
class Course:
    """Measurements of a long study that was interrupted at the start of trial 10,001."""

    seconds: tuple[float, ...]
    """Seconds for each thousand trials."""
    resident: float
    traced: float
    """Bytes per trial held from the 1,000th to the last: `resident` by the process, `traced` in Python objects."""

    @property
    def growth(self) -> float:
        return self.seconds[-1] / self.seconds[0]


def run_long(journal: str, strategy: str, traced: bool) -> Course:
    """Run a long study; call it in a fresh process."""
    marks: list[tuple[float, int, int]] = []
    calls = count()

    def counted(hyperparameters: Mapping[str, Any]) -> Simulation:
        number = next(calls)
        if number % STEP == 0:
            if traced:
                gc.collect()
            marks.append((time.perf_counter(), _resident(), tracemalloc.get_traced_memory()[0]))
            if number == LONG:
                raise KeyboardInterrupt
        return job(hyperparameters)

    logging.getLogger("byohpo").setLevel(logging.ERROR)  # the warning about the job that it leaves is expected
    if traced:
        tracemalloc.start()
    with suppress(KeyboardInterrupt):
        tuner(journal, LONG + 1, strategy, counted).fit(job_name="bench")
    (_, resident, python), (_, resident_last, python_last) = marks[1], marks[-1]
    seconds = [later[0] - earlier[0] for earlier, later in pairwise(marks)]
    return Course(tuple(seconds), (resident_last - resident) / (LONG - STEP), (python_last - python) / (LONG - STEP))


def _resident() -> int:
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        return processes.submit(function, *arguments).result()


def over_time(bench: Bench) -> Iterator[Row]:
    rounds = bench.rounds(5, 1)
    courses: dict[str, list[Course]] = {"in memory": [], "durable": []}
    for _ in range(rounds):
        courses["in memory"].append(alone(run_long, ":memory:", "random", False))
        courses["durable"].append(alone(run_long, str(bench.fresh()), "random", False))
    for name, found in courses.items():
        # Both values are from one run, so take the median of the ratios, not the ratio of the medians.
        first, last = (Sample([course.seconds[which] for course in found], "ms") for which in (0, -1))
        ratio = Sample([course.growth for course in found], "x")
        yield Row(
            f"last thousand, {name}",
            last,
            f"first thousand: {first}",
            ratio.median,
            f"<= {FLAT:g} x",
            ratio.median <= FLAT,
        )
        yield Row(f"  ratio of each run, {name}", ratio)
    traced = alone(run_long, str(bench.fresh()), "random", True)
    yield Row.limited("held per trial, durable", Sample([traced.traced], "bytes"), 2048)
    yield Row("  growth of the process, per trial", Sample([course.resident for course in courses["durable"]], "bytes"))


def resume_long(journal: str) -> float:
    """Resume a long study, as after a crash; call it in a fresh process."""
    started = time.perf_counter()
    study = Tuner.attach("bench", journal=journal, estimator=Simulated(job), progress=False).resume()
    seconds = time.perf_counter() - started
    if study.jobs != LONG + 1 or study.stop_reason is None:
        raise RuntimeError(f"that was not a resume of {LONG} trials: {study!r}")
    return seconds


def resuming(bench: Bench) -> Iterator[Row]:
    for strategy in ("random", "pso"):
        journal = bench.fresh()
        alone(run_long, str(journal), strategy, False)
        seconds = []
        for _ in range(bench.rounds(5, 1)):
            copied = bench.fresh()
            with sqlite3.connect(journal) as source, sqlite3.connect(copied) as target:
                source.backup(target)
            seconds.append(alone(resume_long, str(copied)))
        yield Row.limited(f"attach and resume {LONG:,} trials, {strategy}", Sample(seconds, "s"), 5)


def blocking(bench: Bench) -> Iterator[Row]:
    """A swarm of 20 particles, behind `propose` and `observe` and in the library's own loop."""
    generations, population = 100, 20
    through: list[float] = []
    direct: list[float] = []
    found = in_turns(
        bench.rounds(15, 3),
        "us",
        five=lambda: swarm_through_blocking(generations, population, 5, through),
        one=lambda: swarm_through_blocking(generations, population, 1, through),
        peer=lambda: swarm_directly(generations, population, direct),
    )
    name = "inspyred's PSO as a plugin, per proposal"
    yield Row.compared(f"{name}, 5 slots", found["five"], found["peer"], "its own loop", 1.3)
    yield Row.compared(f"{name}, 1 slot", found["one"], found["peer"], "its own loop", 1.3)
    yield Row("  both made the same proposals", "yes" if through == direct else "NO")


def problem(jobs: int) -> Problem:
    return Problem(SearchSpace.of(ranges(), {}), (Objective("loss", "Minimize"),), 1, jobs, 1)


def swarm_through_blocking(generations: int, population: int, slots: int, losses: list[float]) -> float:
    """Microseconds per proposal, with as many proposals at a time as there are slots."""
    from byohpo_plugin_pso import ParticleSwarm

    number_of_trials = generations * population
    plugin: Any = ParticleSwarm(problem(number_of_trials), population=population)
    losses.clear()
    study: Any = SimpleNamespace(trials=[])
    spent = 0.0
    for number in range(0, number_of_trials, slots):
        started = time.perf_counter()
        proposals = plugin.propose(study, slots)
        values = [loss(proposal.hyperparameters) for proposal in proposals]
        proposed = time.perf_counter()
        # Making trials is not counted here: the tables above include its cost.
        trials = [
            Trial(
                place, proposal, "pso", proposal.hyperparameters, TrialStatus.Completed, None, None, (value,), (value,)
            )
            for place, (proposal, value) in enumerate(zip(proposals, values, strict=True), number)
        ]
        study.trials += trials
        built = time.perf_counter()
        plugin.observe(study, trials)
        spent += time.perf_counter() - built + proposed - started
        losses.extend(values)
    plugin.close()
    return spent / number_of_trials * 1e6


def swarm_directly(generations: int, population: int, losses: list[float]) -> float:
    """Microseconds per proposal of inspyred alone, on the same space."""
    from inspyred import ec, swarm

    space = problem(generations * population).space
    losses.clear()

    def generate(random: random.Random, args: Mapping[str, Any]) -> list[float]:  # noqa: ARG001 - inspyred's signature
        return [random.random() for _ in range(space.dimension)]

    def evaluate(candidates: Sequence[Sequence[float]], args: Mapping[str, Any]) -> list[float]:  # noqa: ARG001
        values = [loss(space.decode(candidate)) for candidate in candidates]
        losses.extend(values)
        return values

    engine = swarm.PSO(random.Random(1))  # noqa: S311 - a search, not a secret
    engine.terminator = ec.terminators.generation_termination
    started = time.perf_counter()
    engine.evolve(
        generator=generate,
        evaluator=evaluate,
        pop_size=population,
        maximize=False,
        bounder=ec.Bounder(0, 1),
        max_generations=generations - 1,
        inertia=0.5,
        cognitive_rate=2.1,
        social_rate=1.6,
    )
    return (time.perf_counter() - started) / (generations * population) * 1e6


def slots(bench: Bench) -> Iterator[Row]:
    """Measure whether all slots are used, with evaluations that sleep."""
    evaluations, seconds, parallel = 60, 0.1, 6

    def waiting(hyperparameters: Mapping[str, Any]) -> float:
        time.sleep(seconds)
        return loss(hyperparameters)

    def measure() -> float:
        tuner = Tuner(
            waiting,
            "loss",
            ranges(),
            strategy="random",
            max_jobs=evaluations,
            max_parallel_jobs=parallel,
            journal=str(bench.folder / f"slots-{next(NUMBERS)}.db"),
            progress=False,
        )
        started = time.perf_counter()
        tuner.fit()
        return time.perf_counter() - started

    found = in_turns(bench.rounds(3, 1), "s", ours=measure)
    least = evaluations * seconds / parallel
    yield Row.limited(
        f"{evaluations} evaluations of {seconds} s on {parallel} slots (at least {least:g} s)", found["ours"], 1.5
    )


TOPICS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "In memory: time per trial": in_memory,
    "On disk: time per trial": durable,
    "A blocking optimiser: time per proposal": blocking,
    f"Over {LONG:,} trials": over_time,
    f"After a crash with {LONG:,} trials": resuming,
    "Slots": slots,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: takes a minute or two, and is noisier")
    parser.add_argument("--folder", type=Path, default=Path(), help="a folder on the disk to measure (default: here)")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("byohpo-core", "optuna", "nevergrad", "numpy"))
    print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores; {versions}")
    print(f"{len(ranges())} parameters, one slot; medians (and ranges) of rounds taken in turns")
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=options.folder) as folder:
        report(TOPICS, Bench(Path(folder), options.quick))


def report(topics: Mapping[str, Callable[[Bench], Iterator[Row]]], bench: Bench) -> None:
    """Print the table of every topic; if one cannot be measured, its table says so and the others follow."""
    for title, topic in topics.items():
        rows: list[Row] = []
        try:
            for row in topic(bench):
                rows.append(row)  # noqa: PERF402 - show the rows before an error
        except Exception as error:  # noqa: BLE001
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".splitlines()[-1][-100:]
            rows.append(Row("could not be measured", reason, met=False))
        show(title, rows)


if __name__ == "__main__":
    main()
