"""Improvement for each second or dollar: the model of what trials cost, and what it changes in a study."""

import attrs
import numpy as np
import pytest
from byohpo_plugin_gp import GaussianProcessSearch
from byohpo_plugin_gp.acquisition import Gate, Improvement, Price
from byohpo_plugin_gp.committee import Committee
from byohpo_plugin_gp.coordinates import Cube
from byohpo_plugin_gp.history import Results, read
from byohpo_plugin_gp.model import Data, Posterior

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    InvalidInput,
    OutcomeConstraint,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
    hookimpl,
)
from byohpo_core.backendspecs import Ended
from byohpo_core.journal import open_journal

RANGES = {
    "x": ContinuousParameter(-1, 1),
    "y": ContinuousParameter(-1, 1),
    "size": CategoricalParameter(["small", "large"]),
}
CUBE = Cube(SearchSpace(RANGES))


def job(hyperparameters):
    """The loss depends on x and y alone; a large job lasts a hundred times longer, and fails where y is large."""
    large = hyperparameters["size"] == "large"
    failure = "too large" if large and hyperparameters["y"] > 0.5 else None
    loss = (hyperparameters["x"] - 0.3) ** 2 + hyperparameters["y"] ** 2
    metrics = {"loss": loss, "other": -hyperparameters["x"], "memory": 1 + hyperparameters["y"]}
    return Simulation(metrics, 6000 if large else 60, failure)


def tuner(per=None, job=job, metrics="loss", **settings):
    settings = {"max_jobs": 16, "max_parallel_jobs": 3, "random_seed": 1, "journal": ":memory:", **settings}
    settings = {"strategy": "gp", "strategy_options": {"per": per}, **settings}
    estimator = settings.pop("estimator", Simulated(job))
    return Tuner(estimator, metrics, RANGES, objective_type="Minimize", progress=False, **settings)


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials]


def spent(study):
    return sum(trial.seconds for trial in study.trials)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Journals are written to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def costing(costs):
    """Results with these costs at random points of `RANGES`."""
    count = len(costs)
    points = CUBE.snapped(np.random.default_rng(1).random((count, CUBE.dimension)))
    whole = Results(points, np.zeros((count, 1)), np.ones(count, dtype=bool), np.zeros(count, dtype=int))
    return attrs.evolve(whole, costs=np.array(costs, dtype=float))


def test_the_logarithm_of_the_cost_is_learnt():
    """Where a cost grows exponentially, the price of another point is that cost to the power, but for a constant."""
    at = costing(np.ones(20)).points[:, 0]
    (price,) = Committee(CUBE, 100).prices(costing(60 * np.exp(3 * at)), 0.5)
    others = CUBE.snapped(np.random.default_rng(2).random((50, CUBE.dimension)))
    told = price.at(CUBE.features(others))
    assert told - told[0] == pytest.approx(-0.5 * 3 * (others[:, 0] - others[0, 0]), abs=0.1)


def test_unknown_costs_are_left_out():
    """What is known is told all the same; below three known costs there is no price, and equal ones are no matter."""
    committee = Committee(CUBE, 100)
    assert committee.prices(costing([60, np.nan, 600, np.nan]), 1) == []
    assert len(committee.prices(costing([60, np.nan, 600, 70]), 1)) == 1
    (price,) = committee.prices(costing([60.0] * 5), 1)
    assert price.at(CUBE.features(costing(np.ones(9)).points)) == pytest.approx(np.zeros(9), abs=1e-9)


@pytest.mark.parametrize("gated", [False, True], ids=["alone", "with a gate"])
def test_the_slope_of_improvement_for_its_price_is_right(gated):
    """By every feature; the price divides the improvement."""
    generator = np.random.default_rng(3)
    points = CUBE.snapped(generator.random((25, CUBE.dimension)))
    rows = points, CUBE.features(points), CUBE.owners
    posteriors = [
        Posterior(np.array([-0.5, -0.4, 0, -4, 0.3]), Data(*rows, generator.standard_normal(25), np.zeros(25)))
        for _ in range(3)
    ]
    price, gates = Price(posteriors[1], 0.7), [Gate(posteriors[2], 0.1)] * gated
    plain, weighed = Improvement(posteriors[:1], gates), Improvement(posteriors[:1], [*gates, price])
    for point in CUBE.features(CUBE.snapped(generator.random((6, CUBE.dimension)))):
        value, slope = weighed.slope(point)
        assert value == pytest.approx(plain.slope(point)[0] - 0.7 * posteriors[1].mean(point[None])[0])
        assert value == pytest.approx(weighed.at(point[None])[0], abs=1e-7)
        steps = np.eye(len(point)) * 1e-6
        expected = [(weighed.slope(point + it)[0] - weighed.slope(point - it)[0]) / 2e-6 for it in steps]
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_two_equally_good_trials_the_cheap_one_runs(seed):
    """A large job is no better and lasts a hundred times longer; the best is as good in half of the time."""
    plain, weighed = (tuner(per, max_jobs=25, random_seed=seed).fit() for per in (None, "second"))
    assert spent(weighed) < 0.5 * spent(plain)
    assert weighed.best.value < 0.01


