"""The parts of the searcher, each against its definition."""

import math
import random

import numpy as np
import pytest
from byohpo_plugin_gp.acquisition import Gate, Improvement, log_h
from byohpo_plugin_gp.candidates import Candidates, farthest, neighbours, spread
from byohpo_plugin_gp.coordinates import Cube
from byohpo_plugin_gp.history import OWN, History, Results
from byohpo_plugin_gp.memory import Memory
from byohpo_plugin_gp.model import Data, Posterior, _negative_log_posterior, fit
from byohpo_plugin_gp.polishing import polished
from byohpo_plugin_gp.region import Box, side
from byohpo_plugin_gp.thinning import thinned
from byohpo_plugin_gp.threads import one_thread
from byohpo_plugin_gp.transform import normal_scores, targets
from scipy.special import ndtr
from threadpoolctl import threadpool_info

from byohpo_core import CategoricalParameter, Constraint, ContinuousParameter, IntegerParameter, SearchSpace

SPACE = SearchSpace(
    {
        "rate": ContinuousParameter(1e-6, 1, "Logarithmic"),
        "x": ContinuousParameter(-5, 5),
        "layers": IntegerParameter(1, 4),
        "width": IntegerParameter(1, 300, "Logarithmic"),
        "rows": IntegerParameter(1, 10**6, "Logarithmic"),
        "kind": CategoricalParameter(["a", "b", "c"]),
        "only": CategoricalParameter([True]),
        "fixed": ContinuousParameter(2, 2),
    }
)
CUBE = Cube(SPACE)
ONE = np.ones(1)


def data(count=30, doubts=0.0, seed=1):
    """A smooth function of the points of `SPACE`, with a little noise."""
    generator = np.random.default_rng(seed)
    points = CUBE.snapped(generator.random((count, CUBE.dimension)))
    features = CUBE.features(points)
    values = np.sin(5 * features[:, 0]) + features[:, 1] ** 2 + features[:, 5] + 0.01 * generator.random(count)
    return Data(
        points, features, CUBE.owners, (values - values.mean()) / max(values.std(), 0.1), np.full(count, doubts)
    )


def results(losses, completed=None, origins=None):
    """Results at random points."""
    losses = np.array(losses, dtype=float)
    losses = losses[:, None] if losses.ndim == 1 else losses
    count = len(losses)
    return Results(
        np.random.default_rng(1).random((count, CUBE.dimension)),
        losses,
        np.ones(count, dtype=bool) if completed is None else np.array(completed),
        np.zeros(count, dtype=int) if origins is None else np.array(origins),
    )


def differences(function, point, step=1e-6):
    """The derivatives of a function, by differences."""
    steps = np.eye(len(point)) * step
    return np.array([(function(point + it) - function(point - it)) / (2 * step) for it in steps])


def test_a_point_is_where_its_trial_runs():
    """The snapped point of any coordinates is the point of their configuration, and snapping again changes nothing."""
    points = CUBE.snapped(np.random.default_rng(1).random((200, CUBE.dimension)))
    assert (CUBE.snapped(points) == points).all()
    for point in points:
        exact = CUBE.exactly(point)
        assert CUBE.exactly(exact).tobytes() == exact.tobytes()
        assert np.abs(exact - point)[[0, 1, 2, 3, 5, 6, 7]].max() == 0
        assert SPACE.contains(CUBE.decode(point))


def test_two_categories_are_one_apart():
    """Each has a feature of its own, and those of a parameter share an owner."""
    configuration = {"rate": 0.1, "x": 1.0, "layers": 2, "width": 9, "rows": 70, "only": True, "fixed": 2.0}
    rows = CUBE.features(np.array([CUBE.encode({**configuration, "kind": kind}) for kind in "abc"]))
    apart = ((rows[:, None] - rows) ** 2).sum(axis=-1)
    assert apart == pytest.approx(1 - np.eye(3))
    assert CUBE.owners.tolist() == [0, 1, 2, 3, 4, 5, 5, 5, 6, 7]


def test_a_space_of_few_configurations_is_enumerated():
    """All values of all parameters, each combination once."""
    cube = Cube(SearchSpace({"n": IntegerParameter(1, 3), "kind": CategoricalParameter(["a", "b"])}))
    assert len({tuple(cube.decode(point).values()) for point in cube.everything}) == 6


