"""The colony as a whole: its generations, what it learns, and that it draws as pygmo does."""

import random
import statistics
import sys
from importlib.util import find_spec

import pytest
from byohpo_plugin_aco import AntColony
from byohpo_plugin_aco.coordinates import Coordinates

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Objective,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
)

pytestmark = pytest.mark.skipif(find_spec("pygmo") is None, reason="PyPI has no pygmo for this system")

MIXED = {
    "layers": IntegerParameter(1, 12),
    "x": ContinuousParameter(-5, 5),
    "kind": CategoricalParameter(["a", "b", "c"]),
    "rate": ContinuousParameter(1e-6, 1, "Logarithmic"),
    "flag": IntegerParameter(0, 1),
    "rows": IntegerParameter(1, 10**7, "Logarithmic"),
    "one": IntegerParameter(4, 4),
}
CUBE = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(4)}


def job(hyperparameters):
    """Best at x = 1, with 3 layers of kind b and the flag; it fails where x < -4, and lasts longer where x is large."""
    x = hyperparameters["x"]
    loss = (x - 1) ** 2 + 0.5 * (hyperparameters["layers"] - 3) ** 2 + (hyperparameters["kind"] != "b")
    return Simulation({"loss": loss - hyperparameters["flag"]}, 60 + 10 * abs(x), "diverged" if x < -4 else None)


def bowl(hyperparameters):
    return Simulation({"loss": sum((value - 0.3) ** 2 for value in hyperparameters.values())}, 60)


def flat(_):
    return Simulation({"loss": 1.0}, 60)


def tuner(job=job, ranges=MIXED, metrics="loss", **settings):
    settings = {"max_jobs": 40, "max_parallel_jobs": 3, "random_seed": 1, "journal": ":memory:", **settings}
    return Tuner(
        Simulated(job), metrics, ranges, objective_type="Minimize", progress=False, **{"strategy": "aco", **settings}
    )


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials if not trial.prior]


def plugin(max_jobs, slots, **options):
    return AntColony(Problem(SearchSpace(CUBE), (Objective("loss", "Minimize"),), 1, max_jobs, slots), **options)


def test_whole_numbers_are_the_last_coordinates():
    """As pygmo wants it. A logarithmic integer has a coordinate like a number, a category has one for each value."""
    coordinates = Coordinates(SearchSpace(MIXED))
    assert coordinates.names == ("x", "kind", "rate", "rows", "one", "layers", "flag")
    assert coordinates.sizes == (0, 0, 0, 0, 0, 0, 0, 12, 2)
    assert (coordinates.whole, coordinates.bounds[1]) == (2, [1.0] * 7 + [11.0, 1.0])


def test_a_configuration_and_its_coordinates_are_the_same_thing():
    space, generator = SearchSpace(MIXED), random.Random(1)
    coordinates = Coordinates(space)
    for _ in range(200):
        configuration = space.sample(generator)
        decoded = coordinates.decode(coordinates.encode(configuration))
        assert [*decoded] == [*configuration]
        assert decoded == pytest.approx(configuration)


