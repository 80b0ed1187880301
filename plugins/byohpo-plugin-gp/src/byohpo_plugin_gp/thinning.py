"""Which results a model learns from when there are many, so that a proposal's cost stays flat."""

import numpy as np

from byohpo_plugin_gp.coordinates import Array, Rows


def thinned(targets: Array, features: Array, limit: int) -> Rows:
    """The rows to keep, in order: two fifths are the best, one fifth the latest, and the rest far from those."""
    count = len(targets)
    if count <= limit:
        return np.arange(count)
    best = np.argsort(np.round(targets, 8), kind="stable")[: 2 * limit // 5]
    kept = np.union1d(best, np.arange(count - limit // 5, count)).tolist()
    gaps = np.full(count, np.inf)
    for row in kept:
        gaps = np.minimum(gaps, ((features - features[row]) ** 2).sum(axis=1))
    while len(kept) < limit:
        row = int(np.argmax(np.round(gaps, 8)))
        kept.append(row)
        gaps = np.minimum(gaps, ((features - features[row]) ** 2).sum(axis=1))
    return np.array(sorted(kept))
