"""Configurations that the user knows are tried first."""

from studies import tune, tuned

from byohpo_core import hookimpl


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
