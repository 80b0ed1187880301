"""What a study says where trials have different amounts of a resource, or are beyond constraints on outcomes."""

import random

import attrs
import pytest
import studies
from inside import Fold, Median, events, trust
from studies import tune

from byohpo_core import (
    Constraint,
    ContinuousParameter,
    Event,
    IntegerParameter,
    InvalidInput,
    JournalError,
    OutcomeConstraint,
    Proposal,
    SearchSpace,
    Simulated,
    Simulation,
    hookimpl,
)

RANGES = {"x": ContinuousParameter(0, 1)}


class Continuing:
    """Proposes one configuration again and again, each time going on from the last trial."""

    def __init__(self, problem):
        self.problem = problem

    @hookimpl
    def propose(self, study, count):
        before = len(study.trials) - 1
        if study.running or study.waiting:
            return []
        return [Proposal({"x": 0.5}, None, None, before if before >= 0 else None)]


def job(hyperparameters):
    x, amount = hyperparameters["x"], hyperparameters.get("epochs", 1)
    return Simulation([{"loss": x + 1 / (step + 1), "latency": 10 * (1 - x)} for step in range(amount)], 1.0)


def test_a_long_chain_of_continued_trials_has_a_history():
    """One after the other, however many."""
    study = tune(Simulated(job), RANGES, strategy=Continuing, max_jobs=1200, max_parallel_jobs=1, journal=":memory:")
    study._read_curve = lambda number, *_: (number,)  # as it is, each takes a walk through all events
    assert study.history(1199) == [*range(1200)]


def test_a_trial_shares_the_result_of_a_finished_one_only():
    """A journal in which two share each other's would be read for ever."""
    study = tune(Simulated(job), RANGES, max_jobs=3, journal=":memory:")
    fold = Fold(study.id, study.name, study.problem, lambda *_: ())
    fold.apply(
        Event(0, events.EventKind.Asked, 0.0, {"plugin": "p", "wanted": 1, "answer": [{"hyperparameters": {"x": 0.5}}]})
    )
    with pytest.raises(JournalError, match="share"):
        fold.apply(Event(1, events.EventKind.Finished, 0.0, {"trial": 0, "status": "Reused", "shares": 0}))


def test_all_of_the_resource_and_no_fidelity_are_one_configuration():
    """A job is paid for once."""

    class Whole(Continuing):
        @hookimpl
        def propose(self, study, count):
            return [Proposal({"x": 0.5}, fidelity=9)] if len(study.trials) < 2 else []

    study = tune(
        Simulated(job),
        RANGES,
        strategy=Whole,
        initial_configurations=[{"x": 0.5}],
        resource="epochs",
        max_resource=9,
        max_jobs=4,
        max_parallel_jobs=1,
        journal=":memory:",
    )
    assert study.jobs == 1
    assert [str(trial.status) for trial in study.trials] == ["Completed", "Reused"]


def test_constraints_may_come_from_an_iterator():
    """Both kinds of them are kept."""
    constraints = (it for it in [OutcomeConstraint("latency", at_most=5)])
    study = tune(Simulated(job), RANGES, constraints=constraints, max_jobs=3, journal=":memory:")
    assert study.problem.outcome_constraints == (OutcomeConstraint("latency", at_most=5),)


def test_hyperband_promotes_nothing_beyond_the_constraints():
    """Only what is within them gets more of the resource."""
    study = tune(
        Simulated(job),
        RANGES,
        strategy="hyperband",
        constraints=[OutcomeConstraint("latency", at_most=5)],
        resource="epochs",
        max_resource=9,
        max_jobs=40,
        max_parallel_jobs=1,
        journal=":memory:",
    )
    more = [trial for trial in study.trials if trial.proposal.fidelity > 1]
    assert more
    assert all(trial.violation == 0 for trial in more)
    assert study.best.violation == 0


def test_earlier_results_without_the_bounded_metric_run_again():
    """Whether they are within the bound, nobody knows."""
    ranges = {"k": IntegerParameter(1, 4)}

    def first(hyperparameters):
        return Simulation({"loss": hyperparameters["k"]}, 1.0)

    def second(hyperparameters):
        return Simulation({"loss": hyperparameters["k"], "latency": 10 * hyperparameters["k"]}, 1.0)

    common = {"max_jobs": 4, "strategy": "random", "journal": "j.db"}
    tune(Simulated(first), ranges, job_name="a", **common)
    bound = [OutcomeConstraint("latency", at_least=20)]
    study = tune(Simulated(second), ranges, job_name="b", constraints=bound, warm_start_from=["a"], **common)
    assert study.jobs == 4
    assert study.best.hyperparameters["k"] == 2


def test_only_results_with_all_of_the_resource_are_started_from():
    """A loss after one epoch cannot be compared with one after nine."""
    common = {"resource": "epochs", "max_resource": 9, "max_parallel_jobs": 1, "journal": "j.db"}
    tune(Simulated(job), RANGES, strategy="hyperband", job_name="a", max_jobs=20, **common)
    seen = []

    class Starts(Continuing):
        @hookimpl
        def observe(self, study, trials):
            seen.extend(trial for trial in trials if study.problem.is_whole(trial.proposal))

        @hookimpl
        def propose(self, study, count):
            return []

    tune(Simulated(job), RANGES, strategy=Starts, job_name="b", warm_start_from=["a"], max_jobs=1, **common)
    whole = tune(Simulated(job), RANGES, strategy="ga", job_name="c", warm_start_from=["a"], max_jobs=8, **common)
    begun = [trial.hyperparameters["x"] for trial in whole.trials if not trial.prior]
    assert seen
    assert {trial.hyperparameters["x"] for trial in seen} & set(begun)


def test_the_name_of_the_resource_is_that_of_a_hyperparameter():
    """It is no secret, and not too long."""
    for wrong in ({"resource": "x" * 300}, {"resource": "epochs", "secrets": ["epochs"]}):
        with pytest.raises(InvalidInput, match="hyperparameter"):
            studies.tuner(Simulated(job), RANGES, max_resource=9, **wrong)


def test_trust_is_for_the_resource_too():
    """It becomes an argument of the program that runs."""
    digests = set()
    for name, most in (("epochs", 9), ("epochs", 99), ("load=/tmp/evil", 9)):
        plan = studies.tuner(Simulated(job), RANGES, resource=name, max_resource=most)._plan
        digests.add(trust.digest("s-abcd", attrs.evolve(plan, backend={"kind": "simulated"})))
    assert len(digests) == 3


def test_random_configurations_within_constraints_are_not_drawn_to_their_border():
    """They are drawn again until they obey, and so as likely inside as anywhere."""
    space = SearchSpace(
        {"layers": IntegerParameter(1, 64), "batch": IntegerParameter(8, 1024)},
        (Constraint({"layers": 64, "batch": 1}, at_most=1024),),
    )
    generator = random.Random(1)
    drawn = [space.sample(generator)["layers"] for _ in range(200)]
    assert sum(it == 15 for it in drawn) < 20
    assert sum(it <= 5 for it in drawn) > 60


def test_a_median_counts_a_continued_configuration_once():
    """Its longest history stands for it."""

    class Promoting(Continuing):
        @hookimpl
        def propose(self, study, count):
            number = len(study.trials)
            if study.running or number > 4:
                return []
            return [Proposal({"x": number / 4}, None, None, number - 1 if number > 2 else None)]

    study = tune(Simulated(job), RANGES, strategy=Promoting, max_jobs=5, max_parallel_jobs=1, extensions=["median"])
    median = Median(study.problem)
    assert sorted(map(len, median._completed(study))) == [1, 1, 3]
