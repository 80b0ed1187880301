"""Which results a model learns from when there are many, so that a proposal's cost stays flat."""

import numpy as np

from byohpo_plugin_gp.coordinates import Array, Rows


def thinned(targets: Array, features: Array, limit: int) -> Rows:
    """The rows to keep, in order: two fifths are the best, one fifth the latest, and the rest far from those.

    The rest is chosen among twice as many rows as are kept, whatever the number of all.
    """
    count = len(targets)
    if count <= limit:
        return np.arange(count)
    best = np.argsort(np.round(targets, 8), kind="stable")[: 2 * limit // 5]
    kept = np.union1d(best, np.arange(count - limit // 5, count)).tolist()
    pool = np.union1d(kept, np.linspace(0, count - 1, 2 * limit).astype(int))
    points, gaps = features[pool], np.full(len(pool), np.inf)
    for chosen in range(limit):
        if chosen == len(kept):
            kept.append(int(pool[np.argmax(np.round(gaps, 8))]))
        gaps = np.minimum(gaps, ((points - features[kept[chosen]]) ** 2).sum(axis=1))
    return np.array(sorted(kept))
