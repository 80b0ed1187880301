"""Logarithmic expected improvement: how much better than the incumbent a trial is expected to be.

Jones, Schonlau & Welch 1998, "Efficient global optimization of expensive black-box functions", eq. 15. The logarithm is
computed as by Ament et al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", sec. 4.1,
so that it has a slope even where next to no improvement is expected. A chance or a price multiplies or divides it.
"""

import math
from collections.abc import Sequence

import attrs
import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.model import Posterior

_MARGIN = 1e-3
"""An improvement must be at least so large, in deviations of the losses."""
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_ROOT_HALF, _ROOT_HALF_PI = math.sqrt(0.5), math.sqrt(math.pi / 2)
DIGITS = 8
"""Acquisitions are compared to so many digits: a last digit, which differs between processors, decides nothing."""


def log_h(z: Array) -> Array:
    """The logarithm of phi(z) + z Phi(z)."""
    near, far = np.maximum(z, -1.0), np.maximum(-z, 1.0)
    ratio = np.minimum(far * erfcx(far * _ROOT_HALF) * _ROOT_HALF_PI, 1 - 1e-12)
    tail = np.where(far < 1e4, np.log1p(-ratio), -2 * np.log(far))  # noqa: PLR2004 - beyond, ratio rounds to 1
    return np.where(
        z > -1,
        np.log(np.exp(-0.5 * near * near - _HALF_LOG_TWO_PI) + near * ndtr(near)),
        -0.5 * far * far - _HALF_LOG_TWO_PI + tail,
    )


@attrs.frozen(eq=False)
class Gate:
    """The chance that a metric is within its bound.

    Gardner et al. 2014, "Bayesian optimization with inequality constraints", eq. 6.
    """

    posterior: Posterior
    threshold: float
    """The bound, as the model sees it; below it is within."""

    def believing(self, features: Array) -> "Gate":
        """This gate, with running trials at these points."""
        return Gate(self.posterior.believing(features), self.threshold)

    def at(self, features: Array) -> Array:
        """The logarithm of the chance at each point."""
        mean, deviation = self.posterior.predict(features)
        chance: Array = log_ndtr((self.threshold - mean) / deviation)
        return chance

    def slope(self, features: Array) -> tuple[float, Array]:
        """The logarithm of the chance at one point, and its derivatives by the features."""
        mean, deviation, by_mean, by_deviation = self.posterior.slopes(features)
        z = (self.threshold - mean) / deviation
        chance = float(log_ndtr(z))
        rate = math.exp(-0.5 * z * z - _HALF_LOG_TWO_PI - chance)
        return chance, -rate * (by_mean + z * by_deviation) / deviation


@attrs.frozen(eq=False)
class Price:
    """What a trial is expected to cost, raised to a power, by which an improvement is divided.

    Snoek et al. 2012, "Practical Bayesian optimization of machine learning algorithms", sec. 3.2; with a power, Lee et
    al. 2020, "Cost-aware Bayesian optimization" (CArBO).
    """

    posterior: Posterior
    """Of the logarithm of the cost, in deviations."""
    power: float
    """For each deviation."""

    def at(self, features: Array) -> Array:
        """Minus the logarithm of the price at each point, but for a constant."""
        return -self.power * self.posterior.mean(features)

    def slope(self, features: Array) -> tuple[float, Array]:
        """The same at one point, and its derivatives by the features."""
        mean, _, by_mean, _ = self.posterior.slopes(features)
        return -self.power * mean, -self.power * by_mean


@attrs.frozen(eq=False)
class Improvement:
    """The expected improvement by a committee of models, whose expectations are averaged, times the factors.

    While no result is within the outcome constraints, the factors alone decide.
    """

    members: list[Posterior]
    factors: Sequence[Gate | Price] = ()

    def at(self, features: Array) -> Array:
        """The logarithm of the improvement at each point, rounded."""
        votes = []
        for member in self._voters:
            mean, deviation = member.predict(features)
            votes.append(np.log(deviation) + log_h((member.best - _MARGIN - mean) / deviation))
        expected = np.logaddexp.reduce(votes) - math.log(len(votes)) if votes else np.zeros(len(features))
        rounded: Array = np.round(sum((factor.at(features) for factor in self.factors), expected), DIGITS)
        return rounded

    @property
    def _voters(self) -> list[Posterior]:
        return [member for member in self.members if math.isfinite(member.best)]

    def ranked(self, cube: Cube, points: Array) -> Array:
        """The points, the one with the largest improvement first; of equals the earlier one."""
        if not len(points):
            return points
        order = np.argsort(-self.at(cube.features(points)), kind="stable")
        return points[order]

    def slope(self, features: Array) -> tuple[float, Array]:
        """The logarithm of the improvement at one point, not rounded, and its derivatives by the features."""
        value, changes = self._expected_slope(features) if self._voters else (0.0, np.zeros(len(features)))
        for factor in self.factors:
            more, by_features = factor.slope(features)
            value, changes = value + more, changes + by_features
        return value, changes

    def _expected_slope(self, features: Array) -> tuple[float, Array]:
        means, deviations, by_mean, by_deviation = map(
            np.array, zip(*(member.slopes(features) for member in self.members), strict=True)
        )
        z = (np.array([member.best for member in self.members]) - _MARGIN - means) / deviations
        gains = log_h(z)
        rates = np.exp(log_ndtr(z) - gains)[:, None]  # h' / h
        votes = np.log(deviations) + gains
        total = np.logaddexp.reduce(votes)
        changes = (by_deviation - rates * (by_mean + z[:, None] * by_deviation)) / deviations[:, None]
        return float(total) - math.log(len(votes)), np.exp(votes - total) @ changes
