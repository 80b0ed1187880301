"""First points that cover the unit cube, and the best of them."""

import math
import operator
import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

_TRIES = 30
_MOST_COMPARED = 50
"""Above so many points the distances between them take long to compute, and one hypercube is as good as another."""


def uniform(generator: random.Random, count: int, dimension: int) -> list[list[float]]:
    """Independent points of the unit cube."""
    return [[generator.random() for _ in range(dimension)] for _ in range(count)]


def latin_hypercube(generator: random.Random, count: int, dimension: int) -> list[list[float]]:
    """Of some Latin hypercubes the one whose closest two points are farthest apart: points of the unit cube.

    Morris & Mitchell 1995, "Exploratory designs for computational experiments".
    """
    if count == 1:
        return uniform(generator, 1, dimension)
    tries = _TRIES if 0 < count <= _MOST_COMPARED else 1
    return max((_drawn(generator, count, dimension) for _ in range(tries)), key=_least_distance)


def best(fitnesses: Sequence[Any], count: int, *, maximize: bool) -> list[int]:
    """The places of the *count* best values, in order: those with the fewest better ones. Of equals the first."""
    places = range(len(fitnesses))
    if len(places) <= count:
        return list(places)
    is_better = operator.gt if maximize else operator.lt
    better = [sum(is_better(other, it) for other in fitnesses) for it in fitnesses]
    return sorted(sorted(places, key=better.__getitem__)[:count])


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
