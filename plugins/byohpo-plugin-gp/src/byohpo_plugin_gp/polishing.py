"""From a good candidate uphill, along the continuous coordinates."""

import numpy as np
from scipy.optimize import minimize

from byohpo_plugin_gp.acquisition import Improvement
from byohpo_plugin_gp.coordinates import Array, Cube
from byohpo_plugin_gp.region import Box

_ITERATIONS, _EVALUATIONS = 10, 12
_GRID = 4096
"""Polished coordinates are multiples of 1 / _GRID, so that the same is proposed on another processor."""


def polished(cube: Cube, improvement: Improvement, box: Box, point: Array) -> Array:
    """The local maximum of the acquisition that is uphill from *point*."""
    free = cube.free
    features = cube.features(point[None])[0]

    def downhill(coordinates: Array) -> tuple[float, Array]:
        features[cube.free_features] = coordinates
        value, slope = improvement.slope(features)
        return -value, -slope[cube.free_features]

    found = minimize(
        downhill,
        point[free],
        method="L-BFGS-B",
        jac=True,
        bounds=list(zip(box.low[free], box.high[free], strict=True)),
        options={"maxiter": _ITERATIONS, "maxfun": _EVALUATIONS},
    )
    moved = point.copy()
    moved[free] = np.round(found.x * _GRID) / _GRID
    snapped: Array = cube.snapped(moved[None])[0]
    return snapped
