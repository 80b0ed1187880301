"""A study from the user's line of code to the result."""

import logging
import sqlite3
import threading
import time
from functools import wraps
from pkgutil import resolve_name

import attrs
import pytest
from studies import attach, objective, simulated, tune, tuned

from byohpo_core import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    MissingExtra,
    Problem,
    Proposal,
    PythonFunction,
    Simulated,
    Simulation,
    StaticParameter,
    Tuner,
    UnknownStudy,
    hookimpl,
    register,
)
from byohpo_core.journal import open_journal


class Times:
    def __init__(self, factor):
        self.factor = factor

    def times(self, hyperparameters):
        return self.factor * hyperparameters["x"]


THRICE = Times(3)


@wraps(objective)
def hidden(hyperparameters):
    return objective(hyperparameters)["loss"] + 1


def test_the_lines_of_the_readme_run():
    """A function, an algorithm's name, and the result: 60 jobs, no more."""
    tuner = tuned(strategy="pso", max_jobs=60, max_parallel_jobs=6, strategy_options={"population": 12}, job_name="toy")
    study = tuner.study
    assert study.best.value == objective(study.best.hyperparameters)["loss"] < 0.01
    assert study.stop_reason == "max_jobs (60) reached"
    assert [trial.number for trial in study.trials] == list(range(len(study.trials)))
    assert sum(trial.status != "Reused" for trial in study.trials) == 60
    assert len(tuner.analytics().dataframe()) == len(study.trials)
    again = attach("toy", objective).resume()
    assert [trial.values for trial in again.trials] == [trial.values for trial in study.trials]


def test_slots_are_really_parallel():
    """Six slots: six evaluations at once, never more (`nox -s bench` prints how long 60 take)."""
    together, most, lock, together_once = 0, 0, threading.Lock(), threading.Event()

    def slow(hyperparameters):
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
            if most == 6:
                together_once.set()
        together_once.wait(10)
        with lock:
            together -= 1
        return hyperparameters["x"]

    study = tune(slow, max_jobs=60, max_parallel_jobs=6)
    assert most == 6
    assert study.jobs == 60


def test_static_hyperparameters_reach_the_jobs():
    """A static parameter is no dimension of the search, and every job has it."""
    seen = []
    ranges = {"x": ContinuousParameter(0, 1), "batch": StaticParameter(100)}
    study = tune(lambda hyperparameters: seen.append(hyperparameters) or 0.0, ranges, max_jobs=3)
    assert all(hyperparameters["batch"] == 100 for hyperparameters in seen)
    assert all(set(trial.proposal.hyperparameters) == {"x"} for trial in study.trials)
    assert all(trial.hyperparameters["batch"] == 100 for trial in study.trials)


def test_maximising_and_minimising_turn_the_sign_of_the_loss_only():
    """`value` is what the job reported; `losses` are smaller for the better."""
    study = tune(objective, objective_type="Maximize")
    assert study.best.value == max(trial.value for trial in study.trials)
    assert all(trial.losses == (-trial.value,) for trial in study.trials)


def test_a_seed_makes_a_study_repeatable():
    """The same seed and the same results give the same proposals; another seed gives others."""
    runs = [
        tune(Simulated(simulated), job_name=f"s{seed}-{run}", random_seed=seed)
        for seed, run in ((1, 1), (1, 2), (2, 1))
    ]
    first, same, other = [[dict(trial.hyperparameters) for trial in study.trials] for study in runs]
    assert first == same != other


def test_ten_thousand_simulated_hours_take_seconds():
    """The virtual clock jumps from event to event."""
    study = tune(Simulated(simulated), max_jobs=1000, max_parallel_jobs=10)
    assert sum(trial.seconds for trial in study.trials) / 3600 > 3000
    assert study.now / 3600 > 300


