"""First designs of the unit cube, and the best of them."""

import math
import random
from itertools import combinations

import pytest
from byohpo_inspyred import latin_hypercube, pareto
from byohpo_inspyred.design import best


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_each_part_of_each_dimension_has_one_point(count):
    """A Latin hypercube has one point in each of as many equal parts as it has points."""
    points = latin_hypercube(random.Random(1), count, 3)
    for axis in range(3):
        assert sorted(int(point[axis] * count) for point in points) == list(range(count))


def test_the_points_lie_farther_apart_than_those_of_most_hypercubes():
    """It is the best of several."""

    def least(points):
        return min(math.dist(*pair) for pair in combinations(points, 2))

    usual = []
    for seed in range(50):
        generator = random.Random(seed)
        columns = [generator.sample(range(8), 8) for _ in range(2)]
        usual.append(
            least([[(part + generator.random()) / 8 for part in point] for point in zip(*columns, strict=True)])
        )
    assert least(latin_hypercube(random.Random(1), 8, 2)) > sorted(usual)[40]


def test_no_points_and_no_dimensions():
    """A population of known results alone needs no points."""
    assert latin_hypercube(random.Random(1), 0, 3) == []
    assert latin_hypercube(random.Random(1), 2, 0) == [[], []]


def test_the_best_have_the_fewest_better_ones():
    """Losses are compared downwards; several objectives by dominance, whose values have no order of their own."""
    assert best([3.0, 1.0, 2.0, 1.0], 2, maximize=False) == [1, 3]
    assert best([3.0, 1.0], 5, maximize=False) == [0, 1]
    several = [pareto(losses) for losses in [(3, 3), (1, 2), (2, 1), (2, 2)]]
    assert best(several, 2, maximize=True) == [1, 2]
