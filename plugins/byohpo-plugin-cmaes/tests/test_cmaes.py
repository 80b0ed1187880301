"""The strategy as a whole: what it proposes in a study, and that it uses every result."""

import random
import statistics

import pytest
from byohpo_plugin_cmaes import CmaEs
from byohpo_plugin_cmaes.axes import Axes
from byohpo_plugin_cmaes.evolution import Evolution, Result

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
    hookimpl,
)

MIXED = {
    "x": ContinuousParameter(-5, 5),
    "rate": ContinuousParameter(1e-6, 1, "Logarithmic"),
    "layers": IntegerParameter(1, 12),
    "rows": IntegerParameter(1, 10**7, "Logarithmic"),
    "kind": CategoricalParameter(["a", "b", "c"]),
    "flag": IntegerParameter(0, 1),
}
CUBE = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(5)}


def job(hyperparameters):
    """Best at x = 1, with 3 layers of kind b and the flag; it fails where x < -4, and lasts longer where x is large."""
    x = hyperparameters["x"]
    loss = (x - 1) ** 2 + 0.5 * (hyperparameters["layers"] - 3) ** 2 + (hyperparameters["kind"] != "b")
    return Simulation({"loss": loss - hyperparameters["flag"]}, 60 + 10 * abs(x), "diverged" if x < -4 else None)


def bowl(hyperparameters):
    loss = sum(10**axis * (value - 0.3) ** 2 for axis, value in enumerate(hyperparameters.values()))
    return Simulation({"loss": loss}, 50 + 40 * hyperparameters["x0"])


def tuner(job=job, ranges=MIXED, metrics="loss", **settings):
    settings = {"max_jobs": 40, "max_parallel_jobs": 3, "random_seed": 1, "journal": ":memory:", **settings}
    return Tuner(
        Simulated(job), metrics, ranges, objective_type="Minimize", progress=False, **{"strategy": "cmaes", **settings}
    )


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials if not trial.prior]


class Forgetful:
    """Asks a new instance each time."""

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def propose(self, study, count):
        return CmaEs(self.problem).propose(study, count)


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_a_fresh_instance_proposes_the_same(slots):
    """Nothing is remembered between calls that changes a proposal: also with failures and trials out of order."""
    whole = tuner(max_parallel_jobs=slots).fit()
    assert whole.jobs == 40
    assert any(trial.losses is None for trial in whole.trials)
    assert configurations(tuner(strategy=Forgetful, max_parallel_jobs=slots).fit()) == configurations(whole)


def results(count, space=CUBE, first=0):
    """Results of a random search, as the strategy takes them."""
    axes, generator = Axes(SearchSpace(space)), random.Random(1)
    drawn = [SearchSpace(space).sample(generator) for _ in range(count)]
    return axes, [
        Result(first + number, axes.solution(it), axes.point(it), sum(map(float, axes.point(it))))
        for number, it in enumerate(drawn)
    ]


@pytest.mark.parametrize("population", [4, 7, 16])
def test_every_result_is_used(population):
    """Whatever was drawn together: only the last generation may still wait for more."""
    axes, known = results(101)
    evolution = Evolution(axes, 1, population, 6, 0.1)
    evolution.optimizer(known, [])
    used = evolution._states[-1].used
    assert used == tuple(range(len(used)))
    assert len(known) - len(used) < population


def test_a_result_that_comes_late_counts():
    """Also the strategy of generations long past is made anew, and the best result takes part in each."""
    axes, known = results(200)
    evolution = Evolution(axes, 1, 4, 6, 0.1)
    missing = [result for result in known if result.number != 10]
    before = evolution.optimizer(missing, [])
    best = Result(10, known[10].solution, known[10].point, -100.0)
    after = evolution.optimizer([*known[:10], best, *known[11:]], [])
    distance = [abs(it._mean - best.point).max() for it in (before, after)]
    assert distance[1] < distance[0] / 2
    again = Evolution(axes, 1, 4, 6, 0.1).optimizer(missing, [])
    assert (again._mean == evolution.optimizer(missing, [])._mean).all()


def test_a_strategy_that_has_converged_begins_anew_with_twice_the_population():
    axes, known = results(6)
    points = [Result(6 + number, known[0].solution, known[0].point, 1.0) for number in range(12)]
    evolution = Evolution(axes, 1, 4, 6, 0.1)
    assert evolution.optimizer([*known, *points[:4]], []).population_size == 8
    assert evolution.optimizer([*known, *points], []).population_size == 16
    assert [state.begun for state in evolution._states] == [0, 10, 18]


@pytest.mark.parametrize(("job", "ranges"), [(job, MIXED), (bowl, CUBE)], ids=["mixed", "ill-conditioned"])
def test_it_finds_more_than_random_search(job, ranges):
    def best(strategy, seed):
        study = tuner(job, ranges, strategy=strategy, max_jobs=60, max_parallel_jobs=4, random_seed=seed).fit()
        return study.best.value

    pairs = [(best("cmaes", seed), best("random", seed)) for seed in range(8)]
    assert statistics.median(mine - theirs for mine, theirs in pairs) < 0
    assert sum(mine < theirs for mine, theirs in pairs) >= 6


def test_integers_and_categories_keep_a_chance():
    """Late in the search, neighbours and other categories are still tried."""
    study = tuner(max_jobs=150).fit()
    late = [trial.hyperparameters for trial in study.trials[100:]]
    assert len({it["layers"] for it in late}) > 1
    assert len({it["kind"] for it in late}) > 1


def test_results_of_another_study_are_where_it_begins(tmp_path):
    """Its first proposals are near the best of them."""
    journal = str(tmp_path / "studies.db")
    old = tuner(bowl, CUBE, max_jobs=60, journal=journal).fit(job_name="old")
    new = tuner(bowl, CUBE, max_jobs=8, journal=journal, random_seed=2, warm_start_from=["old"]).fit(job_name="new")
    cold = tuner(bowl, CUBE, max_jobs=8, random_seed=2).fit()
    assert new.trials[-1].number == 67
    values = [statistics.median(trial.value for trial in study.trials[-8:]) for study in (new, cold)]
    assert values[0] < values[1] / 10
    assert old.best.value < values[1]


def test_a_new_epoch_goes_on_where_the_last_one_ended(tmp_path):
    """Its own results are no strangers': the strategy that they made is still there."""
    journal = str(tmp_path / "studies.db")
    tuner(bowl, CUBE, max_jobs=80, journal=journal).fit(job_name="s")
    attached = Tuner.attach("s", journal=journal, estimator=Simulated(bowl), progress=False)
    study = attached.resume(max_jobs=100)
    last, before = ([trial.value for trial in study.trials[part]] for part in (slice(80, 100), slice(0, 80)))
    assert statistics.median(last) < sorted(before)[20]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"population": 3}, "population"), ({"startup": 0}, "startup"), ({"step": 0.0}, "step"), ({"size": 4}, "size")],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(InvalidInput, match=words):
        tuner(strategy_options=options).fit()


def test_options_have_an_effect():
    """Another number of first trials, another step and another population each give other proposals."""
    usual = configurations(tuner(bowl, CUBE).fit())
    for options in ({"startup": 12}, {"step": 0.3}, {"population": 9}):
        others = configurations(tuner(bowl, CUBE, strategy_options=options).fit())
        assert others[:6] == usual[:6]
        assert others != usual


def test_several_objectives_are_refused():
    with pytest.raises(InvalidInput, match="one objective"):
        tuner(metrics=["loss", "time"]).fit()
