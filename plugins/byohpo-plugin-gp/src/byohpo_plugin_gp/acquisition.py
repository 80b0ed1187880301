"""Logarithmic expected improvement: how much better than the incumbent a trial is expected to be.

Jones, Schonlau & Welch 1998, "Efficient global optimization of expensive black-box functions", eq. 15. The logarithm is
computed as by Ament et al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", sec. 4.1,
so that it has a slope even where next to no improvement is expected.
"""

import math

import attrs
import numpy as np
from scipy.special import erfcx, log_ndtr, logsumexp, ndtr

from byohpo_plugin_gp.coordinates import Array
from byohpo_plugin_gp.model import Posterior

_MARGIN = 1e-3
"""An improvement must be at least so large, in deviations of the losses."""
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
DIGITS = 8
"""Acquisitions are compared to so many digits: a last digit, which differs between processors, decides nothing."""


def log_h(z: Array) -> Array:
    """The logarithm of phi(z) + z Phi(z)."""
    out = np.empty_like(z)
    near = z > -1
    out[near] = np.log(np.exp(-0.5 * z[near] ** 2 - _HALF_LOG_TWO_PI) + z[near] * ndtr(z[near]))
    far = -z[~near]
    ratio = np.minimum(far * erfcx(far / math.sqrt(2)) * math.sqrt(math.pi / 2), 1 - 1e-12)
    tail = np.where(far < 1e4, np.log1p(-ratio), -2 * np.log(far))  # noqa: PLR2004 - where ratio rounds to 1
    out[~near] = -0.5 * far**2 - _HALF_LOG_TWO_PI + tail
    return out


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
        return np.round(logsumexp(votes, axis=0) - math.log(len(votes)), DIGITS)

    def slope(self, features: Array) -> tuple[float, Array]:
        """The logarithm of the improvement at one point, not rounded, and its derivatives by the features."""
        votes, changes = [], []
        for member in self.members:
            mean, deviation, by_mean, by_deviation = member.slopes(features)
            z = (member.best - _MARGIN - mean) / deviation
            gain = float(log_h(np.array([z]))[0])
            rate = math.exp(float(log_ndtr(z)) - gain)  # h' / h
            votes.append(math.log(deviation) + gain)
            changes.append((by_deviation - rate * (by_mean + z * by_deviation)) / deviation)
        total = float(logsumexp(votes))
        shares = np.exp(np.array(votes) - total)
        return total - math.log(len(votes)), shares @ np.array(changes)
