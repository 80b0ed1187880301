"""Logarithmic expected improvement: how much better than the incumbent a trial is expected to be.

Jones, Schonlau & Welch 1998, "Efficient global optimization of expensive black-box functions", eq. 15. The logarithm is
computed as by Ament et al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", sec. 4.1,
so that it has a slope even where next to no improvement is expected.
"""

import math

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
class Improvement:
    """The expected improvement by a committee of models, whose expectations are averaged."""

    members: list[Posterior]

    def at(self, features: Array) -> Array:
        """The logarithm of the improvement at each point, rounded."""
        votes = []
        for member in self.members:
            mean, deviation = member.predict(features)
            votes.append(np.log(deviation) + log_h((member.best - _MARGIN - mean) / deviation))
        rounded: Array = np.round(np.logaddexp.reduce(votes) - math.log(len(votes)), DIGITS)
        return rounded

    def ranked(self, cube: Cube, points: Array) -> Array:
        """The points, the one with the largest improvement first; of equals the earlier one."""
        if not len(points):
            return points
        order = np.argsort(-self.at(cube.features(points)), kind="stable")
        return points[order]

    def slope(self, features: Array) -> tuple[float, Array]:
        """The logarithm of the improvement at one point, not rounded, and its derivatives by the features."""
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
