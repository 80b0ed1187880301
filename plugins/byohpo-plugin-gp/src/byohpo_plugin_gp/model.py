"""A Gaussian process with a Matérn 5/2 kernel, and its hyperparameters at their maximum a posteriori.

Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning": the kernel is eq. 4.17, prediction algorithm 2.1,
the gradient of the likelihood eq. 5.9. The hyperparameters are the logarithms of one length scale for each parameter,
of the noise's variance and of the output's scale.
"""

import math

import attrs
import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from byohpo_plugin_gp.coordinates import Array, Rows

_JITTER = 1e-8
_LENGTHS = (math.log(1.5), 1.0, math.log(0.02), math.log(50.0))
"""Mean, deviation, lower and upper bound of the logarithm of a length scale."""
_NOISE = (-6.0, 2.0, -14.0, 0.0)
"""The same of the noise's variance. A deterministic objective has a variance of 1e-6."""
_OUTPUT = (0.0, 0.5, -4.0, 4.0)
"""The same of the output's scale."""
_ROUGH = (math.log(2.0), -3.0, 0.0)
"""A second start: long and noisy."""
_ITERATIONS = 40
_WORST = 1e10
_PART = 128
"""Of so many points at a time, all numbers fit into a processor's cache."""


def matern(squared: Array) -> Array:
    """The correlation at each squared distance."""
    root = np.maximum(squared, 0)
    root *= 5
    np.sqrt(root, out=root)
    decay: Array = np.exp(-root)
    decay *= 1 + root * (1 + root / 3)
    return decay


def matern_slope(squared: Array) -> Array:
    """The derivative of the correlation by the squared distance."""
    root = np.sqrt(5 * np.maximum(squared, 0))
    slope: Array = -5 / 6 * (1 + root) * np.exp(-root)
    return slope


def _squared_distances(rows: Array, others: Array) -> Array:
    squares = np.einsum("ij,ij->i", rows, rows)[:, None] + np.einsum("ij,ij->i", others, others)
    squared: Array = squares - 2 * rows @ others.T
    return squared


@attrs.frozen(eq=False)
class Data:
    """What a model learns from."""

    points: Array
    features: Array
    owners: Rows
    """The parameter of each feature: features of one parameter share a length scale."""
    targets: Array
    doubts: Array
    """A variance for each row, which is added to the noise's."""
    violations: Array = attrs.field(default=attrs.Factory(lambda self: np.zeros(len(self.targets)), takes_self=True))
    """How far each row is beyond the outcome constraints."""


def fit(data: Data, near: Array | None = None) -> Array:
    """The hyperparameters at their maximum a posteriori: the one *near* others, or else the better one of two."""
    dimension = int(data.owners[-1]) + 1
    means, deviations, lows, highs = np.array([_LENGTHS] * dimension + [_NOISE, _OUTPUT]).T
    starts = [means, np.array([_ROUGH[0]] * dimension + list(_ROUGH[1:]))] if near is None else [near]
    found = [
        minimize(
            _negative_log_posterior,
            start,
            (data, means, deviations),
            method="L-BFGS-B",
            jac=True,
            bounds=list(zip(lows, highs, strict=True)),
            options={"maxiter": _ITERATIONS, "maxcor": 20},
        )
        for start in starts
    ]
    best = min(found, key=lambda it: round(float(it.fun), 6))  # rounded: the same of two equals everywhere
    return np.asarray(best.x)


def _negative_log_posterior(parameters: Array, data: Data, means: Array, deviations: Array) -> tuple[float, Array]:
    """But for a constant; and its gradient."""
    count, dimension = len(data.targets), len(parameters) - 2
    noise, output = np.exp(parameters[-2:])
    rows = data.features * np.exp(-parameters[:dimension])[data.owners]
    squared = _squared_distances(rows, rows)
    correlation = matern(squared)
    covariance = output * correlation
    covariance.flat[:: count + 1] += noise + _JITTER + data.doubts
    factor, failed = lapack.dpotrf(covariance, lower=1, clean=0)
    if failed:
        return _WORST, np.zeros_like(parameters)
    weights = lapack.dpotrs(factor, data.targets, lower=1)[0]
    lower = np.tril(lapack.dpotri(factor, lower=1)[0])
    inverse = lower + lower.T
    inverse.flat[:: count + 1] /= 2
    half = 0.5 * (inverse - np.outer(weights, weights))  # d / d covariance
    pull = output * half * matern_slope(squared)
    by_feature = -4 * (pull.sum(axis=1) @ (rows * rows) - np.einsum("ij,ij->j", rows, pull @ rows))
    gradient = np.empty_like(parameters)
    gradient[:dimension] = np.bincount(data.owners, by_feature, dimension)
    gradient[-2] = noise * np.trace(half)
    gradient[-1] = output * np.vdot(half, correlation)
    standard = (parameters - means) / deviations
    value = 0.5 * data.targets @ weights + np.log(np.diag(factor)).sum() + 0.5 * standard @ standard
    return float(value), gradient + standard / deviations