NARROW = Cube(
    SearchSpace(
        {
            "kind": CategoricalParameter(["a", "b"]),
            "n": IntegerParameter(1, 9, when={"kind": ["a"]}),
            "x": ContinuousParameter(0, 1),
            "y": ContinuousParameter(1e-4, 1, when={"kind": ["b"]}),
        },
        [Constraint({"x": 1, "n": 0.1}, at_most=1), Constraint({"x": 1, "y": 1}, at_most=0.7)],
    )
)
"""A cube of which a part breaks a constraint, and in which parameters are inactive."""


def test_candidates_are_where_trials_would_run():
    """Inactive parameters are in the middle, constraints are obeyed, also in a space that is enumerated."""
    history = History(results(np.zeros(0)), [], frozenset())
    found = Candidates(NARROW, history, Box.whole(4), np.random.default_rng(1))
    for points in (found.everywhere(256), found.around(np.full((1, 4), 0.5), 256, 1)):
        assert 32 < len(points) <= 256
        assert all(np.array_equal(NARROW.exactly(point), point) for point in points)
    few = Cube(
        SearchSpace({"n": IntegerParameter(1, 9), "m": IntegerParameter(1, 9)}, [Constraint({"n": 1}, at_most=2)])
    )
    assert len(few.everything) == 18


def test_the_gradient_of_the_likelihood_is_right():
    """By every hyperparameter, at the mean of the prior and elsewhere."""
    given, dimension = data(doubts=0.2), CUBE.dimension
    means, deviations = np.full(dimension + 2, -0.3), np.full(dimension + 2, 0.7)
    for seed in range(3):
        point = np.random.default_rng(seed).normal(-0.5, 0.5, dimension + 2)
        gradient = _negative_log_posterior(point, given, means, deviations)[1]
        expected = differences(lambda it: _negative_log_posterior(it, given, means, deviations)[0], point)
        assert gradient == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_fit_finds_which_parameters_matter():
    """Their length scales are shorter; a deterministic objective may have a noise of a millionth."""
    parameters = fit(data(60))
    assert max(parameters[[0, 1, 5]]) < min(parameters[[2, 3, 4]])
    generator = np.random.default_rng(1)
    x = generator.random((40, 1))
    smooth = Data(x, x, np.zeros(1, dtype=int), np.sin(6 * x[:, 0]), np.zeros(40))
    assert fit(smooth)[-2] < math.log(1e-4)


def test_a_posterior_interpolates_and_knows_where_it_does_not_know():
    """At a result it expects the result, far away the mean of the prior."""
    given = data()
    posterior = Posterior(np.array([*[-1.0] * CUBE.dimension, -12, 0]), given)
    mean, deviation = posterior.predict(given.features)
    assert mean == pytest.approx(given.targets, abs=1e-2)
    assert deviation.max() < 0.02
    far = posterior.predict(given.features + 30)
    assert far[0] == pytest.approx(np.zeros(30), abs=1e-6)
    assert far[1] == pytest.approx(np.ones(30))


def test_running_trials_count_as_expected():
    """The believing posterior is that of the data with the means as results: same means, less deviation."""
    given, more = data(), data(4, seed=2).features
    parameters = np.array([*[-0.5] * CUBE.dimension, -4, 0.3])
    posterior = Posterior(parameters, given)
    extended = Data(
        np.zeros((34, CUBE.dimension)),
        np.vstack([given.features, more]),
        given.owners,
        np.concatenate([given.targets, posterior.mean(more)]),
        np.zeros(34),
    )
    points = data(50, seed=3).features
    for believed, expected, alone in zip(
        posterior.believing(more).predict(points),
        Posterior(parameters, extended).predict(points),
        posterior.predict(points),
        strict=True,
    ):
        assert believed == pytest.approx(expected, abs=1e-7)
        assert (believed <= alone + 1e-9).all()