def test_it_draws_what_pygmo_draws_in_a_loop_of_its_own(monkeypatch):
    """From the same first generation, bit for bit, also of whole numbers."""
    import pygmo

    space = SearchSpace({"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1), "n": IntegerParameter(0, 9)})
    problem = Problem(space, (Objective("loss", "Minimize"),), 1, 200, 1)
    generations, drawn, settings, gaco = [], [], {}, pygmo.gaco

    class Landscape:
        def get_bounds(self):
            return [0, 0, 0], [1, 1, 9]

        def get_nix(self):
            return 1

        def fitness(self, point):
            drawn.append(point.tolist())
            return [loss(point)]

    def loss(point):
        return (point[0] - 0.3) ** 2 + (point[1] - 0.6) ** 2 + (point[2] - 4) ** 2 / 50

    def evaluate(points):
        if len(generations) == 15:
            raise KeyboardInterrupt
        generations.append(list(points))
        return [loss(point) for point in points]

    monkeypatch.setattr(pygmo, "gaco", lambda **options: settings.update(options) or gaco(**options))
    # With more marks they differ: in its own loop pygmo makes no new mark after a generation without a new best.
    with pytest.raises(KeyboardInterrupt):
        AntColony(problem, ants=8, archive=5, n_gen_mark=1)._forage(evaluate)
    population = pygmo.population(Landscape())
    for point in generations[0]:
        population.push_back(point, [loss(point)])
    pygmo.algorithm(gaco(**{**settings, "gen": 15, "threshold": 15, "memory": False})).evolve(population)
    assert drawn[: 14 * 8] == [point for generation in generations[1:] for point in generation]


@pytest.mark.parametrize(("slots", "ants"), [(1, 6), (2, 6), (4, 8), (5, 10), (7, 7), (32, 32)])
def test_a_generation_fills_the_slots(slots, ants):
    """Its size is a multiple of theirs, and all of it is proposed before a result is in."""
    assert plugin(200, slots).ants == ants
    study = tuner(max_jobs=64, max_parallel_jobs=slots).fit()
    first = [trial for trial in study.trials if trial.started == study.trials[0].started]
    assert len(first) == slots


@pytest.mark.parametrize(("jobs", "archive", "ants"), [(1, 2, 6), (18, 3, 6), (50, 4, 6), (200, 6, 6), (2**40, 39, 39)])
def test_a_larger_budget_keeps_more(jobs, archive, ants):
    """Also one beyond all memory."""
    assert (plugin(jobs, 1).archive, plugin(jobs, 1).ants) == (archive, ants)
    assert plugin(jobs, 1, ants=2).archive == 2


@pytest.mark.parametrize("jobs", [18, 60])
def test_it_finds_more_than_random_search(jobs):
    def best(strategy, seed):
        return tuner(strategy=strategy, max_jobs=jobs, random_seed=seed).fit().best.value

    pairs = [(best("aco", seed), best("random", seed)) for seed in range(12)]
    assert statistics.median(mine - theirs for mine, theirs in pairs) < 0
    assert sum(mine < theirs for mine, theirs in pairs) >= 8


def test_losses_as_large_as_floats_are_do_not_end_the_learning():
    """pygmo multiplies them, and an archive with one of them would stay as it is."""

    def steep(hyperparameters):
        loss = bowl(hyperparameters).metrics["loss"]
        return Simulation({"loss": sys.float_info.max if hyperparameters["x0"] > 0.4 else loss}, 60)

    study = tuner(steep, CUBE, max_jobs=120, strategy_options={"impstop": 1000}).fit()
    assert statistics.median(trial.value for trial in study.trials[90:]) < 0.1


def test_only_the_order_of_losses_counts():
    """Not how much they differ, which by default pygmo holds against them."""

    def shallow(hyperparameters):
        return Simulation({"loss": bowl(hyperparameters).metrics["loss"] / 2**30}, 60)

    assert configurations(tuner(shallow, CUBE).fit()) == configurations(tuner(bowl, CUBE).fit())


def test_a_colony_that_learns_nothing_more_makes_way_for_another():
    """With equal losses the archive stays as it is, and so would the search."""

    def found(impstop):
        options = {"impstop": impstop}
        return configurations(tuner(flat, CUBE, max_jobs=60, max_parallel_jobs=1, strategy_options=options).fit())

    patient, impatient = found(1000), found(2)
    assert impatient[:12] == patient[:12]
    assert impatient[12:] != patient[12:]


def test_the_first_generation_is_half_of_what_other_studies_found(tmp_path):
    """And half new, so that the ants do not only walk where others were."""
    journal = str(tmp_path / "studies.db")
    old = tuner(bowl, CUBE, max_jobs=60, journal=journal).fit(job_name="old")
    new = tuner(bowl, CUBE, max_jobs=20, journal=journal, random_seed=2, warm_start_from=["old"]).fit(job_name="new")
    best = sorted(old.trials, key=lambda trial: trial.losses)[:3]
    first = [trial for trial in new.trials if not trial.prior][:6]
    assert [trial.hyperparameters for trial in first[:3]] == [trial.hyperparameters for trial in best]
    assert [trial.result_of is None for trial in first] == [False] * 3 + [True] * 3
    assert statistics.median(trial.value for trial in new.trials[-14:]) < statistics.median(
        trial.value for trial in tuner(bowl, CUBE, max_jobs=20, random_seed=2).fit().trials[-14:]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ants": 1}, "ants"),
        ({"ants": 10**6}, "ants.*100000"),
        ({"archive": 1}, "archive"),
        ({"archive": 7}, r"archive is 7.*ants.*\b6\b"),
        ({"q": 0.0}, "q"),
        ({"n_gen_mark": 0}, "n_gen_mark"),
        ({"impstop": 1}, "impstop"),
        ({"ker": 4}, "ker"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        tuner(strategy_options=options).fit()


@pytest.mark.parametrize("options", [{"ants": 9}, {"archive": 2}, {"q": 10.0}, {"n_gen_mark": 1}], ids=str)
def test_options_have_an_effect(options):
    """On what follows the first generation."""
    usual = configurations(tuner(bowl, CUBE).fit())
    assert configurations(tuner(bowl, CUBE, strategy_options=options).fit())[9:] != usual[9:]


def test_several_objectives_are_refused():
    with pytest.raises(InvalidInput, match="one objective"):
        tuner(metrics=["loss", "time"]).fit()
