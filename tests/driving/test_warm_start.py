"""Results of earlier studies are known to a new one, and never paid for again."""

from itertools import product

import pytest
import studies
from studies import Killed, attach, dying

from byohpo_core import (
    CategoricalParameter,
    Constraint,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    OutcomeConstraint,
    Simulated,
    Simulation,
    TrialStatus,
    UnknownStudy,
    hookimpl,
    register,
)

RANGES = {"x": ContinuousParameter(-5, 5), "n": IntegerParameter(1, 3)}


def job(hyperparameters):
    x = hyperparameters["x"]
    return Simulation({"loss": (x - 1) ** 2 + hyperparameters["n"]}, 60, "diverged" if x > 4 else None)


def tuner(strategy="random", ranges=RANGES, **settings):
    return studies.tuner(Simulated(job), ranges, strategy=strategy, failure_limit=False, **settings)


@pytest.fixture
def parent():
    """A finished study in the journal."""
    return tuner().fit(job_name="parent")


TYPED = [{"x": 1.1, "rate": 0.003, "n": 2}, {"x": 0.9, "rate": 0.002, "n": 1}, {"x": -2.7, "rate": 0.07, "n": 1}]


@pytest.mark.parametrize(
    ("strategy", "mode"),
    [
        *product(("pso", "de", "es", "eda", "ga", "sa", "scipy-de"), (None, "generational", "asynchronous")),
        *((name, None) for name in ("aco", "scipy-nelder-mead", "scipy-powell", "scipy-cobyqa")),
    ],
)
def test_what_an_algorithm_starts_from_is_no_new_configuration(strategy, mode):
    """However its library rescales it: rounding would make a neighbour of it, which is a job of its own."""
    ranges = {**RANGES, "rate": ContinuousParameter(1e-6, 1)}
    tuner(ranges=ranges, initial_configurations=TYPED, max_jobs=3).fit(job_name="parent")
    options = {"mode": mode} if mode else {}
    study = tuner(
        strategy, ranges, warm_start_from=["parent"], max_jobs=20, max_parallel_jobs=2, strategy_options=options
    ).fit(job_name="child")
    own = [trial.hyperparameters for trial in study.trials if trial.job_name and not trial.prior]
    assert not [it for it in own if any(near(it, typed) for typed in TYPED)]
    assert any(trial.result_of is not None for trial in study.trials)


def near(one, other):
    return all(one[name] == pytest.approx(other[name], rel=1e-9) for name in other)


def test_known_results_come_first_as_foreign_trials(parent):
    """With their values and jobs; the budget is for new ones."""
    study = tuner(random_seed=2, warm_start_from=["parent"]).fit(job_name="child")
    foreign = [trial for trial in study.trials if trial.prior]
    told = [(dict(t.hyperparameters), t.status, t.values, t.job_name) for t in foreign]
    assert {t.reason for t in foreign if t.status is TrialStatus.Completed} == {"from study parent"}
    assert {t.reason for t in foreign if t.status is TrialStatus.Failed} <= {"from study parent: diverged"}
    assert told == [(dict(t.hyperparameters), t.status, t.values, t.job_name) for t in parent.trials]
    assert (study.jobs, len(study.trials)) == (12, 24)
    assert study.best.losses <= parent.best.losses


def test_a_known_configuration_is_not_paid_for_again(parent):
    """Proposed again, all completed ones are reused."""
    known = [dict(it.hyperparameters) for it in parent.trials if it.status is TrialStatus.Completed]
    study = tuner(warm_start_from=["parent"], max_jobs=3, initial_configurations=known).fit(job_name="child")
    assert sum(trial.status is TrialStatus.Reused for trial in study.trials) == len(known) > 0
    assert study.jobs == 3


def test_plugins_observe_them_before_they_are_asked(parent):
    """Once, failed ones too."""
    calls = []

    @register("listener")
    class Listener:
        def __init__(self, problem):
            self.space = problem.space

        @hookimpl
        def propose(self, study, count):
            calls.append("propose")
            return [{"x": 0.1 * len(calls), "n": 1}]

        @hookimpl
        def observe(self, study, trials):
            calls.append([(trial.prior, trial.losses is None) for trial in trials])

    tuner("listener", max_jobs=1, max_parallel_jobs=1, warm_start_from=["parent"]).fit(job_name="child")
    assert calls[0] == [(True, trial.losses is None) for trial in parent.trials]
    assert calls[1] == "propose"
    assert calls[2:] == [[(False, False)]]


