"""Journals that earlier releases have written are read and resumed, to the letter."""

from pathlib import Path

import pytest
import studies
from studies import attach

from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation

JOURNALS = Path(__file__).with_name("released")


def simulated(hyperparameters):
    """A job with a curve; a few fail, a few lose their first attempt."""
    x, n = hyperparameters["x"], hyperparameters["n"]
    loss = (x - 1) ** 2 + n
    curve = [{"loss": loss + 1}, {"loss": loss}]
    return Simulation(curve, 50 + 40 * abs(x) + 7 * n, "diverged" if x > 4 else None, int(x < -4))


def tuner(strategy, **options):
    ranges = {"x": ContinuousParameter(-5, 5), "n": IntegerParameter(1, 4)}
    return studies.tuner(Simulated(simulated), ranges, strategy=strategy, journal=":memory:", **options)


@pytest.fixture
def attached():
    """A function that attaches to a study of the journal of November 2026, when its driver had been killed."""
    Path("old.db").write_bytes((JOURNALS / "0.1.0-2026-11.db").read_bytes())
    return lambda name: attach(name, Simulated(simulated), journal="old.db")


def outcomes(study):
    """What an uninterrupted study has in common with a resumed one: all but the names of its jobs."""
    return [(dict(it.proposal.hyperparameters), str(it.status), it.values, it.attempt) for it in study.trials]


def test_an_asynchronous_swarm_goes_on(attached):
    """Its proposals are repeated from the journal; then it goes on as if it had never been interrupted."""
    old = attached("swarm")
    assert (old.study.jobs, old.study.finished_count, old.study.stop_reason) == (14, 11, None)
    study = old.resume()
    whole = tuner("pso", max_jobs=24, max_parallel_jobs=4, early_stopping_type="Auto").fit()
    assert outcomes(study) == outcomes(whole)
    assert study.stop_reason == "max_jobs (24) reached"


def test_a_study_goes_on_in_its_second_epoch(attached):
    """A limit was raised: what came before is foreign, and the algorithm is the epoch's."""
    old = attached("raised")
    assert (old.study.jobs, old.study.epoch_start, old.study.problem.max_jobs) == (16, 10, 16)
    before = outcomes(old.study)
    study = old.resume()
    assert (study.jobs, study.stop_reason) == (16, "max_jobs (16) reached")
    assert [trial.prior for trial in study.trials] == [True] * 10 + [False] * 6
    assert outcomes(study)[:10] == before[:10]
    assert [it[0] for it in outcomes(study)] == [it[0] for it in before]


def steps(hyperparameters):
    """The job of the first release's journal."""
    x = hyperparameters["x"]
    return Simulation([{"loss": x + 1}, {"loss": x}], 10 + x, "bad" if x > 0.9 else None, int(x < 0.1))


def test_the_first_release_is_read_for_ever():
    """And gone on with: random search has no memory, so that what it proposed then stands."""
    Path("old.db").write_bytes((JOURNALS / "0.1.0.db").read_bytes())
    old = attach("s", Simulated(steps), journal="old.db")
    assert (old.study.jobs, old.study.stop_reason) == (10, None)
    before = [trial.hyperparameters for trial in old.study.trials]
    study = old.resume()
    assert (study.jobs, study.stop_reason) == (12, "max_jobs (12) reached")
    made = [trial.hyperparameters for trial in study.trials]
    assert made[:10] == before
    assert len({it["x"] for it in made}) == len(made) == 12