def test_a_dear_trial_runs_where_it_is_better():
    """A small job cannot reach what a large one can."""

    def better_large(hyperparameters):
        told = job(hyperparameters)
        return attrs.evolve(told, metrics={"loss": told.metrics["loss"] + (hyperparameters["size"] == "small")})

    best = tuner("second", better_large, max_jobs=25).fit().best
    assert best.hyperparameters["size"] == "large"
    assert best.value < 0.05


def test_without_it_durations_change_nothing():
    """One after another, the same configurations are proposed whatever they last; with it, others."""

    def as_long(hyperparameters):
        return attrs.evolve(job(hyperparameters), seconds=60)

    def made(per, function):
        return configurations(tuner(per, function, max_parallel_jobs=1).fit())

    assert made(None, job) == made(None, as_long) == made("second", as_long)
    assert made("second", job) != made(None, job)


class Forgetful:
    """Asks a new instance each time."""

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def propose(self, study, count):
        return GaussianProcessSearch(self.problem, per="second").propose(study, count)


@pytest.mark.parametrize(
    "settings",
    [{}, {"metrics": ["loss", "other"]}, {"constraints": [OutcomeConstraint("memory", at_most=0.8)]}],
    ids=["one objective", "two objectives", "an outcome constraint"],
)
def test_a_fresh_instance_proposes_the_same(settings):
    """The model of the costs remembers nothing; with several objectives and an outcome constraint too."""
    whole = tuner("second", **settings).fit()
    assert whole.jobs == 16
    again = tuner(**settings, strategy=Forgetful, strategy_options={}).fit()
    assert configurations(again) == configurations(whole)
    assert configurations(tuner(**settings).fit()) != configurations(whole)


def test_a_study_resumes_with_the_same_durations():
    """Whatever the journal ends with, the trials are those of the study that ran through."""
    tuner("second", journal="whole.db", max_jobs=9).fit(job_name="s")
    whole = open_journal("whole.db")
    log = whole.find("s")
    events = [*log.read()]
    expected = configurations(log.study())
    for boundary in range(1, len(events), 3):
        part = open_journal(f"{boundary}.db")
        part.take(log.record, events[:boundary])
        part.close()
        attached = Tuner.attach("s", journal=f"{boundary}.db", estimator=Simulated(job), progress=False)
        study = attached.study if attached.study.stop_reason else attached.resume()
        assert configurations(study) == expected
    whole.close()


def test_many_results_have_a_price_too():
    """Above 100, when the search is in a box every second time."""
    study = tuner("second", max_jobs=106, max_parallel_jobs=2, strategy_options={"per": "second", "committee": 0}).fit()
    assert study.jobs == 106
    assert study.best.value < 1e-3


class Priced(Simulated):
    """Jobs of which the small ones cost a hundred times more: they have a dear machine."""

    def connect(self, study, settings):
        backend = super().connect(study, settings)
        sizes, poll = {}, backend.poll

        def priced(trials, wait_seconds):
            sizes.update((trial.job_name, trial.hyperparameters["size"]) for trial in trials)
            return [
                attrs.evolve(it, details={"cost": 1.0 if sizes[it.job_name] == "large" else 100.0})
                if isinstance(it, Ended)
                else it
                for it in poll(trials, wait_seconds)
            ]

        backend.poll = priced
        return backend


def test_dollars_are_what_the_backend_says():
    """Not the seconds; if it says nothing, all is as without."""
    assert configurations(tuner("dollar").fit()) == configurations(tuner().fit())
    seconds, dollars = (tuner(per, estimator=Priced(job), max_jobs=25).fit() for per in ("second", "dollar"))
    assert dollars.cost < 0.5 * seconds.cost
    assert spent(seconds) < 0.5 * spent(dollars)


def test_only_completed_trials_have_costs():
    """A failed one ended early; no cost is read without being asked for."""
    study = tuner(max_jobs=30, strategy="random", strategy_options={}).fit()
    completed = [trial.values is not None for trial in study.trials]
    assert 0 < sum(completed) < 30

    def costs(per):
        found = read(study, lambda trial: CUBE.encode(trial.proposal.hyperparameters), CUBE, per)
        return found.results.costs.tolist()

    known = [trial.seconds for trial in study.trials if trial.values is not None]
    assert [it for it in costs("second") if np.isfinite(it)] == known
    assert not np.isfinite(costs(None)).any()
    assert not np.isfinite(costs("dollar")).any()


@pytest.mark.parametrize("per", ["minute", 1, True, ["second"]], ids=str)
def test_an_unknown_unit_is_refused(per):
    """Before any job starts; the error names the option and the units."""
    with pytest.raises(InvalidInput, match=r"'gp'.*per.*second.*dollar"):
        tuner(per)


def test_after_a_warm_start_the_price_counts_from_the_first_trial():
    """The earlier study's trials are no part of this one's budget, and their durations are known."""
    tuner(journal="studies.db", strategy="random", strategy_options={}, max_jobs=30).fit(job_name="parent")
    plain, weighed = (
        tuner(per, journal="studies.db", max_jobs=10, random_seed=2, warm_start_from=["parent"]).fit()
        for per in (None, "second")
    )
    small = [trial.hyperparameters["size"] == "small" for trial in weighed.trials if not trial.prior]
    assert sum(small[:6]) >= 5
    assert configurations(plain) != configurations(weighed)
