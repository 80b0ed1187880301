"""Stop rules end a study when it has found enough, or nothing."""

from studies import simulated, tune

from byohpo_core import Simulated, Simulation


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
