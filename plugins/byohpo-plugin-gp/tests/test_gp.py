"""The searcher as a whole: what it proposes in a study."""

import itertools
import statistics
import time

import pytest
from byohpo_plugin_gp import GaussianProcessSearch
from byohpo_plugin_gp.coordinates import Cube
from byohpo_plugin_gp.history import OWN, read

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    Objective,
    OutcomeConstraint,
    Problem,
    SearchSpace,
    Simulated,
    Simulation,
    Tuner,
    hookimpl,
)
from byohpo_core.journal import open_journal

MIXED = {
    "x": ContinuousParameter(-5, 5),
    "rate": ContinuousParameter(1e-6, 1, "Logarithmic"),
    "momentum": ContinuousParameter(0.5, 0.999, "ReverseLogarithmic"),
    "layers": IntegerParameter(1, 4),
    "rows": IntegerParameter(1, 10**7, "Logarithmic"),
    "kind": CategoricalParameter(["a", "b", "c"]),
}


def job(hyperparameters):
    """Best at x = 1, with 3 layers of kind b; it fails where x < -4, and lasts longer where x is large."""
    x = hyperparameters["x"]
    loss = (x - 1) ** 2 + 0.5 * (hyperparameters["layers"] - 3) ** 2 + (hyperparameters["kind"] != "b")
    return Simulation({"loss": loss}, 60 + 10 * abs(x), "diverged" if x < -4 else None)


def tuner(job=job, ranges=MIXED, metrics="loss", **settings):
    settings = {"max_jobs": 14, "max_parallel_jobs": 3, "random_seed": 1, "journal": ":memory:", **settings}
    return Tuner(
        Simulated(job), metrics, ranges, objective_type="Minimize", progress=False, **{"strategy": "gp", **settings}
    )


def configurations(study):
    return [dict(trial.hyperparameters) for trial in study.trials if not trial.prior]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Journals are written to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


class Forgetful:
    """Asks a new instance each time."""

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def propose(self, study, count):
        return GaussianProcessSearch(self.problem).propose(study, count)


def test_a_fresh_instance_proposes_the_same():
    """Nothing is remembered between calls that changes a proposal: also with failures and trials out of order."""
    whole = tuner().fit()
    assert whole.jobs == 14
    assert any(trial.losses is None for trial in whole.trials)
    assert configurations(tuner(strategy=Forgetful).fit()) == configurations(whole)
    assert configurations(tuner(random_seed=2).fit()) != configurations(whole)


def test_a_study_resumes_from_every_event_of_its_journal():
    """Whatever the journal ends with, the trials are those of the study that ran through."""
    tuner(journal="whole.db", max_jobs=8, strategy_options={"startup": 3}).fit(job_name="s")
    whole = open_journal("whole.db")
    log = whole.find("s")
    events = [*log.read()]
    expected = [(dict(trial.hyperparameters), trial.values) for trial in log.study().trials]
    assert len(events) > 20
    for boundary in range(1, len(events)):
        part = open_journal(f"{boundary}.db")
        part.take(log.record, events[:boundary])
        part.close()
        attached = Tuner.attach("s", journal=f"{boundary}.db", estimator=Simulated(job), progress=False)
        study = attached.study if attached.study.stop_reason else attached.resume()
        assert [(dict(trial.hyperparameters), trial.values) for trial in study.trials] == expected
    whole.close()


def test_no_configuration_is_proposed_twice_and_a_small_space_is_used_up():
    """Each of 24 configurations has one trial, also where several run; then there is nothing more."""
    ranges = {name: MIXED[name] for name in ("layers", "kind")} | {"flag": CategoricalParameter([True, False])}
    study = tuner(lambda it: job({"x": 0.0, **it}), ranges, max_jobs=40, max_parallel_jobs=4).fit()
    assert study.jobs == len(study.trials) == 24
    assert len({tuple(it.values()) for it in configurations(study)}) == 24
    best = {"layers": 3, "kind": "b"}
    assert any(best.items() <= it.items() for it in configurations(study)[:12])


def test_a_small_space_with_conditions_and_constraints_is_used_up():
    """Each configuration with active parameters that obeys is tried once."""
    ranges = {
        "kind": CategoricalParameter(["a", "b"]),
        "n": IntegerParameter(1, 6),
        "m": IntegerParameter(1, 5, when={"kind": ["b"]}),
    }
    study = tuner(
        lambda h: Simulation({"loss": h["n"] + h.get("m", 9)}, 60),
        ranges,
        constraints=[Constraint({"n": 1, "m": 1}, at_most=5)],
        max_jobs=60,
    ).fit()
    assert len({tuple(it.items()) for it in configurations(study)}) == len(study.trials) == 6 + (4 + 3 + 2 + 1)


