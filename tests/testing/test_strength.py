"""The strength of an algorithm: how often it beats random search."""

import math
import random
import time

import pytest
import seeded_bugs

from byohpo_core import hookimpl
from byohpo_core.testing import Subject, benchmarks, strength
from byohpo_core.testing.benchmarks import BENCHMARKS, Instance
from byohpo_core.testing.strength import Tally, duel, measure, shelf

pytestmark = pytest.mark.kit
by_name = pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda it: it.name)


def tally(algorithm, benchmark, *, seeds=40, objectives=1):
    """The tally of an algorithm over the first seeds."""
    return Tally().plus([duel(Subject.of(algorithm), objectives, benchmark, seed) for seed in range(seeds)])


@by_name
@pytest.mark.parametrize("objectives", [1, 2])
def test_random_search_beats_random_search_in_half_of_the_studies(benchmark, objectives):
    """The interval around its probability contains one half."""
    low, high = tally(seeded_bugs.Sampler, benchmark, seeds=60, objectives=objectives).interval
    assert low < 0.5 < high


class StepsFromTheLast(seeded_bugs.Climber):
    """A hill climber that is broken: it goes on from the last trial, better or worse."""

    def keep(self, loss, trial):
        self.best = (loss, self.problem.space.encode(trial.proposal.hyperparameters))


@pytest.mark.parametrize("name", ["sphere", "mixed", "noisy", "16 slots"])
def test_a_broken_hill_climber_is_weaker_than_a_right_one(name):
    """Their intervals do not overlap, after 40 seeds."""
    (benchmark,) = (it for it in BENCHMARKS if it.name == name)
    right, broken = tally(seeded_bugs.Climber, benchmark), tally(StepsFromTheLast, benchmark)
    assert right.interval[0] > 0.5
    assert broken.interval[1] < right.interval[0]


@by_name
def test_a_problem_has_its_optimum_where_its_seed_drew_it(benchmark):
    """The same seed gives the same losses, another seed others, and none is negative."""
    configurations = [Instance(benchmark, 1, 2).space.sample(random.Random(seed)) for seed in range(20)]
    losses = [[Instance(benchmark, seed, 2).losses(it) for it in configurations] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert all(value >= 0 for them in losses[0] for value in them)


def test_the_ellipsoid_is_rotated_and_a_million_times_steeper_on_one_axis():
    """Its rotation is orthogonal."""
    rows = benchmarks._rotation(random.Random(1))
    for place, row in enumerate(rows):
        for other_place, other in enumerate(rows):
            expected = float(place == other_place)
            assert math.isclose(benchmarks._product(row, other), expected, abs_tol=1e-9)


def test_the_hypervolume_is_the_area_that_the_front_leaves_to_the_worst_corner():
    """Dominated points, and those beyond the corner, add nothing."""
    instance = Instance(BENCHMARKS[0], 1, 2)
    instance._worst = [4.0, 4.0]
    assert instance._hypervolume([(1.0, 3.0), (3.0, 1.0)]) == 3 + 2
    assert instance._hypervolume([(1.0, 3.0), (3.0, 1.0), (3.0, 3.0), (0.0, 5.0), (5.0, 0.0)]) == 3 + 2
    assert instance._hypervolume([(2.0, 2.0), (1.0, 1.0)]) == 9


def test_on_a_noisy_problem_what_seems_best_counts_without_its_noise():
    """A lucky result does not help."""
    (noisy,) = (it for it in BENCHMARKS if it.noise)
    instance = Instance(noisy, 1, 1)
    lucky, good = (instance.space.sample(random.Random(seed)) for seed in (1, 2))
    assert instance.score([(lucky, (-1.0,)), (good, (0.0,))]) == instance.losses(lucky)[0]
    assert instance.score([]) == math.inf


@pytest.mark.parametrize(
    ("wins", "seeds", "low", "high"), [(5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0.0, 4, 0.0, 0.4899)]
)
def test_the_interval_is_wilsons(wins, seeds, low, high):
    """It agrees with published values, and stays within 0 and 1."""
    assert Tally(wins, seeds).interval == pytest.approx((low, high), abs=2e-4)


def test_measuring_ends_when_the_time_is_over_and_shares_it_out():
    """Each problem gets about as many seconds, and one study even if there are none."""
    *_, table = measure(Subject.of(seeded_bugs.Sampler), 1, 0.0)
    assert [it.seeds for it in table.values()] == [1] * len(BENCHMARKS)
    started = time.monotonic()
    *_, table = measure(Subject.of(seeded_bugs.Sampler), 1, 4.0)
    assert time.monotonic() - started > 3.9
    assert not any(it.is_near for it in table.values())


def test_measuring_ends_when_all_is_known(monkeypatch):
    """Intervals that are narrow enough take no more studies."""
    monkeypatch.setattr(strength, "_NEAR", 0.5)
    monkeypatch.setattr(strength, "_BATCH_SECONDS", 0.1)
    assert len(list(measure(Subject.of(seeded_bugs.Sampler), 1, 600.0))) == len(BENCHMARKS)


class FailsOnCategories(seeded_bugs.Sampler):
    """It fails where there are categories."""

    @hookimpl
    def propose(self, study, count):
        if "kind" in self.problem.space.parameters:
            raise ValueError("no categories, please")
        return super().propose(study, count)


def test_an_algorithm_that_fails_on_one_problem_is_measured_on_the_others(monkeypatch):
    """The table says why."""
    monkeypatch.setattr(strength, "_BATCH_SECONDS", 0.1)
    *_, table = measure(Subject.of(FailsOnCategories), 1, 5.0)
    assert "no categories, please" in table["mixed"].trouble
    assert table["mixed"].seeds == 0
    assert all(it.seeds and not it.trouble for name, it in table.items() if name != "mixed")


def test_the_shelf_has_all_algorithms_of_the_project():
    """Each has a tally for each problem, and learns if it says so."""
    one, two = shelf(1), shelf(2)
    assert len(one) == 18
    assert "nsga2" in two
    for rows in (one, two):
        assert all(list(row) == [it.name for it in BENCHMARKS] for row in rows.values())
        low, high = rows["random"]["sphere"].interval
        assert low < 0.5 < high
    assert one["pso"]["sphere"].interval[0] > 0.5
    assert shelf(3) == {}
