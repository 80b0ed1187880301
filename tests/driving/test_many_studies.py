"""Forty studies of different algorithms at once in one process, each as when alone."""

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points

from studies import tune

from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation

NAMES = sorted(
    entry.name for entry in entry_points(group="byohpo.algorithms") if entry.dist.name.startswith("byohpo-plugin-")
)


def job(hyperparameters):
    x, n = hyperparameters["x"], hyperparameters["n"]
    return Simulation({"loss": (x - 1) ** 2 + n, "cost": n}, 60 + 10 * abs(x), "diverged" if x > 4.5 else None)


def study(number):
    strategy = NAMES[number % len(NAMES)]
    found = tune(
        Simulated(job),
        {"x": ContinuousParameter(-5, 5), "n": IntegerParameter(1, 4)},
        ["loss", "cost"] if strategy == "nsga2" else "loss",
        strategy=strategy,
        strategy_options={"resolution": 9} if strategy == "grid" else None,
        **({"resource": "epochs", "max_resource": 9} if strategy == "hyperband" else {}),
        objective_type="Minimize" if number % 2 else "Maximize",
        max_jobs=30,
        max_parallel_jobs=1 + number % 5,
        random_seed=number,
        failure_limit=False,
        job_name=f"s{number}",
    )
    return [(dict(trial.hyperparameters), str(trial.status), trial.values) for trial in found.trials]


def test_forty_studies_at_once_are_as_forty_alone(tmp_path, monkeypatch):
    """In eight threads and one journal."""
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(study, range(40)))
    alone = tmp_path / "alone"
    alone.mkdir()
    monkeypatch.chdir(alone)
    assert [study(number) for number in range(40)] == together
