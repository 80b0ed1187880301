"""Losses as the model sees them: small is good, the mean is 0, the deviation 1, and the bad tail is short."""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from byohpo_plugin_gp.coordinates import Array
from byohpo_plugin_gp.history import OWN, Results

_AS_IF = 3
"""With a warm start, losses are standardised as if this study had so many results of the earlier studies' mean and
deviation. So its first results mean something, and its own scale wins in the end."""
_RHO = 0.05
"""Knowles 2006, eq. 2."""


def targets(results: Results, weights: Array) -> Array:
    """One number for each result. *weights* has one positive number for each objective, with the sum 1.

    A failed trial counts as the worst completed one. A pruned trial has its last value if that is worse than the
    median of the completed ones, else it counts as failed.
    """
    single = np.full(len(results), np.nan)
    scales = {}
    for origin in _parents_first(results):
        rows = np.flatnonzero(results.origins == origin)
        completed = results.completed[rows]
        if not completed.any():
            continue
        losses = chebyshev(winsorised(results.losses[rows], completed), weights)
        losses[~completed & ~(losses > np.median(losses[completed]))] = np.nan
        mean, variance = _scale(losses[completed], list(scales.values()) if origin == OWN else [])
        scales[origin] = mean, variance
        single[rows] = (losses - mean) / np.sqrt(variance + 1e-24)
    return standardised(np.where(np.isnan(single), np.nanmax(single), single))


def _parents_first(results: Results) -> list[int]:
    """The origins of the results. This study is the last, since its scale depends on the others."""
    return sorted(np.unique(results.origins).tolist(), reverse=True)


def _scale(losses: Array, parents: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean and the variance by which to standardise the losses of a study."""
    count, mean, variance = len(losses), losses.mean(), losses.var()
    if not parents:
        return mean, variance
    its_mean, its_variance = np.mean(parents, axis=0)
    share = count / (count + _AS_IF)
    between = share * (1 - share) * (mean - its_mean) ** 2
    return share * mean + (1 - share) * its_mean, share * variance + (1 - share) * its_variance + between


def winsorised(losses: Array, completed: Array) -> Array:
    """Each objective from 0, its least value, to 1, its largest one below q75 + (q75 - least).

    Where three configurations of four are worthless, the others are told apart nevertheless.
    """
    largest = np.max(np.abs(losses[completed]), axis=0)
    losses = losses / np.where(largest > 0, largest, 1)  # else a sum of losses near 1e308 were infinite
    least = losses[completed].min(axis=0)
    limit = 2 * np.quantile(losses[completed], 0.75, axis=0) - least
    limit = np.where(limit > least, limit, np.inf)
    limit = np.minimum(limit, losses[completed].max(axis=0))
    width = limit - least
    return np.minimum(losses - least, width) / np.where(width > 0, width, 1)


def chebyshev(losses: Array, weights: Array) -> Array:
    """The augmented Chebyshev function, whose minima are the whole Pareto front: one objective is itself.

    Knowles 2006, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
    optimization problems".
    """
    if len(weights) == 1:
        return losses[:, 0].copy()
    weighted = losses * weights
    return weighted.max(axis=1) + _RHO * weighted.sum(axis=1)


def standardised(losses: Array) -> Array:
    """Losses with the mean 0 and the deviation 1; zeros if all are equal."""
    return (losses - losses.mean()) / (losses.std() + 1e-12)


def normal_scores(losses: Array) -> Array:
    """The quantiles of the normal distribution at the ranks of the losses."""
    return standardised(ndtri((rankdata(losses) - 0.5) / len(losses)))