def test_the_logarithm_of_the_improvement_is_safe():
    """It is the formula where that can be computed, and has a slope where that is 0."""
    z = np.linspace(-5, 5, 101)
    expected = np.log(np.exp(-z * z / 2) / math.sqrt(2 * math.pi) + z * ndtr(z))
    assert log_h(z) == pytest.approx(expected, abs=1e-8)
    far = -np.array([30.0, 1e2, 1e3, 9.9e3, 1.01e4, 1e6])
    assert log_h(far) == pytest.approx(-far * far / 2 - math.log(2 * math.pi) / 2 - 2 * np.log(-far), rel=1e-3)
    assert (np.diff(log_h(np.linspace(-2e4, 10, 1000))) > 0).all()


@pytest.mark.parametrize("members", [1, 2])
def test_the_slope_of_the_improvement_is_right(members):
    """By every feature, with one model and with two, with a running trial and with a gate."""
    posteriors = [
        Posterior(np.array([*[-0.5] * CUBE.dimension, -4 + place, 0.3]), data(seed=place)) for place in range(members)
    ]
    running = data(1, seed=9).features
    gates = [Gate(it, -0.2).believing(running) for it in posteriors[1:]]
    improvement = Improvement([it.believing(running) for it in posteriors], gates)
    for point in data(8, seed=4).features:
        value, slope = improvement.slope(point)
        assert value == pytest.approx(improvement.at(point[None])[0], abs=1e-7)
        expected = differences(lambda it: improvement.slope(it)[0], point)
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_polishing_goes_uphill_on_a_grid():
    """Continuous coordinates become multiples of 1 / 4096, within the box; the others stay."""
    improvement = Improvement([Posterior(np.array([*[-0.5] * CUBE.dimension, -4, 0.3]), data())])
    box = Box(np.full(CUBE.dimension, 0.25), np.full(CUBE.dimension, 0.75))
    gains = []
    for point in CUBE.snapped(box.filled(np.random.default_rng(1).random((6, CUBE.dimension)))):
        moved = polished(CUBE, improvement, box, point)
        assert (moved[CUBE.free] * 4096 % 1 == 0).all()
        assert ((moved >= 0.25) & (moved <= 0.75))[CUBE.free].all()
        fixed = [place for place in range(CUBE.dimension) if place not in CUBE.free]
        assert (moved[fixed] == point[fixed]).all()
        before, after = improvement.at(CUBE.features(np.array([point, moved])))
        gains.append(after - before)
    assert min(gains) > -1e-3
    assert max(gains) > 0.1


def test_the_bad_tail_is_cut():
    """One terrible loss leaves the differences between the others as they are."""
    losses = [1.0, 2, 3, 4, 5, 6, 7, 8]
    told = targets(results([*losses, 1e9]), ONE)
    assert np.diff(told)[:-1] == pytest.approx(np.full(7, told[1] - told[0]))
    assert told[-1] - told[0] == pytest.approx(12 * (told[1] - told[0]))  # q75 is 7, so the limit is 13
    assert (told.mean(), told.std()) == pytest.approx((0, 1), abs=1e-9)


@pytest.mark.parametrize("losses", [[3.0] * 6, [0.0] * 6, [1e308, -1e308, 0, 1, 2, 3], [1, 1 + 1e-15, 1, 1, 1, 1]])
def test_no_losses_are_too_equal_or_too_large(losses):
    """Constant ones are zeros, and all numbers stay finite."""
    told = targets(results(losses), ONE)
    assert np.isfinite(told).all()
    assert np.isfinite(normal_scores(told)).all()
    assert losses[0] != losses[2] or told[:1] == pytest.approx([0], abs=0.5)


def test_failed_and_pruned_trials_count_as_bad():
    """A failure is the worst, a pruned trial too unless its value is between the median and the worst."""
    completed = [True] * 5 + [False] * 3
    told = targets(results([1, 2, 3, 4, 5, math.nan, 1.5, 4.5], completed), ONE)
    assert told[5] == told[6] == told[4] == max(told)
    assert told[3] < told[7] < told[4]


def test_studies_are_standardised_by_themselves():
    """Another study's losses may have another scale; this study's first result is seen on the other's scale."""
    other, origins = [10, 20, 30, 40, 50], [1] * 5
    alone = targets(results(other, origins=origins), ONE)
    told = targets(results([*other, 10, 11, 12, 13, 14], origins=[*origins, *[OWN] * 5]), ONE)
    assert np.diff(np.argsort(told[:5])).tolist() == np.diff(np.argsort(alone)).tolist()
    assert told[5] < told[6] < told[9]
    assert told[5:].mean() == pytest.approx(told[:5].mean())
    (first,) = targets(results([*other, 30], origins=[*origins, OWN]), ONE)[5:]
    assert first == pytest.approx(0, abs=0.2)