LIBRARIES = ["pso", "ga", "de", "es", "eda", "paes", "sa", "scipy-de"]
SEQUENTIAL = ["nelder-mead", "powell", "cobyqa", "dual-annealing", "direct", "shgo", "basinhopping"]


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        *((name, {"mode": mode}) for name in LIBRARIES for mode in ("asynchronous", "generational")),
        *((f"scipy-{name}", {}) for name in SEQUENTIAL),
        ("aco", {}),
    ],
    ids=str,
)
def test_an_algorithm_that_wraps_a_library_starts_from_the_best_of_them(strategy, options):
    """Its first proposal is the best known configuration, to the last digit and so for nothing."""
    ranges = {
        **RANGES,
        "rate": ContinuousParameter(1e-5, 1),
        "momentum": ContinuousParameter(0, 0.999, "ReverseLogarithmic"),
    }
    best = tuner(ranges=ranges).fit(job_name="parent").best
    study = tuner(
        strategy, ranges, random_seed=2, max_jobs=8, warm_start_from=["parent"], strategy_options=options
    ).fit(job_name="child")
    first = next(trial for trial in study.trials if not trial.prior)
    assert first.hyperparameters == best.hyperparameters
    assert (first.status, study.trials[first.result_of].values) == (TrialStatus.Reused, best.values)


@pytest.mark.parametrize("strategy", ["nsga2", "paes"])
def test_with_several_objectives_it_starts_from_the_pareto_front(strategy):
    """Not from those that are best in the first objective."""

    def both(hyperparameters):
        loss = job(hyperparameters).metrics["loss"]
        return Simulation({"loss": loss, "size": loss - 2 * hyperparameters["n"]}, 60)

    def study(strategy, **settings):
        objectives = ["loss", "size"]
        return studies.tuner(Simulated(both), RANGES, objectives, strategy=strategy, max_parallel_jobs=6, **settings)

    parent = study("random", max_jobs=40).fit(job_name="parent")
    front = [trial.hyperparameters for trial in parent.pareto_front]
    assert len(front) == 3
    options = {"mode": "generational", "population": 6}
    child = study(strategy, max_jobs=6, strategy_options=options, warm_start_from=["parent"]).fit(job_name="child")
    first = [trial.hyperparameters for trial in child.trials if not trial.prior][:3]
    assert sorted(map(str, first)) == sorted(map(str, front))


def test_several_studies_and_ids_are_possible(parent):
    """In the given order."""
    tuner(random_seed=7, max_jobs=4).fit(job_name="other")
    study = tuner(random_seed=2, warm_start_from=["other", parent.id]).fit(job_name="child")
    assert [trial.job_name.split("-")[0] for trial in study.trials[:16]] == ["other"] * 4 + ["parent"] * 12


def test_a_resumed_study_still_knows_them(parent):
    """They are in its journal: the parents are not read again."""
    study = tuner("pso", warm_start_from=["parent"]).fit(job_name="child")
    again = attach("child", Simulated(job))
    assert [t.status for t in again.study.trials] == [t.status for t in study.trials]
    more = again.resume(max_jobs=14)
    assert (more.jobs, more.stop_reason) == (14, "max_jobs (14) reached")


def test_they_are_known_from_the_study_s_first_moment(parent):
    """Whatever dies after that: the driver before its first commit, or the parent's journal grows."""
    child = tuner(random_seed=2, warm_start_from=["parent"])
    with dying(), pytest.raises(Killed):
        child.fit(job_name="child")
    attach("parent", Simulated(job)).resume(max_jobs=14)
    again = attach("child", Simulated(job))
    study = again.resume(max_jobs=6)
    assert sum(trial.prior for trial in study.trials) == len(study.trials[:12]) == 12
    assert study.jobs == 6


def test_those_who_listen_are_told_of_them(parent):
    """Every journaled event, once: also the first, which are written with the study."""
    told = []

    class Telling:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            told.append((event.sequence, str(event.kind)))

    study = tuner(random_seed=2, warm_start_from=["parent"], extensions=[Telling]).fit(job_name="child")
    assert told[0] == (0, "imported")
    assert [number for number, _ in told] == list(range(study.sequence))