def test_the_best_on_the_border_of_a_constraint_is_found():
    """No configuration there is proposed twice, although many points outside are moved to the same place."""
    ranges = {"x": ContinuousParameter(0, 1), "n": IntegerParameter(1, 100)}
    near = Constraint({"x": 100, "n": 1}, at_most=60)
    study = tuner(
        lambda h: Simulation({"loss": (h["x"] - 0.5) ** 2 + (h["n"] / 100 - 0.5) ** 2}, 60),
        ranges,
        constraints=[near],
        max_jobs=30,
        max_parallel_jobs=1,
    ).fit()
    made = configurations(study)
    assert len({tuple(it.values()) for it in made}) == len(made) == 30
    assert all(near.allows(it) for it in made)
    assert study.best.value < 2 * 0.2**2 + 0.005


def test_a_space_of_thousands_is_not_repeated():
    """Where not all configurations are candidates, the proposals are new nevertheless."""
    ranges = {"n": IntegerParameter(1, 2000), "rows": IntegerParameter(1, 3000, "Logarithmic")}
    study = tuner(lambda it: Simulation({"loss": abs(it["n"] - 7) + it["rows"]}, 1), ranges, max_jobs=30).fit()
    assert len({tuple(it.values()) for it in configurations(study)}) == study.jobs == 30


@pytest.mark.parametrize("loss", [0.0, -3.5, 1e300])
def test_equal_losses_are_no_trouble(loss):
    """The budget is spent."""
    assert tuner(lambda _: Simulation({"loss": loss}, 1)).fit().jobs == 14


@pytest.mark.parametrize("seed", [1, 2])
def test_it_finds_the_best_category_and_number(seed):
    """Within 30 trials, three at a time."""
    best = tuner(max_jobs=30, random_seed=seed).fit().best
    assert best.hyperparameters["kind"] == "b"
    assert best.hyperparameters["x"] == pytest.approx(1, abs=0.3)
    assert best.value < 0.6


@pytest.mark.parametrize("seed", [1, 2])
def test_failures_by_chance_do_not_hide_the_best(seed):
    """Every third job fails, wherever it is; the rest finds the minimum."""
    jobs = itertools.count()

    def unreliable(hyperparameters):
        loss = sum((x - 0.3) ** 2 for x in hyperparameters.values())
        return Simulation({"loss": loss}, 60, "no luck" if next(jobs) % 3 == 1 else None)

    ranges = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(3)}
    assert tuner(unreliable, ranges, max_jobs=50, random_seed=seed).fit().best.value < 2e-3


def test_late_in_a_study_it_searches_near_the_best():
    """Above 100 results every second proposal comes from a box around the best ones."""
    ranges = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(2)}
    study = tuner(
        lambda it: Simulation({"loss": sum((x - 0.3) ** 2 for x in it.values())}, 1),
        ranges,
        max_jobs=112,
        max_parallel_jobs=2,
    ).fit()
    assert study.best.value < 1e-5


def test_the_best_within_an_outcome_constraint_is_found():
    """The loss alone would lead to where the latency is beyond its bound."""

    def slow(h):
        return Simulation({"loss": (h["x"] - 3) ** 2 + (h["y"] - 3) ** 2, "latency": h["x"] + h["y"]}, 60)

    ranges = {"x": ContinuousParameter(-5, 5), "y": ContinuousParameter(-5, 5)}
    study = tuner(slow, ranges, constraints=[OutcomeConstraint("latency", at_most=2)], max_jobs=35).fit()
    assert study.best.violation == 0
    assert study.best.value < 8.3  # of 8 at x = y = 1
    within = [trial.metrics["latency"] <= 2 for trial in study.trials[10:]]
    assert sum(within) >= 15


def test_it_finds_what_is_within_though_all_results_are_beyond():
    """While no result is within, the least likely to be beyond is tried."""
    study = tuner(
        lambda h: Simulation({"loss": h["x"], "far": (h["x"] + 4) ** 2 + (h["y"] - 4) ** 2}, 60),
        {"x": ContinuousParameter(-5, 5), "y": ContinuousParameter(-5, 5)},
        constraints=[OutcomeConstraint("far", at_most=0.3)],
        max_jobs=25,
    ).fit()
    assert study.best.violation == 0


def test_several_objectives_share_the_trials():
    """Each trial has weights of its own, so the Pareto front is covered from end to end."""
    ranges = {"x": ContinuousParameter(0, 1), "y": ContinuousParameter(0, 1)}

    def both(it):
        return Simulation({"one": it["x"] ** 2 + it["y"], "other": (1 - it["x"]) ** 2 + it["y"]}, 1)

    study = tuner(both, ranges, ["one", "other"], max_jobs=40).fit()
    near = [trial.hyperparameters["x"] for trial in study.pareto_front if trial.hyperparameters["y"] < 0.05]
    assert len(near) >= 8
    assert min(near) < 0.15
    assert max(near) > 0.85
    assert max(b - a for a, b in zip(sorted(near), sorted(near)[1:], strict=False)) < 0.3


