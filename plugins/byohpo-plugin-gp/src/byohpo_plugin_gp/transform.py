"""Losses as the model sees them: small is good, the mean is 0, the deviation 1, and the bad tail is short."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from byohpo_plugin_gp.coordinates import Array
from byohpo_plugin_gp.history import OWN, Results

_ENOUGH = 5
"""Below so many results, the losses of a study with a warm start are standardised as the earlier studies' are."""
_RHO = 0.05
"""Knowles 2006, eq. 2."""


def targets(results: Results, weights: Array) -> Array:
    """One number for each result. *weights* has one positive number for each objective, with the sum 1.

    A result without a loss counts as the worst one.
    """
    told = single_losses(results, weights)
    return standardised(np.where(np.isnan(told), np.nanmax(told), told))


def single_losses(results: Results, weights: Array) -> Array:
    """One loss for each result; NaN for a trial that failed.

    A pruned trial has its last value if that is worse than the median of the completed ones, else it counts as failed.
    The losses of each study are standardised by themselves.
    """
    studies = [results.origins == origin for origin in sorted(set(results.origins.tolist()), reverse=True)]
    studies = [rows for rows in studies if results.completed[rows].any()]  # this study comes last
    losses = results.losses.copy()
    for rows in studies:
        losses[rows] = winsorised(losses[rows], results.completed[rows])
    single = chebyshev(_normalised(losses, results.completed), weights)
    told = np.full(len(results), np.nan)
    scale = None
    for rows in studies:
        completed = results.completed & rows
        useful = completed | (rows & (single > np.median(single[completed])))
        if scale is None or results.origins[rows][0] != OWN or completed.sum() >= _ENOUGH:
            scale = single[completed].mean(), single[completed].std()
        told[useful] = (single[useful] - scale[0]) / (scale[1] + 1e-12)
    return told


def winsorised(losses: Array, completed: NDArray[np.bool_]) -> Array:
    """Losses that are at most q75 + (q75 - the least), and at most the worst of the completed trials.

    Where three configurations of four are worthless, the others are told apart nevertheless.
    """
    ordered = np.sort(losses[completed] / 4, axis=0)  # a quarter, since twice a loss may be infinite
    least, upper = ordered[0], np.quantile(ordered, 0.75, axis=0)
    limit = np.where(upper > least, np.minimum(2 * upper - least, ordered[-1]), ordered[-1])
    clipped: Array = np.minimum(losses, 4 * limit)
    return clipped


def _normalised(losses: Array, completed: NDArray[np.bool_]) -> Array:
    """Each objective from 0 to 1, as far as completed trials are concerned."""
    halves = losses / 2  # since the difference of two losses may be infinite
    least, most = halves[completed].min(axis=0), halves[completed].max(axis=0)
    normalised: Array = (halves - least) / np.where(most > least, most - least, 1)
    return normalised


def chebyshev(losses: Array, weights: Array) -> Array:
    """The augmented Chebyshev function, whose minima are the whole Pareto front: one objective is itself.

    Knowles 2006, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
    optimization problems".
    """
    if len(weights) == 1:
        return losses[:, 0].copy()
    weighted = losses * weights
    single: Array = weighted.max(axis=1) + _RHO * weighted.sum(axis=1)
    return single


def standardised(losses: Array) -> Array:
    """Losses with the mean 0 and the deviation 1; zeros if all are equal."""
    standard: Array = (losses - losses.mean()) / (losses.std() + 1e-12)
    return standard


def normal_scores(losses: Array) -> Array:
    """The quantiles of the normal distribution at the ranks of the losses."""
    return standardised(ndtri((rankdata(losses) - 0.5) / len(losses)))
