"""First points that cover the unit cube, in the place of independent draws."""

import math
import random
from itertools import combinations

_TRIES = 30
_MOST_COMPARED = 50
"""Above so many points the distances between them take long to compute, and one hypercube is as good as another."""


def latin_hypercube(generator: random.Random, count: int, dimension: int) -> list[list[float]]:
    """Of some Latin hypercubes the one whose closest two points are farthest apart: points of the unit cube.

    Morris & Mitchell 1995, "Exploratory designs for computational experiments".
    """
    if count == 1:
        return [[generator.random() for _ in range(dimension)]]
    tries = _TRIES if 0 < count <= _MOST_COMPARED else 1
    return max((_drawn(generator, count, dimension) for _ in range(tries)), key=_least_distance)


def _drawn(generator: random.Random, count: int, dimension: int) -> list[list[float]]:
    """In each dimension, one point in each of *count* equal parts."""
    columns = []
    for _ in range(dimension):
        parts = list(range(count))
        generator.shuffle(parts)
        columns.append([(part + generator.random()) / count for part in parts])
    return [list(point) for point in zip(*columns, strict=True)] if columns else [[] for _ in range(count)]


def _least_distance(points: list[list[float]]) -> float:
    if len(points) > _MOST_COMPARED:
        return 0.0
    return min((math.dist(*pair) for pair in combinations(points, 2)), default=0.0)