@pytest.mark.parametrize("offset", [0, 1000])
def test_a_warm_start_knows_where_to_begin(offset):
    """The first trials are near the best of the earlier study, even if that had another scale of losses.

    Of random configurations, one in seven has a loss below 2.
    """
    tuner(journal="studies.db", max_jobs=30).fit(job_name="parent")

    def other(hyperparameters):
        result = job(hyperparameters)
        return Simulation({"loss": result.metrics["loss"] + offset}, 60, "diverged" if result.failure else None)

    study = tuner(other, journal="studies.db", max_jobs=10, random_seed=2, warm_start_from=["parent"]).fit()
    values = [trial.value - offset for trial in study.trials if not trial.prior and trial.values]
    assert max(values[:3]) < 2
    assert min(values) < 0.05


def test_results_of_other_studies_are_told_apart():
    """Also those of a study's own earlier studies; results from before a restart are this study's."""
    for name, parents in (("first", []), ("second", ["first"]), ("third", ["second"])):
        tuner(journal="studies.db", strategy="random", max_jobs=3, warm_start_from=parents or None).fit(job_name=name)
    Tuner.attach("third", journal="studies.db", estimator=Simulated(job), progress=False).resume(
        max_jobs=5, restart_algorithm=True
    )
    study = Tuner.attach("third", journal="studies.db").study
    cube = Cube(study.problem.space)
    origins = read(study, lambda trial: cube.encode(trial.proposal.hyperparameters), cube).results.origins.tolist()
    assert origins == [1] * 3 + [2] * 3 + [OWN] * (len(origins) - 6)
    assert len(origins) > 8


def test_a_misleading_warm_start_is_overcome():
    """The earlier study was best where this one is bad; its own results win."""

    def mirrored(hyperparameters):
        return job({**hyperparameters, "x": -hyperparameters["x"] / 2 - 1})

    tuner(mirrored, journal="studies.db", max_jobs=20).fit(job_name="parent")
    study = tuner(journal="studies.db", max_jobs=30, random_seed=2, warm_start_from=["parent"]).fit()
    assert study.best.value < 0.5


def test_startup_is_the_number_of_trials_before_the_model():
    """They do not depend on losses."""

    def first(count, sign):
        made = tuner(
            lambda it: Simulation({"loss": sign * it["x"]}, 1),
            strategy_options={"startup": count},
            max_jobs=12,
            max_parallel_jobs=1,
        ).fit()
        return configurations(made)

    for count in (3, 8):
        up, down = first(count, 1), first(count, -1)
        same = [a == b for a, b in zip(up, down, strict=True)]
        assert same[:count] == [True] * count
        assert not any(same[count:])


def test_committee_is_the_number_of_results_up_to_which_two_models_choose():
    """Later, one chooses."""
    made = [
        configurations(tuner(strategy_options={"committee": committee}, max_parallel_jobs=1).fit())
        for committee in (0, 7, 100)
    ]
    assert made[0][:5] == made[1][:5] == made[2][:5]
    assert made[0][5] != made[1][5] == made[2][5]
    assert made[1][:8] == made[2][:8]
    assert made[1][8] != made[2][8]


@pytest.mark.parametrize("options", [{"startup": 0}, {"startup": 2.5}, {"committee": -1}, {"commitee": 1}], ids=str)
def test_a_wrong_option_is_refused(options):
    """Before any job starts; the error names it."""
    with pytest.raises(InvalidInput, match=rf"'gp'.*{next(iter(options))}"):
        tuner(strategy_options=options)


def test_sixty_dimensions_are_possible():
    """Also of categories; a proposal takes no minute."""
    space = SearchSpace(
        {f"x{axis}": ContinuousParameter(0, 1) if axis % 3 else CategoricalParameter(list("abc")) for axis in range(60)}
    )
    started = time.process_time()
    study = tuner(
        lambda it: Simulation({"loss": sum(x for x in it.values() if isinstance(x, float))}, 1),
        space.parameters,
        max_jobs=30,
    ).fit()
    assert study.jobs == 30
    values = [trial.value for trial in study.trials]
    assert statistics.median(values[20:]) < statistics.median(values[:6])
    assert (time.process_time() - started) / 30 < 2


def test_it_suits_any_problem():
    """Several objectives, and a space of one configuration."""
    space = SearchSpace({"only": CategoricalParameter(["a"])})
    objectives = (Objective("one", "Minimize"), Objective("other", "Maximize"))
    GaussianProcessSearch(Problem(space, objectives, 1, 10, 1))
    study = tuner(lambda _: Simulation({"loss": 1.0}, 1), space.parameters).fit()
    assert study.jobs == 1
