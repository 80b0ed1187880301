"""Measure the time per proposal of each algorithm, compared with its library's own loop.

The library's own loop is the same call of the library with the same settings, and gets each evaluation at once. Both
decode each point into 11 parameters and evaluate the same function. An algorithm with an asynchronous mode is compared
in generational mode, which is the library's own. Then its asynchronous mode is compared with its generational mode, on
more slots.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bookkeeping import Bench, Row, in_turns, loss, ranges, report

from byohpo_core import Blocking, BlockingAlgorithm, Objective, Problem, SearchSpace, Trial, TrialStatus
from byohpo_core.plugins.options import option_parameters

FEW, MANY, TRIALS_A_SLOT, BAR = 5, 10, 30, 1.3


class EnoughError(BaseException):
    """The library has made enough evaluations to compare."""


def algorithms() -> Iterator[tuple[str, type[BlockingAlgorithm]]]:
    """The installed algorithms that wrap a library's loop."""
    for entry in sorted(entry_points(group="byohpo.algorithms"), key=lambda entry: entry.name):
        plugin = entry.load()
        if isinstance(plugin, type) and issubclass(plugin, BlockingAlgorithm):
            yield entry.name, plugin


def built(plugin: type[BlockingAlgorithm], mode: str | None, slots: int) -> Any:
    """Build the algorithm on the problem of the other tables, with two objectives if it needs them."""
    options = {} if mode is None else {"mode": mode}
    for objectives in (1, 2):
        named = tuple(Objective(f"loss{number}", "Minimize") for number in range(objectives))
        problem = Problem(SearchSpace(ranges()), named, 1, TRIALS_A_SLOT * slots, slots)
        with suppress(ValueError):
            return plugin(problem, **options)
    raise SystemExit(f"{plugin} takes neither one objective nor two")


def losses(algorithm: Any, hyperparameters: Any) -> tuple[float, ...]:
    """Losses to which every parameter contributes; otherwise archives fill with configurations that tie."""
    rates = hyperparameters["learning_rate"] + hyperparameters["weight_decay"] + hyperparameters["epsilon"]
    sizes = hyperparameters["layers"] + hyperparameters["batch_size"] + hyperparameters["units"]
    others = (
        hyperparameters["label_smoothing"]
        + hyperparameters["warmup_steps"] / 1e4
        + (hyperparameters["optimizer"] == "sgd")
    )
    first = loss(hyperparameters) + (rates + sizes / 1e3 + others) / 10
    return (first,) if len(algorithm.problem.objectives) == 1 else (first, hyperparameters["layers"])


def through(plugin: type[BlockingAlgorithm], mode: str | None, slots: int, proposals: list[Any]) -> float:
    """Microseconds per proposal, with as many at a time as there are slots; making trials is not counted."""
    algorithm = built(plugin, mode, slots)
    proposals.clear()
    spent, made = 0.0, 0
    study: Any = SimpleNamespace(trials=[])
    while made < TRIALS_A_SLOT * slots:
        started = time.perf_counter()
        batch = algorithm.propose(study, slots)
        found = [losses(algorithm, proposal.hyperparameters) for proposal in batch]
        proposed = time.perf_counter()
        trials = [
            Trial(made + place, it, "bench", it.hyperparameters, TrialStatus.Completed, 0, None, values, values)
            for place, (it, values) in enumerate(zip(batch, found, strict=True))
        ]
        study.trials += trials
        built_at = time.perf_counter()
        algorithm.observe(study, trials)
        spent += time.perf_counter() - built_at + proposed - started
        made += len(batch)
        proposals.extend(dict(it.hyperparameters) for it in batch)
    algorithm.close()
    return spent / made * 1e6


def directly(plugin: type[BlockingAlgorithm], mode: str | None, slots: int, proposals: list[Any]) -> float:
    """Microseconds per evaluation in the library's own loop (of the first chain, if there are several)."""
    algorithm = built(plugin, mode, slots)
    proposals.clear()
    search = algorithm.search()
    chain: Any = search if isinstance(search, Blocking) else search._chains[0]  # noqa: SLF001 - its optimiser is ours

    def evaluate(points: list[Any]) -> list[Any]:
        if len(proposals) >= TRIALS_A_SLOT * slots:
            raise EnoughError
        decoded = [chain._decode(point) for point in points]  # noqa: SLF001
        proposals.extend(decoded)
        found = [losses(algorithm, it) for it in decoded]
        return [it[0] for it in found] if len(algorithm.problem.objectives) == 1 else found

    started = time.perf_counter()
    with suppress(EnoughError):
        chain._optimise(evaluate)  # noqa: SLF001
    return (time.perf_counter() - started) / len(proposals) * 1e6


def overhead(bench: Bench) -> Iterator[Row]:
    """One row for each algorithm."""
    for name, plugin in algorithms():
        ours: list[Any] = []
        theirs: list[Any] = []
        mode = "generational" if "mode" in option_parameters(plugin) else None
        rounds = bench.rounds(5 if name == "scipy-shgo" else 25, 2)  # it takes ten seconds a round
        found = in_turns(
            rounds,
            "us",
            ours=lambda plugin=plugin, mode=mode, ours=ours: through(plugin, mode, FEW, ours),
            peer=lambda plugin=plugin, mode=mode, theirs=theirs: directly(plugin, mode, FEW, theirs),
        )
        yield Row.compared(name, found["ours"], found["peer"], "its own loop", BAR)
        if name != "sa" and any(it != other for it, other in zip(ours, theirs, strict=False)):
            yield Row("  the proposals differ", "NO", met=False)
        if mode:
            found = in_turns(
                rounds,
                "us",
                ours=lambda plugin=plugin: through(plugin, "asynchronous", MANY, []),
                peer=lambda plugin=plugin: through(plugin, "generational", MANY, []),
                alone=lambda plugin=plugin: directly(plugin, "asynchronous", MANY, []),
            )
            yield Row.compared(f"  {name}, asynchronous", found["ours"], found["peer"], "generational", BAR)
            yield Row.compared("    the library's share", found["alone"], found["peer"], "generational")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}; {len(ranges())} parameters; {FEW} slots, asynchronous {MANY}; "
        f"{TRIALS_A_SLOT} trials a slot"
    )
    with tempfile.TemporaryDirectory() as folder:
        report({"Time per proposal": overhead}, Bench(Path(folder), options.quick))


if __name__ == "__main__":
    sys.exit(main())