def test_weights_choose_a_part_of_the_pareto_front():
    """Each objective alone decides when its weight is 1; with equal weights the middle is best."""
    front = results([[0, 1.0], [0.3, 0.3], [1, 0], [1, 1]])
    for weights, best in (([0.999, 0.001], 0), ([0.5, 0.5], 1), ([0.001, 0.999], 2)):
        assert targets(front, np.array(weights)).argmin() == best


def test_thinning_keeps_the_best_the_latest_and_spread_ones():
    """In order, so many as allowed; all if they are fewer."""
    generator = np.random.default_rng(1)
    losses, features = generator.random(300), generator.random((300, 2))
    features[6] = 9, 9
    kept = thinned(losses, features, 50)
    assert len(kept) == 50
    assert sorted(set(kept.tolist())) == kept.tolist()
    assert set(np.argsort(losses)[:20].tolist()) | set(range(290, 300)) | {6} <= set(kept.tolist())
    assert thinned(losses, features, 300).tolist() == list(range(300))


def test_the_box_halves_after_failures():
    """After 2 d results without an improvement; an improvement starts the count again; a tiny box begins anew."""
    start = np.zeros(100)
    assert side(start, 3) == 0.8
    assert side(np.append(start, np.ones(5)), 3) == 0.8
    assert side(np.append(start, np.ones(6)), 3) == 0.4
    assert side(np.append(start, [1, 1, 1, -1, 1, 1, 1]), 3) == 0.8
    assert side(np.append(start, np.ones(6 * 7)), 3) == 0.8


def test_neighbours_are_near_and_never_the_same():
    """Some coordinate of each has moved, but for a category that was drawn again or a step beyond the bound."""
    origin = CUBE.snapped(np.full((1, CUBE.dimension), 0.4))
    points = CUBE.snapped(neighbours(CUBE, np.random.default_rng(1), origin, 400, 1.0))
    same = (points == origin).all(axis=1)
    assert same.mean() < 0.35
    assert np.median(np.abs(points - origin)[:, 1]) < 0.1
    assert {SPACE.decode(point)["layers"] for point in points.tolist()} == {1, 2, 3, 4}
    assert {SPACE.decode(point)["kind"] for point in points.tolist()} == {"a", "b", "c"}


def test_the_farthest_point_comes_first():
    """Measured from the nearest known point."""
    points = CUBE.snapped(spread(CUBE, 1, 64))
    ordered = farthest(CUBE, points, [points[0], points[1]])
    known = CUBE.features(points[:2])
    gaps = [((CUBE.features(point[None]) - known) ** 2).sum(axis=1).min() for point in ordered]
    assert gaps == sorted(gaps, reverse=True)
    assert len(spread(CUBE, 1, 5)) == 5


def test_memory_keeps_the_last_results():
    """And asks again for those that it has lost."""
    made = []
    memory = Memory(2)
    for key in (b"a", b"b", b"a", b"c", b"b", b"a"):
        assert memory.get(key, lambda key=key: made.append(key) or key) == key
    assert made == [b"a", b"b", b"c", b"a"]


def test_the_linear_algebra_uses_one_thread():
    """Inside only, as long as any study needs it."""

    def threads():
        return {it["num_threads"] for it in threadpool_info() if it["user_api"] == "blas"}

    before = threads()
    first, second = one_thread(), one_thread()  # of two studies, in two threads
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == before


def test_equal_acquisitions_fall_to_the_first():
    """A last digit decides nothing."""

    class Tipped(Posterior):
        def __init__(self):
            self.best = 0.0

        def predict(self, features):
            return np.array([random.Random(1).random() * 1e-13 + place * -1e-14 for place in range(5)]), np.ones(5)

    points = np.arange(5.0)[:, None] / 8
    cube = Cube(SearchSpace({"x": ContinuousParameter(0, 1)}))
    assert Improvement([Tipped()]).ranked(cube, points).tolist() == points.tolist()