DIFFERENT = {
    "another range": (
        {"x": ContinuousParameter(-5, 6), "n": RANGES["n"]},
        ["'x'", "a number from -5.0 to 5.0 (Auto)"],
    ),
    "another kind": (
        {"x": RANGES["x"], "n": CategoricalParameter([1, 2])},
        ["'n'", "a whole number from 1 to 3 (Auto)"],
    ),
    "one more": ({**RANGES, "y": IntegerParameter(1, 2)}, ["hyperparameter 'y'"]),
    "one less": ({"x": RANGES["x"]}, ["hyperparameter 'n'"]),
    "another order": ({"n": RANGES["n"], "x": RANGES["x"]}, ["x, n", "n, x"]),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_a_study_of_another_space_is_refused_by_its_difference(case, parent):
    """In one line, before any job."""
    ranges, words = DIFFERENT[case]
    with pytest.raises(InvalidInput, match=r"warm_start_from.*'parent'") as error:
        tuner(ranges=ranges, warm_start_from=["parent"])
    assert all(word in str(error.value) for word in words)


def test_other_objectives_and_unknown_studies_are_refused(parent):
    """So is a study that is named twice."""
    with pytest.raises(InvalidInput, match=r"Minimize loss.*Maximize loss"):
        tuner(objective_type="Maximize", warm_start_from=["parent"])
    with pytest.raises(UnknownStudy, match="'nobody'"):
        tuner(warm_start_from=["nobody"])
    with pytest.raises(InvalidInput, match=r"warm_start_from.*twice"):
        tuner(warm_start_from=["parent", parent.id])
    with pytest.raises(InvalidInput, match="warm_start_from is 'parent'"):
        tuner(warm_start_from="parent")


def test_a_study_in_a_space_with_other_conditions_or_constraints_is_no_parent(parent):
    """The line names what differs."""
    light = Constraint({"n": 1}, at_most=2)
    with pytest.raises(InvalidInput, match=r"parent.*constraints.*none.*n <= 2"):
        tuner(constraints=[light], warm_start_from=["parent"])
    kind = CategoricalParameter(["a", "b"])
    tuner(ranges={**RANGES, "kind": kind}).fit(job_name="free")
    conditional = {**RANGES, "kind": kind, "n": IntegerParameter(1, 3, when={"kind": ["a"]})}
    with pytest.raises(InvalidInput, match=r"free.*'n'.*kind is 'a'"):
        tuner(ranges=conditional, warm_start_from=["free"])


def test_outcome_constraints_hold_for_what_was_known(parent):
    """A parent may have others: what its jobs reported is judged anew, and a metric that they lack is beyond."""
    low = OutcomeConstraint("loss", at_least=4)
    child = tuner(constraints=[low], warm_start_from=["parent"], max_jobs=1, max_parallel_jobs=1).fit(job_name="child")
    assert [t.violation > 0 for t in child.trials if t.values] == [t.value < 4 for t in child.trials if t.values]
    assert child.best.value >= 4
    fast = OutcomeConstraint("latency", at_most=4)
    other = tuner(constraints=[fast], warm_start_from=["parent"], max_jobs=1, max_parallel_jobs=1).fit(job_name="other")
    assert {trial.violation for trial in other.trials if trial.prior and trial.values} == {float("inf")}


@pytest.mark.parametrize("strategy", ["random", "pso", "ga", "cmaes", "gp", "scipy-de", "scipy-powell"])
def test_results_with_inactive_hyperparameters_are_known(strategy):
    """They are given to the algorithm, and what was tried is not paid for again."""
    ranges = {"x": ContinuousParameter(-5, 5), "kind": CategoricalParameter(["a", "b"])}
    ranges["n"] = IntegerParameter(1, 3, when={"kind": ["a"]})

    def job(given):
        return Simulation({"loss": (given["x"] - 1) ** 2 + given.get("n", 2)}, 60)

    studies.tuner(Simulated(job), ranges).fit(job_name="parent")
    child = studies.tuner(Simulated(job), ranges, strategy=strategy, warm_start_from=["parent"]).fit(job_name="child")
    assert sum(trial.prior for trial in child.trials) == 12
    assert child.jobs == 12
