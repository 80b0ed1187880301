"""The algorithm as a whole: what goes on to which rung, and that it needs no memory."""

from collections import Counter
from itertools import islice, pairwise

import pytest
from byohpo_plugin_hyperband import Hyperband
from byohpo_plugin_hyperband.halving import asynchronous
from byohpo_plugin_hyperband.ladder import Ladder
from byohpo_plugin_hyperband.rungs import Rungs

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    InvalidInput,
    Resource,
    Simulated,
    Simulation,
    TrialStatus,
    Tuner,
    hookimpl,
    register,
)


def job(hyperparameters):
    """A curve that falls to (x - 0.3)^2, faster for small x; it fails where x > 0.95."""
    x, epochs = hyperparameters["x"], hyperparameters["epochs"]
    curve = [{"loss": (x - 0.3) ** 2 + (0.5 + x / 10) / (epoch + 1)} for epoch in range(epochs)]
    return Simulation(curve, 30 * epochs + 100 * x, "diverged" if x > 0.95 else None)


def tuner(estimator=job, **settings):
    settings = {"max_jobs": 80, "max_parallel_jobs": 4, "random_seed": 1, "journal": ":memory:", **settings}
    settings = {"resource": "epochs", "max_resource": 27, "strategy": Hyperband, **settings}
    ranges = settings.pop("ranges", {"x": ContinuousParameter(0, 1)})
    return Tuner(Simulated(estimator), "loss", ranges, objective_type="Minimize", progress=False, **settings)


def tune(**options):
    settings = {name: options.pop(name) for name in list(options) if name not in OPTIONS}
    return tuner(strategy_options=options, **settings).fit(job_name="s")


OPTIONS = ("eta", "mode", "sampler", "sampler_options", "promotion", "startup")
CRITICAL = [{}, {"mode": "hyperband"}, {"promotion": "restart"}, {"eta": 2}, {"sampler": "pso"}, {"promotion": "prune"}]
IDS = ["asha", "hyperband", "restart", "eta", "sampler with a state", "prune"]


def at(study, fidelity):
    return [trial for trial in study.trials if trial.proposal.fidelity == fidelity]


def outcomes(study):
    return [(dict(it.hyperparameters), it.proposal.resume_from, str(it.status), it.value) for it in study.trials]


@pytest.mark.parametrize(
    ("most", "least", "eta", "levels"),
    [(81, 1, 3, (1, 3, 9, 27, 81)), (100, 1, 3, (1, 4, 11, 33, 100)), (27, 2, 3, (3, 9, 27)), (8, 1, 2, (1, 2, 4, 8))],
)
def test_rungs_end_at_all_of_the_resource(most, least, eta, levels):
    """Each has about eta times as much as the one below, and none less than the least."""
    assert Rungs.of(Resource("epochs", most, least), eta).levels == levels


