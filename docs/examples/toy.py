"""The primer: minimise (x - 1)^2, a Python function, with a particle swarm."""

from byohpo_core import ContinuousParameter, Tuner


def objective(hyperparameters):
    """What is tuned: any function from hyperparameters to metrics by name."""
    return {"loss": (hyperparameters["x"] - 1) ** 2}


if __name__ == "__main__":
    tuner = Tuner(
        objective,
        "loss",
        {"x": ContinuousParameter(-5, 5)},
        strategy="pso",
        objective_type="Minimize",
        max_jobs=60,
        max_parallel_jobs=6,
        random_seed=1,
        strategy_options={"population": 12},
    )
    study = tuner.fit()
    print(f"{study.name}: {study.stop_reason}")
    print(f"best: x = {study.best.hyperparameters['x']:.6f}, loss = {study.best.value:.3g}")
