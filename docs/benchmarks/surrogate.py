"""Compare `gp` with other searchers after 18 and 50 trials, on functions and on small trainings by scikit-learn.

The regret is normalised: 0 is the best loss that any searcher found, 1 the median loss of a random configuration. The
table has the mean over all tasks and seeds, with a 95 % interval (bootstrap over seeds within tasks), and the mean of
each task. Nothing is downloaded. Optuna and cmaes take part if they are installed, Optuna's GPSampler if torch is, too.
"""

import argparse
import math
import platform
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import attrs
import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
)

MARKS, SEEDS, RESAMPLES = (18, 50), 10, 1000
OURS = ("gp", "random", "pso")


def branin(x, y):
    """Dixon & Szegö 1978."""
    return (
        (y - 5.1 * x * x / (4 * math.pi**2) + 5 * x / math.pi - 6) ** 2 + 10 * (1 - 0.125 / math.pi) * math.cos(x) + 10
    )


HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann(**point):
    """Hartman 1973, in six dimensions."""
    apart = (HARTMANN_A * (np.array(list(point.values())) - HARTMANN_P) ** 2).sum(axis=1)
    return -float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-apart))


def ackley(x, y, rate, layers, kind):
    """Ackley 1987; a rate of 0.01, 11 layers and the kind "c" are best."""
    point = [x - 0.7, y + 1.1, math.log10(rate) + 2, (layers - 11) / 4, "caebd".index(kind) / 2]
    squares, cosines = (statistics.fmean(it) for it in ([z * z for z in point], [math.cos(6.283 * z) for z in point]))
    return 20 - 20 * math.exp(-0.2 * math.sqrt(squares)) + math.e - math.exp(cosines)


def trained(model, data, scoring, folds=3):
    return -float(cross_val_score(model, *data, scoring=scoring, cv=folds).mean())


@cache
def digits():
    features, labels = load_digits(return_X_y=True)
    return features[:500] / 16, labels[:500]


def machine(cost, gamma):
    """The accuracy of a support vector machine on handwritten digits."""
    return trained(SVC(C=cost, gamma=gamma), digits(), "accuracy")


@cache
def boosting(trees, depth, rate, share):
    """The error of boosted trees on the diabetes data: a table that fills up once, for all searchers."""
    model = GradientBoostingRegressor(
        n_estimators=trees, max_depth=depth, learning_rate=rate, subsample=share, random_state=0
    )
    return trained(model, load_diabetes(return_X_y=True), "neg_root_mean_squared_error", 2)


def network(rate, decay, width, activation):
    """The logarithmic loss of a small neural network on the wine data."""
    model = MLPClassifier((width,), activation, alpha=decay, learning_rate_init=rate, max_iter=40, random_state=0)
    return trained(make_pipeline(StandardScaler(), model), load_wine(return_X_y=True), "neg_log_loss")


@attrs.frozen
class Task:
    """Something to minimise."""

    name: str
    loss: Callable[..., float]
    ranges: dict[str, Any]


def ranges_of_a_machine(scaling):
    return {"cost": ContinuousParameter(1e-2, 1e3, scaling), "gamma": ContinuousParameter(1e-5, 1, scaling)}


TASKS = [
    Task("Branin", branin, {"x": ContinuousParameter(-5, 10), "y": ContinuousParameter(0, 15)}),
    Task("Hartmann 6", hartmann, {f"x{axis}": ContinuousParameter(0, 1) for axis in range(6)}),
    Task(
        "Ackley, mixed",
        ackley,
        {
            "x": ContinuousParameter(-3, 3),
            "y": ContinuousParameter(-3, 3),
            "rate": ContinuousParameter(1e-5, 1, "Logarithmic"),
            "layers": IntegerParameter(1, 24),
            "kind": CategoricalParameter(list("abcde")),
        },
    ),
    Task("machine, logarithmic", machine, ranges_of_a_machine("Logarithmic")),
    Task("machine, linear", machine, ranges_of_a_machine("Linear")),
    Task(
        "boosted trees, a table",
        boosting,
        {
            "trees": CategoricalParameter([5, 10, 20, 40, 80]),
            "depth": IntegerParameter(1, 5),
            "rate": CategoricalParameter([0.01, 0.03, 0.1, 0.3, 1.0]),
            "share": CategoricalParameter([0.5, 0.75, 1.0]),
        },
    ),
    Task(
        "network, mixed",
        network,
        {
            "rate": ContinuousParameter(1e-5, 1, "Logarithmic"),
            "decay": ContinuousParameter(1e-6, 1, "Logarithmic"),
            "width": IntegerParameter(2, 64),
            "activation": CategoricalParameter(["relu", "tanh", "logistic", "identity"]),
        },
    ),
]