def test_brackets_have_the_sizes_of_the_paper():
    """Li et al. 2018, table 1: R = 81, eta = 3."""
    rungs = Rungs.of(Resource("epochs", 81), 3)
    sizes = [[rungs.size(bracket, rung) for rung in range(bracket, 5)] for bracket in range(5)]
    assert sizes == [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]
    assert rungs.size(5, 0) == 81


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_a_promoted_trial_continues_one_of_the_best(eta):
    """It has its parent's configuration, and was among the best 1/eta of its rung when it was promoted."""
    study = tune(eta=eta)
    promoted = [trial for trial in study.trials if trial.proposal.resume_from is not None]
    assert len(promoted) > 10
    assert len({trial.proposal.resume_from for trial in promoted}) == len(promoted)
    levels = Rungs.of(Resource("epochs", 27), eta).levels
    for trial in promoted:
        parent = study.trials[trial.proposal.resume_from]
        assert trial.proposal.hyperparameters == parent.proposal.hyperparameters
        assert levels.index(trial.proposal.fidelity) == levels.index(parent.proposal.fidelity) + 1
        rung = [it for it in at(study, parent.proposal.fidelity) if it.ended <= trial.started]
        losses = sorted(it.value if it.value is not None else 9.0 for it in rung)
        assert parent.value <= losses[len(losses) // eta - 1]
    assert study.best.proposal.fidelity == 27


def test_promotions_from_high_rungs_come_first():
    """So a whole result comes early; nothing begins anew while something can go on."""
    ladder = Ladder(tune(), Rungs.of(Resource("epochs", 27), 3))
    ladder.promoted.clear()
    steps = [*islice(asynchronous(ladder), 40)]
    rungs = [step.mark.rung for step in steps if not isinstance(step, int)]
    assert rungs == sorted(rungs, reverse=True)
    assert set(rungs) == {0, 1, 2}
    assert steps[len(rungs) :] == [0] * (40 - len(rungs))


def test_a_bracket_waits_for_its_results_and_slots_do_not():
    """No trial is promoted before its rung is complete; meanwhile the next bracket begins at a higher rung."""
    study = tune(mode="hyperband", max_jobs=100)
    first = [trial for trial in study.trials if trial.proposal.key["bracket"] == 0]
    sizes = [27, 9, 3, 1]
    rungs = [[trial for trial in first if trial.proposal.key["rung"] == rung] for rung in range(4)]
    assert [len(rung) for rung in rungs] == sizes
    for below, rung in pairwise(rungs):
        assert min(trial.started for trial in rung) >= max(trial.ended for trial in below)
        best = sorted(below, key=lambda it: (it.value if it.value is not None else 9.0, it.number))[: len(rung)]
        assert {it.proposal.resume_from for it in rung} == {it.number for it in best}
    after = [trial for trial in study.trials if trial.proposal.key["bracket"] == 1]
    assert min(trial.started for trial in after) < max(trial.ended for trial in rungs[0])
    assert {trial.proposal.fidelity for trial in after if trial.proposal.resume_from is None} == {3}


class Forgetful:
    """Asks a new instance each time."""

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def propose(self, study, count):
        return Hyperband(self.problem, **self.options).propose(study, count)


@pytest.mark.parametrize("options", [{}, {"mode": "hyperband"}, {"promotion": "restart"}, {"sampler": "gp"}])
def test_a_fresh_instance_proposes_the_same(options, monkeypatch):
    """Nothing is remembered between calls that changes a proposal."""
    monkeypatch.setattr(Forgetful, "options", options, raising=False)
    settings = {"max_jobs": 40}
    assert outcomes(tuner(strategy=Forgetful, **settings).fit()) == outcomes(tune(**options, **settings))


@pytest.mark.parametrize("options", CRITICAL, ids=IDS)
def test_a_study_that_was_interrupted_goes_on_as_if_it_was_not(options, tmp_path):
    """Whether its sampler is replayed or not."""
    whole = outcomes(tune(**options, max_jobs=30, order="strict"))

    class Leave(BaseException):
        """The driver is gone."""

    class Leaves:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def stop(self, study):
            if study.finished_count == leave_at and study.jobs < 30:
                raise Leave

    register("leaves", Leaves, group="extensions")
    journal = tmp_path / "studies.db"
    settings = {"max_jobs": 30, "order": "strict", "journal": journal, "extensions": ["leaves"]}
    leave_at = 5
    with pytest.raises(Leave):
        tune(**options, **settings)
    for leave_at in (9, 13, 22, None):
        attached = Tuner.attach("s", journal=journal, estimator=Simulated(job), strategy=Hyperband, progress=False)
        if leave_at is None:
            assert outcomes(attached.resume()) == whole
        else:
            with pytest.raises(Leave):
                attached.resume()


def test_one_job_goes_through_all_rungs_and_is_stopped_at_one():
    """Few reach the end, and each that was stopped has reached a rung."""
    study = tune(promotion="prune")
    statuses = Counter(trial.status for trial in study.trials)
    assert statuses[TrialStatus.Pruned] > 50
    assert 1 <= statuses[TrialStatus.Completed] <= 80 / 9
    assert {trial.proposal.fidelity for trial in study.trials} == {27}
    assert all(trial.proposal.resume_from is None for trial in study.trials)
    lengths = [len(study.curve(it.number)) for it in study.trials if it.status is TrialStatus.Pruned]
    assert min(lengths) >= 1


def test_what_jobs_report_is_read_only_to_stop_them():
    """SageMaker's own algorithms have no regular expression for it, and each reading is a call."""
    for promotion, read in (("continue", False), ("prune", True)):
        finished = tuner(max_jobs=4, strategy_options={"promotion": promotion})
        finished.fit()
        assert finished.describe()["Manifest"]["settings"]["curves"] is read


def test_jobs_that_start_slowly_are_pruned_rather_than_promoted():
    """If a job takes longer to start than to reach the lowest rung."""
    for startup, promotion, stopped in ((0.5, "auto", False), (1.5, "auto", True), (1.5, "continue", False)):
        study = tune(startup=startup, promotion=promotion, max_jobs=20)
        assert (TrialStatus.Pruned in {trial.status for trial in study.trials}) is stopped


def test_a_promoted_trial_may_start_afresh():
    """Its job then trains again what its parent has trained."""
    study = tune(promotion="restart", max_jobs=30)
    assert len(at(study, 3)) > 3
    assert {trial.proposal.resume_from for trial in study.trials} == {None}


@pytest.mark.parametrize("sampler", ["gp", "cmaes", "pso", "sobol"])
def test_any_algorithm_proposes_the_new_configurations(sampler):
    """With and without a memory; a model finds better ones than random draws do."""
    study = tune(sampler=sampler, max_jobs=50)
    assert study.jobs == 50
    assert len(at(study, 9)) > 1
    begun = [trial.hyperparameters["x"] for trial in at(study, 1)]
    assert len(set(begun)) == len(begun)


def test_the_sampler_sees_results_that_can_be_compared():
    """One trial for each configuration, in the order in which it proposed them, with results of one rung."""
    seen = []

    class Watching:
        from byohpo_core import Traits

        traits = Traits(memoryless=True)

        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            seen.append((self.problem.resource, list(study.trials)))
            return [{"x": 1 / (len(study.trials) + place + 2)} for place in range(count)]

    register("watching", Watching)
    study = tune(sampler="watching", max_jobs=40)
    resource, shown = seen[-1]
    assert resource is None
    assert [trial.number for trial in shown] == list(range(len(shown)))
    assert [trial.hyperparameters["x"] for trial in shown] == [1 / (place + 2) for place in range(len(shown))]
    compared = [trial for trial in shown if trial.status is TrialStatus.Completed]
    (epochs,) = {trial.hyperparameters["epochs"] for trial in compared}
    results = {trial.hyperparameters["x"]: trial.value for trial in at(study, epochs)}
    assert epochs > 1
    assert len(compared) > 2
    assert all(trial.value == results[trial.hyperparameters["x"]] for trial in compared)
    assert {trial.status for trial in shown if trial not in compared} >= {TrialStatus.Stopped, TrialStatus.Running}


def test_a_sampler_with_a_state_sees_each_result_once():
    """The first of each configuration: all of these had equally much of the resource."""
    told = []

    class Stateful:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return [{"x": 1 / (len(study.trials) + place + 2)} for place in range(count)]

        @hookimpl
        def observe(self, study, trials):
            assert all(study.trials[trial.number] is trial or study.trials[trial.number] == trial for trial in trials)
            told.extend((trial.number, trial.hyperparameters["epochs"]) for trial in trials)

    register("stateful", Stateful)
    study = tune(sampler="stateful", max_jobs=40)
    assert sorted(told) == [(number, 1) for number in range(len(at(study, 1)))]


@pytest.mark.parametrize("mode", ["asha", "hyperband"])
def test_a_sampler_that_ends_lets_the_best_go_on(mode):
    """The configurations of a small space are promoted as far as there are enough of them."""
    ranges = {"kind": CategoricalParameter(list("abcdefghi"))}

    def labelled(hyperparameters):
        return Simulation({"loss": "abcdefghi".index(hyperparameters["kind"]) + 1 / hyperparameters["epochs"]}, 60)

    study = tune(estimator=labelled, ranges=ranges, sampler="grid", mode=mode)
    assert len(at(study, 1)) == 9
    assert [trial.hyperparameters["kind"] for trial in at(study, 3)] == ["a", "b", "c"]
    assert [trial.hyperparameters["kind"] for trial in at(study, 9)][:1] == ["a"]
    assert study.best.hyperparameters["kind"] == "a"


def test_results_are_not_lost_in_a_new_epoch(tmp_path):
    """With a raised limit, its own trials go on to higher rungs; those of another study do not."""
    journal = tmp_path / "studies.db"
    tune(max_jobs=20, journal=journal)
    attached = Tuner.attach("s", journal=journal, estimator=Simulated(job), strategy=Hyperband, progress=False)
    study = attached.resume(max_jobs=40)
    assert any(trial.proposal.resume_from in range(20) for trial in study.trials[20:])
    other = tuner(max_jobs=20, journal=journal, warm_start_from=["s"]).fit(job_name="other")
    parents = [trial.proposal.resume_from for trial in other.trials[40:]]
    assert not set(parents) & set(range(40))


def test_initial_configurations_have_all_of_the_resource():
    """They are results for the sampler and the incumbent, and stand at no rung."""
    study = tuner(initial_configurations=[{"x": 0.3}], max_jobs=20).fit()
    assert study.trials[0].hyperparameters == {"x": 0.3, "epochs": 27}
    assert all(trial.proposal.resume_from != 0 for trial in study.trials)


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({"resource": None, "max_resource": None}, {}, ["resource="]),
        ({"max_resource": 2}, {}, ["max_resource", "2", "3"]),
        ({}, {"eta": 1}, ["eta", "1"]),
        ({}, {"mode": "halving"}, ["mode", "halving"]),
        ({}, {"promotion": "never"}, ["promotion", "never"]),
        ({}, {"startup": -1}, ["startup", "-1"]),
        ({}, {"sampler": 3}, ["sampler", "3"]),
        ({}, {"sampler": "hyperband-of-mine"}, ["hyperband-of-mine"]),
        ({}, {"sampler_options": 5}, ["sampler_options", "5"]),
        ({}, {"sampler": "gp", "sampler_options": {"start": 3}}, ["gp", "start", "startup"]),
    ],
    ids=lambda it: "-".join(it) if isinstance(it, list) else "",
)
def test_what_cannot_work_is_refused(settings, options, words):
    """In one line, before any job starts."""
    with pytest.raises(InvalidInput) as error:
        tuner(**settings, strategy_options=options)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_several_objectives_are_refused():
    with pytest.raises(InvalidInput, match="one objective"):
        Tuner(
            Simulated(job),
            ["loss", "time"],
            {"x": ContinuousParameter(0, 1)},
            strategy=Hyperband,
            journal=":memory:",
            resource="epochs",
            max_resource=9,
        )