def test_a_target_ends_it():
    """Good enough is good enough."""
    study = tune(Simulated(simulated), max_jobs=500, extensions=[("target-value", {"value": 1.0})])
    assert study.best.value <= 1.0
    assert study.jobs < 500
    assert study.stop_reason.startswith("target reached: trial ")


def test_no_improvement_ends_it():
    """So many finished trials since the incumbent."""
    study = tune(
        Simulated(lambda _: Simulation({"loss": 1.0}, 1)),
        max_jobs=500,
        extensions=[("no-improvement", {"trials": 7})],
    )
    assert study.stop_reason == "no improvement in 7 finished trials"
    assert study.finished_since_best >= 7
    assert study.jobs <= 7 + 3 + 1


def test_wall_time_ends_it_and_stops_the_jobs():
    """Nothing runs on after the time limit."""
    study = tune(Simulated(lambda _: Simulation({"loss": 1.0}, 1000)), max_runtime_in_seconds=1500)
    assert study.stop_reason == "time limit of 1500 s reached"
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 3 + ["Pruned"] * 3
    assert study.now < 1700


def test_first_failures_end_it_with_the_last_error():
    """A broken function does not use up the budget."""

    def broken(hyperparameters):
        raise RuntimeError("no such data")

    study = tune(broken, max_jobs=50, max_parallel_jobs=4)
    assert study.stop_reason == "the first 4 trials all failed, the last with: RuntimeError: no such data"
    assert study.jobs < 12
    assert study.best is None


def test_an_algorithm_that_ends_ends_it():
    """No proposals and nothing running: there will be no more."""

    class Three:
        def __init__(self, problem):
            self.left = 3

        @hookimpl
        def propose(self, study, count):
            given = min(count, self.left)
            self.left -= given
            return [{"x": float(self.left + i)} for i in range(given)]

    study = tune(strategy=Three)
    assert study.stop_reason == "no more proposals"
    assert study.jobs == 3


def test_repetition_ends_it():
    """A space of two points has two jobs, however many are allowed."""
    study = tune(lambda h: float(h["c"] == "a"), {"c": CategoricalParameter(["a", "b"])}, max_jobs=10)
    assert study.jobs == 2
    assert study.stop_reason.startswith("nothing new proposed: the last 10")


def test_a_space_of_one_point_has_one_job():
    """min == max is a space too."""
    study = tune(ranges={"x": ContinuousParameter(2, 2)})
    assert study.jobs == 1
    assert study.best.value == 1.0


FEW = {"n": IntegerParameter(1, 3)}


def test_a_repeated_configuration_shares_the_result():
    """Reused trials have values, no job, and are not counted."""
    calls = []

    def count_calls(hyperparameters):
        calls.append(hyperparameters["n"])
        return float(hyperparameters["n"])

    study = tune(count_calls, FEW, max_jobs=3, max_parallel_jobs=1)
    assert sorted(calls) == [1, 2, 3]
    for trial in study.trials:
        if trial.status == "Reused":
            assert trial.value == study.trials[trial.result_of].value == trial.hyperparameters["n"]
            assert trial.job_name is None


def test_duplicates_can_be_run():
    """`duplicates="run"` repeats a configuration as a job."""
    study = tune(lambda h: 1.0, FEW, max_jobs=9, duplicates="run")
    assert study.jobs == 9
    assert all(trial.status == "Completed" for trial in study.trials)


def test_a_failed_configuration_gets_a_new_job():
    """Nothing is known of a failed one, so its repeat runs."""
    failures = iter([True, False])

    def flaky(hyperparameters):
        if next(failures):
            raise RuntimeError("bad luck")
        return 1.0

    study = tune(flaky, {"x": ContinuousParameter(1, 1)}, max_jobs=2, max_parallel_jobs=1)
    assert [str(trial.status) for trial in study.trials] == ["Failed", "Completed"]


