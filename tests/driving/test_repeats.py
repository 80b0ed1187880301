"""A configuration that is known or on its way is not paid for again."""

from studies import simulated, tune

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, Simulated, Simulation, hookimpl


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