class Posterior:
    """What the model expects at any point, given the data and running trials.

    Running trials count as if they had the results that the model expects of them (Ginsbourger, Le Riche & Carraro
    2010, "Kriging is well-suited to parallelize optimization": the Kriging believer). That changes no mean: it leaves
    less uncertainty near them.
    """

    def __init__(self, parameters: Array, data: Data) -> None:
        self._shrink = np.exp(-parameters[:-2])[data.owners]
        self._noise, self._output = np.exp(parameters[-2:])
        self._rows = data.features * self._shrink
        self._factor = self._factorised(self._rows, data.doubts)
        self._weights = lapack.dpotrs(self._factor, data.targets, lower=1)[0]
        self._count = len(data.targets)
        expected = self.mean(data.features)
        self.best = float(expected[data.violations == 0].min(initial=math.inf))
        """The least mean at an observed point within the outcome constraints; infinite without such a point."""
        self.ranked = data.points[np.lexsort((np.round(expected, 8), data.violations))]
        """The observed points, those within the outcome constraints and among these the least mean first."""

    def believing(self, features: Array) -> "Posterior":
        """This posterior, with running trials at these points."""
        if not len(features):
            return self
        rows = features * self._shrink
        between = lapack.dtrtrs(self._factor, self._covariance(rows, self._rows).T, lower=1)[0]
        count, more = len(self._rows), len(rows)
        factor = np.zeros((count + more, count + more), order="F")
        factor[:count, :count] = self._factor
        factor[count:, :count] = between.T
        factor[count:, count:] = self._factorised(rows, -between.T @ between)
        believing = object.__new__(Posterior)
        believing.__dict__.update(self.__dict__, _rows=np.vstack([self._rows, rows]), _factor=factor)
        return believing

    def _factorised(self, rows: Array, more: Array) -> Array:
        covariance = self._covariance(rows, rows)
        covariance.flat[:: len(rows) + 1] += self._noise + _JITTER
        covariance += np.diag(more) if more.ndim == 1 else more
        factor: Array = lapack.dpotrf(covariance, lower=1, clean=1)[0]
        return factor

    def _covariance(self, rows: Array, others: Array) -> Array:
        covariance: Array = self._output * matern(_squared_distances(rows, others))
        return covariance

    def mean(self, features: Array) -> Array:
        mean: Array = self._covariance(features * self._shrink, self._rows[: self._count]) @ self._weights
        return mean

    def predict(self, features: Array) -> tuple[Array, Array]:
        """The mean and the deviation at each point."""
        parts = [self._predict(features[start : start + _PART]) for start in range(0, len(features), _PART)]
        means, deviations = zip(*parts, strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    def _predict(self, features: Array) -> tuple[Array, Array]:
        covariance = self._covariance(features * self._shrink, self._rows)
        solved = lapack.dtrtrs(self._factor, covariance.T, lower=1)[0]
        variance = self._output - np.einsum("ij,ij->j", solved, solved)
        return covariance[:, : self._count] @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def slopes(self, features: Array) -> tuple[float, float, Array, Array]:
        """The mean and the deviation at one point, and their derivatives by its features."""
        apart = features * self._shrink - self._rows
        squared = np.einsum("ij,ij->i", apart, apart)
        covariance = self._output * matern(squared)
        changes = (2 * self._output * matern_slope(squared))[:, None] * apart * self._shrink
        solved = lapack.dtrtrs(self._factor, covariance, lower=1)[0]
        deviation = math.sqrt(max(self._output - float(solved @ solved), 1e-12))
        pulls = lapack.dtrtrs(self._factor, solved, lower=1, trans=1)[0]
        mean = float(covariance[: self._count] @ self._weights)
        return mean, deviation, self._weights @ changes[: self._count], -(pulls @ changes) / deviation