def test_a_repeat_waits_for_the_running_trial_and_runs_if_that_fails():
    """The twin of a running trial takes no slot, and gets a job of its own when there is nothing to share."""

    class Twins:
        def __init__(self, problem):
            self.left = [{"x": 1.0}, {"x": 1.0}, {"x": 2.0}]

        @hookimpl
        def propose(self, study, count):
            given, self.left = self.left[:count], self.left[count:]
            return given

    def first_fails(hyperparameters):
        nonlocal attempts
        attempts += hyperparameters["x"] == 1.0
        return Simulation(
            {"loss": 0.0}, 10, failure="out of memory" if (attempts, hyperparameters["x"]) == (1, 1.0) else None
        )

    attempts = 0
    study = tune(Simulated(first_fails), strategy=Twins, max_jobs=5, max_parallel_jobs=2, failure_limit=False)
    assert [str(trial.status) for trial in study.trials] == ["Failed", "Completed", "Completed"]
    assert study.trials[2].started == 0.0
    assert study.trials[1].started == 10.0


def test_of_many_repeats_one_runs_when_the_first_fails_and_the_others_share_it():
    """Whatever fails, a configuration is paid for once at a time."""

    class Triplets:
        def __init__(self, problem):
            self.left = [{"x": 1.0}] * 3

        @hookimpl
        def propose(self, study, count):
            given, self.left = self.left[:count], self.left[count:]
            return given

    calls = []

    def first_fails(hyperparameters):
        calls.append(hyperparameters)
        return Simulation({"loss": 0.0}, 10, failure="bad luck" if len(calls) == 1 else None)

    study = tune(Simulated(first_fails), strategy=Triplets, max_jobs=9, failure_limit=False)
    assert [str(trial.status) for trial in study.trials] == ["Failed", "Completed", "Reused"]
    assert (study.jobs, len(calls), study.trials[2].result_of) == (2, 2, 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (float("nan"), "loss is nan"),
        (float("inf"), "loss is inf"),
        ({"accuracy": 1.0}, "the job did not report 'loss'"),
        (None, "the function returned None for 'loss', not a number"),
        ("0.5", "the function returned '0.5' for 'loss', not a number"),
    ],
    ids=["nan", "inf", "missing", "none", "text"],
)
def test_an_objective_that_is_no_finite_number_fails_the_trial(answer, reason):
    """The reason says which metric, and what it was."""
    study = tune(lambda _: answer, max_jobs=1, max_parallel_jobs=1)
    (trial,) = study.trials
    assert (str(trial.status), trial.values, trial.losses, trial.reason) == ("Failed", None, None, reason)


def test_no_algorithm_computes_with_the_last_value_of_a_stopped_job_that_is_no_number():
    """A job that is stopped early and reported nan or infinity last has failed."""
    seen = []

    class Watching:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def observe(self, study, trials):
            seen.extend((str(trial.status), trial.losses, trial.reason) for trial in trials)

        @hookimpl
        def prune(self, study, trial):
            return "long enough" if study.reports(trial) else None

    values = iter([float("nan"), float("inf"), 1.0])
    estimator = Simulated(lambda _: Simulation([{"loss": next(values)}, {"loss": 0.0}], 1000))
    tune(estimator, max_jobs=3, max_parallel_jobs=1, extensions=[Watching])
    assert seen == [
        ("Failed", None, "loss is nan"),
        ("Failed", None, "loss is inf"),
        ("Pruned", (1.0,), "long enough"),
    ]


def test_a_missing_metric_is_warned_about_once(caplog):
    """The first job that does not report its objective says so at once."""
    tune(lambda _: {"accuracy": 1.0}, max_jobs=5, failure_limit=False)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].endswith("-0: the job did not report 'loss'")


def test_system_exit_in_the_function_is_a_failed_trial():
    """A function that exits fails its trial, not the study."""

    def leave(hyperparameters):
        raise SystemExit("enough")

    study = tune(leave, max_jobs=1, max_parallel_jobs=1)
    assert study.trials[0].reason == "SystemExit: enough"


