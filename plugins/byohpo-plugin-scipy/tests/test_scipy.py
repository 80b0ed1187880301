"""No proposal lies outside the box or within 1e-6 of an earlier one, and several studies run in one process."""

import pytest

from byohpo_core import ContinuousParameter, InvalidInput, Simulated, Simulation, Tuner

NAMES = ["basinhopping", "cobyqa", "direct", "dual-annealing", "nelder-mead", "powell", "shgo"]


def tune(name, loss, jobs=150, objectives=1, **settings):
    metrics = [f"m{number}" for number in range(objectives)]
    return Tuner(
        Simulated(lambda h: Simulation(dict.fromkeys(metrics, loss(list(h.values()))), 1)),
        metrics,
        {f"x{axis}": ContinuousParameter(0, 1) for axis in range(3)},
        strategy=f"scipy-{name}",
        objective_type="Minimize",
        max_jobs=jobs,
        max_parallel_jobs=2,
        random_seed=3,
        duplicates="run",
        journal=":memory:",
        progress=False,
        **settings,
    ).fit()


LOSSES = {
    "smooth": lambda x: sum((v - 0.4) ** 2 for v in x),
    "at the edge": sum,
    "rough": lambda x: sum(round(5 * v) + (v - 0.3) ** 2 for v in x),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", NAMES)
def test_no_job_is_paid_for_a_step_too_small_or_outside(name, loss):
    """Among 150 jobs there is no point outside the box and none within 1e-6 of another."""
    points = [list(trial.hyperparameters.values()) for trial in tune(name, LOSSES[loss]).trials]
    outside = sum(not all(0 <= v <= 1 for v in point) for point in points)
    near = sum(
        max(abs(a - b) for a, b in zip(point, other, strict=True)) < 1e-6
        for number, point in enumerate(points)
        for other in points[:number]
    )
    assert (outside, near) == (0, 0)
    assert len(points) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_several_objectives_are_refused(name):
    """The error comes before any job."""
    with pytest.raises(InvalidInput, match=rf"'scipy-{name}'.*m0.*m1"):
        tune(name, sum, objectives=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_asks_only_for_what_is_known_ends(name, monkeypatch):
    """Here all points count as one, so that the search would go on for ever without a trial."""
    monkeypatch.setattr("byohpo_plugin_scipy.NEAR", 2.0)
    monkeypatch.setattr("byohpo_plugin_scipy._PATIENCE", 500)
    study = tune(name, sum)
    assert (study.jobs, study.stop_reason) == (1, "no more proposals")


def test_a_jump_that_leads_nowhere_is_refused():
    """With a step of 0 basin hopping would never leave its point."""
    with pytest.raises(InvalidInput, match=r"step.*\b0\b.*0\.001.*\b1\b"):
        tune("basinhopping", sum, strategy_options={"step": 0})


@pytest.mark.parametrize(
    ("points", "told"),
    [(2, r"3 hyperparameters.*\b5\b"), (4, r"\b5\b"), (10**9, r"\b2\b.*\b100000\b")],
)
def test_points_that_are_too_few_or_too_many_are_refused(points, told):
    """With too few points SciPy evaluates nothing; it allocates all points at once, so there is a maximum."""
    with pytest.raises(InvalidInput, match=rf"points.*\b{points}\b.*{told}"):
        tune("shgo", sum, strategy_options={"points": points})