def by_ours(strategy, task, seed):
    """The losses of one study, in order."""
    study = Tuner(
        Simulated(lambda hyperparameters: Simulation({"loss": task.loss(**hyperparameters)}, 1.0)),
        "loss",
        task.ranges,
        strategy=strategy,
        objective_type="Minimize",
        max_jobs=max(MARKS),
        random_seed=seed,
        journal=":memory:",
        progress=False,
    ).fit()
    return [trial.value for trial in study.trials if trial.value is not None]


def by_optuna(sampler, task, seed):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        return task.loss(**{name: suggested(trial, name, it) for name, it in task.ranges.items()})

    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
    study.optimize(objective, n_trials=max(MARKS))
    return [trial.value for trial in study.trials]


def suggested(trial, name, parameter):
    if isinstance(parameter, CategoricalParameter):
        return trial.suggest_categorical(name, parameter.values)
    suggest = trial.suggest_int if isinstance(parameter, IntegerParameter) else trial.suggest_float
    return suggest(name, parameter.min_value, parameter.max_value, log=parameter.scaling == "Logarithmic")


def by_cmaes(_, task, seed):
    from cmaes import CMA

    space, losses = SearchSpace(task.ranges), []
    bounds = np.tile([0.0, 1.0], (space.dimension, 1))
    optimizer = CMA(np.full(space.dimension, 0.5), 0.3, bounds=bounds, seed=seed + 1)
    while len(losses) < max(MARKS):
        told = []
        for _ in range(optimizer.population_size):
            point = optimizer.ask()
            told.append((point, task.loss(**space.decode(point.tolist()))))
        optimizer.tell(told)
        losses += [loss for _, loss in told]
    return losses[: max(MARKS)]


def searchers() -> Iterator[tuple[str, Callable[[Task, int], list[float]]]]:
    for name in OURS:
        yield name, lambda task, seed, name=name: by_ours(name, task, seed)
    if find_spec("cmaes"):
        yield "cmaes", lambda task, seed: by_cmaes(None, task, seed)
    if find_spec("optuna"):
        names = ["TPESampler", *(["GPSampler"] if find_spec("torch") else [])]
        for name in names:
            yield f"Optuna's {name}", lambda task, seed, name=name: by_optuna(name, task, seed)


def usual_loss(task):
    generator, space = random.Random(1), SearchSpace(task.ranges)  # noqa: S311 - no secret
    return statistics.median(task.loss(**space.sample(generator)) for _ in range(60))


def interval(tasks: list[list[float]]) -> tuple[float, float]:
    generator = random.Random(1)  # noqa: S311 - no secret
    means = sorted(
        statistics.fmean(statistics.fmean(generator.choices(regrets, k=len(regrets))) for regrets in tasks)
        for _ in range(RESAMPLES)
    )
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three seeds")
    parser.add_argument("--seeds", type=int, help="so many seeds")
    parser.add_argument("--only", nargs="*", help="only these searchers")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = options.seeds or (3 if options.quick else SEEDS)
    print(f"Python {platform.python_version()}; one slot, {seeds} seeds\n")
    found: dict[str, list[list[list[float]]]] = {}
    for name, search in searchers():
        if options.only and name not in options.only:
            continue
        started = time.process_time()
        found[name] = [[search(task, seed) for seed in range(seeds)] for task in TASKS]
        print(f"{name}: {time.process_time() - started:.0f} s of processor time", file=sys.stderr)
    usual = [usual_loss(task) for task in TASKS]
    best = [min(min(run) for runs in found.values() for run in runs[place]) for place in range(len(TASKS))]
    print("| searcher | trials | regret (95 %) | " + " | ".join(task.name for task in TASKS) + " |")
    print("|---|---|---|" + "---|" * len(TASKS))
    for mark in MARKS:
        for name, runs in found.items():
            regrets = [
                [min(1.0, (min(run[:mark]) - best[place]) / (usual[place] - best[place])) for run in runs[place]]
                for place in range(len(TASKS))
            ]
            low, high = interval(regrets)
            means = [statistics.fmean(it) for it in regrets]
            row = [name, str(mark), f"{statistics.fmean(means):.3f} ({low:.3f} - {high:.3f})"]
            print("| " + " | ".join([*row, *(f"{it:.3f}" for it in means)]) + " |")


if __name__ == "__main__":
    main()