def test_interrupted_attempts_are_tried_again_as_the_same_trial():
    """An infrastructure failure costs an attempt, not a job of the budget."""
    study = tune(Simulated(lambda h: Simulation({"loss": h["x"]}, 100, interruptions=2)), max_jobs=4)
    assert study.jobs == 4
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 2)] * 4
    assert all(trial.job_name == f"{study.id}-{trial.number}-2" for trial in study.trials)


def test_too_many_interruptions_fail_the_trial():
    """`max_attempts` is the limit."""
    study = tune(Simulated(lambda h: Simulation({"loss": 1.0}, 1, interruptions=9)), max_jobs=3, max_attempts=2)
    assert all(trial.attempt == 1 and trial.status == "Failed" for trial in study.trials)
    assert study.trials[0].reason == "2 attempts failed, the last: simulated interruption"


def test_known_configurations_come_first():
    """`initial_configurations` stand in front of any algorithm, which sees their results too."""
    seen = []

    class Watching:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return [{"x": 0.5 + len(study.trials)} for _ in range(min(count, 1))]

        @hookimpl
        def observe(self, study, trials):
            seen.extend(trial.plugin for trial in trials)

    known = [{"x": 1.0}, {"x": 2.0}]
    study = tune(strategy=Watching, initial_configurations=known, max_jobs=4, max_parallel_jobs=1)
    assert [dict(trial.hyperparameters) for trial in study.trials[:2]] == known
    assert seen == ["initial-configurations"] * 2 + ["Watching"] * 2


def test_known_configurations_are_not_paid_for_again_when_limits_are_raised():
    """Plugins begin afresh, but what was proposed before was."""
    evaluated = []

    def noting(hyperparameters):
        evaluated.append(hyperparameters["x"])
        return hyperparameters["x"]

    known = [{"x": 1.0}, {"x": 2.0}, {"x": 2.0}]
    tuner = tuned(noting, initial_configurations=known, max_jobs=4, max_parallel_jobs=1, duplicates="run")
    tuner.resume(max_jobs=7)
    assert evaluated[:3] == [1.0, 2.0, 2.0]
    assert len(evaluated) == 7
    assert {1.0, 2.0}.isdisjoint(evaluated[3:])


def test_running_trials_are_stopped_early_by_the_median_rule():
    """`early_stopping_type="Auto"` stops what is worse than the median at the same step."""

    def curve(hyperparameters):
        return Simulation([{"loss": hyperparameters["x"] + 10.0 / step} for step in range(1, 11)], 100)

    study = tune(Simulated(curve), max_jobs=30, early_stopping_type="Auto")
    pruned = [trial for trial in study.trials if trial.status == "Pruned"]
    assert 3 < len(pruned) < 27
    assert all("is worse than the median of" in trial.reason for trial in pruned)
    assert all(len(study.curve(trial.number)) < 10 and trial.value == study.curve(trial.number)[-1] for trial in pruned)
    completed = [trial for trial in study.trials if trial.status == "Completed"]
    assert all(len(study.curve(trial.number)) == 10 for trial in completed)
    assert study.best in completed


def test_a_proposals_key_comes_back_with_the_trial():
    """An algorithm recognises its own proposals by the key that it gave them."""
    keys = []

    @attrs.define(eq=False)
    class Keyed:
        problem: Problem
        asked: int = attrs.field(default=0, init=False)

        @hookimpl
        def propose(self, study, count):
            self.asked += 1
            return [Proposal({"x": float(self.asked)}, key={"generation": [self.asked]}, fidelity=3)]

        @hookimpl
        def observe(self, study, trials):
            keys.extend((trial.proposal.key, trial.proposal.fidelity) for trial in trials)

    tune(strategy=Keyed, max_jobs=2, max_parallel_jobs=1)
    assert keys == [({"generation": [1]}, 3), ({"generation": [2]}, 3)]


def test_a_registered_class_is_found_by_its_name():
    """`register` does without packaging what an entry point does."""

    @register("house-special")
    class HouseSpecial:
        def __init__(self, problem):
            self.space = problem.space

        @hookimpl
        def propose(self, study, count):
            return [self.space.decode([0.5])]

    assert tune(strategy="house-special", max_jobs=1, max_parallel_jobs=1).best.value == 1.0


def test_processes_evaluate_importable_functions():
    """`processes=True` imports the function by name; a lambda is refused with a sentence."""
    import colorsys

    study = tune(PythonFunction(colorsys.rgb_to_yiq, processes=True), max_jobs=1, max_parallel_jobs=1)
    assert "missing 2 required positional arguments" in study.trials[0].reason
    with pytest.raises(InvalidInput, match="move it to the top level of a module"):
        PythonFunction(lambda h: 1.0, processes=True)


def test_a_study_needs_no_file():
    """`:memory:` keeps the journal in this process alone."""
    study = tune(journal=":memory:")
    assert study.jobs == 12
    with pytest.raises(UnknownStudy):
        Tuner.attach("s", journal=":memory:")


def test_names_are_made_from_the_function_when_none_is_given():
    """Two runs of the same line have different names, so that neither adopts the other's jobs."""
    first, second = (tune(job_name=None, max_jobs=3) for _ in range(2))
    assert (first.name, second.name) == ("objective-1", "objective-2")
    assert first.id.startswith("objective-1-")


@pytest.mark.parametrize("length", [47, 48])
def test_a_long_base_name_leaves_room_for_its_number(length):
    """A study's name has at most 48 characters."""
    base = "a" * 45 + "-bc"[: length - 45]
    names = [tune(job_name=None, base_tuning_job_name=base, max_jobs=1, max_parallel_jobs=1).name for _ in "12"]
    assert names == [base[:46].rstrip("-") + "-1", base[:46].rstrip("-") + "-2"]


def test_a_numbered_name_that_another_program_takes_first_is_counted_on(monkeypatch):
    """A name that is ours to choose is never refused."""
    journal_class = type(open_journal("studies.db"))
    logs = journal_class.logs
    looks = []

    def outdated(journal):
        looks.append(journal)
        return [] if len(looks) == 1 else logs(journal)

    tune(job_name=None, max_jobs=1, max_parallel_jobs=1)
    monkeypatch.setattr(journal_class, "logs", outdated)
    assert tune(job_name=None, max_jobs=1, max_parallel_jobs=1).name == "objective-2"


def test_a_study_goes_on_in_a_process_of_its_own(own_folder, caplog):
    """`fit(wait=False)` returns at once and tells where the log is; another process drives the study to its end."""
    (own_folder / "train.py").write_text("import sys; print('loss=' + sys.argv[-1])\n")
    tuner = Tuner("train.py", "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=2, progress=False)
    study = tuner.fit(job_name="apart", wait=False)
    assert len(study.trials) == 0
    log = own_folder / f"byohpo.db.{study.id}.log"
    assert f"study apart is driven by another process, which writes to {log}" in caplog.text
    deadline = time.monotonic() + 60
    while "max_jobs (2) reached" not in (log.read_text() if log.exists() else "") and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert len(Tuner.attach("apart").study.trials) == 2


def test_fit_takes_what_programs_say_to_sagemakers_own_tuner():
    """The third argument is not `wait`."""
    tuner = Tuner(lambda h: h["x"], "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", progress=False)
    with pytest.raises(InvalidInput, match="include_cls_metadata is for jobs that SageMaker's own tuner starts"):
        tuner.fit(None, "one", include_cls_metadata=True)
    assert tuner.fit(None, "two", False).jobs == 1


def test_what_only_this_program_has_cannot_go_on_in_another():
    """A class or a function of a test has no name by which another process could import it."""

    class Here:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return []

    ranges = {"x": ContinuousParameter(0, 1)}
    for estimator, strategy, message in (
        (objective, Here, "'Here'.*exists only in this program"),
        (lambda hyperparameters: 1.0, "random", "exists only in this program"),
        (THRICE.times, "random", "Times.times exists only in this program"),
        (hidden, "random", "objective exists only in this program"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Tuner(estimator, "loss", ranges, strategy=strategy, progress=False).fit(wait=False)
    with pytest.raises(InvalidInput, match="needs a journal on disk"):
        Tuner(objective, "loss", ranges, strategy="random", journal=":memory:", progress=False).fit(wait=False)


@pytest.mark.parametrize("function", [THRICE.times, hidden], ids=["bound method", "wrapped function"])
def test_a_function_whose_name_leads_elsewhere_is_not_taken_for_what_is_there(function):
    """A bound method is not its class's, and a wrapper that bears a name is not what it wraps."""
    tune(function, max_jobs=2, max_parallel_jobs=1)
    with pytest.raises(InvalidInput, match="cannot import"):
        Tuner.attach("s", journal="studies.db", progress=False).resume(max_jobs=4)
    assert attach(estimator=function).resume(max_jobs=4).jobs == 4


def test_an_argument_that_is_none_counts_as_not_given():
    """So programs say to SageMaker's own tuner."""
    study = tune(max_jobs=None, max_parallel_jobs=None, early_stopping_type=None, objective_type=None)
    assert (study.jobs, study.problem.objectives[0].direction) == (1, "Maximize")


def test_an_attached_tuner_takes_an_algorithm_by_name_and_begins_nothing():
    """It resumes; a new study wants a new tuner."""
    tune()
    attached = attach(estimator=objective, strategy="random")
    with pytest.raises(InvalidInput, match=r"attached to a study: resume\(\) goes on"):
        attached.fit()
    assert attached.resume(max_jobs=14).jobs == 14
    assert attached.describe()["Manifest"]["problem"]["max_jobs"] == 14


def test_the_settings_that_are_described_are_those_in_force():
    """What `fit` learns, such as the backend, is there too."""
    tuner = tuned()
    assert tuner.describe()["Manifest"]["backend"]["kind"] == "function"


def test_a_data_frame_needs_pandas(monkeypatch):
    """Without the extra there is a sentence, not an ImportError of somebody else's."""
    tuner = tuned()
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match="pandas"):
        tuner.analytics().dataframe()


def test_a_running_study_is_stopped_from_another_thread():
    """`stop_tuning_job` ends the study and its jobs."""
    tuner = Tuner(
        Simulated(lambda _: Simulation({"loss": 1.0}, 10)),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=10**6,
        max_parallel_jobs=2,
        journal=":memory:",
        progress=False,
    )
    thread = threading.Thread(target=tuner.fit)
    thread.start()
    while tuner.study is None or tuner.study.finished_count < 10:
        time.sleep(0.001)
    tuner.stop_tuning_job()
    thread.join(30)
    assert not thread.is_alive()
    assert tuner.study.stop_reason == "stopped by stop_tuning_job"
    assert not tuner.study.running


def test_stopping_what_has_ended_does_not_stop_what_goes_on_later():
    """A request ends with the call that made it."""
    tuner = tuned(max_jobs=3)
    assert tuner.stop_tuning_job()
    study = tuner.resume(max_jobs=10)
    assert (study.jobs, study.stop_reason) == (10, "max_jobs (10) reached")


@pytest.mark.parametrize("name", ["byohpo_core.tuner.tuner.imported", "byohpo_core.driving.session.replay"])
def test_a_study_whose_driver_only_prepares_itself_can_be_stopped(name, monkeypatch):
    """The request is kept until the driver looks; nobody else tries to drive."""
    step, at_it, go_on = resolve_name(name), threading.Event(), threading.Event()

    def slow(*arguments):
        at_it.set()
        assert go_on.wait(30)
        return step(*arguments)

    monkeypatch.setattr(name, slow)
    tuner = Tuner(
        Simulated(simulated), "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=9, progress=False
    )
    thread = threading.Thread(target=tuner.fit)
    thread.start()
    assert at_it.wait(30)
    assert not tuner.stop_tuning_job()
    go_on.set()
    thread.join(30)
    assert (tuner.study.stop_reason, tuner.study.jobs) == ("stopped by stop_tuning_job", 0)


@pytest.mark.parametrize("cut_short", [False, True], ids=["to its end", "stopped"])
def test_the_words_for_a_state_are_sagemakers(cut_short):
    """Completed is what has come to its end by itself, when nothing runs any more."""
    states = []

    class Watching:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            if cut_short and study.finished_count == 1:
                tuner.stop_tuning_job()
            states.append(tuner.describe()["HyperParameterTuningJobStatus"])

        @hookimpl
        def stop(self, study):
            return "enough" if study.finished_count and not cut_short else None

    tuner = Tuner(
        Simulated(lambda h: Simulation({"loss": 1.0}, 1000 * h["x"])),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=9,
        max_parallel_jobs=3,
        extensions=[Watching],
        progress=False,
    )
    tuner.fit()
    assert list(dict.fromkeys(states)) == ["InProgress", "Stopping", "Stopped" if cut_short else "Completed"]


def test_a_reason_is_one_line():
    """Listings and messages have one line a study and a trial."""

    class Wordy:
        def __init__(self, problem):
            pass

        @hookimpl
        def stop(self, study):
            return "first line\n  second line" if study.trials else None

    def failing(hyperparameters):
        raise RuntimeError("bad\nnews")

    study = tune(failing, extensions=[Wordy], max_jobs=2, max_parallel_jobs=2)
    assert study.stop_reason == "first line second line"
    assert {trial.reason for trial in study.trials} == {"RuntimeError: bad news"}


def test_describe_tells_the_state_and_the_settings():
    """The words are those of SageMaker's DescribeHyperParameterTuningJob."""
    tuner = tuned()
    described = tuner.describe()
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"] == {"Completed": 12}
    assert described["BestTrainingJob"]["TrainingJobName"] == tuner.best_training_job() == tuner.study.best.job_name


def test_everything_is_on_disk_before_anything_acts_on_it():
    """A job's intent before it starts; a result, own or reused, before a plugin sees it."""
    checked = []

    def on_disk(kind, number):
        connection = sqlite3.connect("studies.db")
        rows = connection.execute("SELECT 1 FROM events WHERE kind = ? AND trial = ?", (kind, number)).fetchall()
        connection.close()
        checked.append((kind, number, len(rows)))

    class Repeating:
        def __init__(self, problem):
            pass

        @hookimpl
        def propose(self, study, count):
            return [{"x": float(len(study.trials) // 2)}]

        @hookimpl
        def observe(self, study, trials):
            for trial in trials:
                on_disk("finished", trial.number)

    def looking(hyperparameters):
        on_disk("intended", int(hyperparameters["x"]) * 2)
        return 1.0

    study = tune(looking, strategy=Repeating, max_jobs=2, max_parallel_jobs=1)
    assert [str(trial.status) for trial in study.trials] == ["Completed", "Reused", "Completed"]
    assert checked == [
        ("intended", 0, 1),
        ("finished", 0, 1),
        ("finished", 1, 1),
        ("intended", 2, 1),
        ("finished", 2, 1),
    ]


def test_repeats_beside_a_running_job_are_no_end():
    """A particle that has come to rest repeats itself; the others' jobs still bring news."""

    class OneAtRest:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            if study.trials and not study.best:
                return []
            return [{"x": 0.5 if study.running or study.waiting or not study.trials else study.jobs / 100}]

    study = tune(
        Simulated(simulated), {"x": ContinuousParameter(0, 1)}, strategy=OneAtRest, max_jobs=9, max_parallel_jobs=2
    )
    assert study.stop_reason == "max_jobs (9) reached"
    assert 10 <= sum(trial.result_of is not None for trial in study.trials) < 200
