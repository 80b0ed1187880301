"""The smallest example: minimise the Python function (x - 1)^2 with a particle swarm."""

from byohpo_core import ContinuousParameter, Tuner


def objective(hyperparameters):
    """Return the metrics of a configuration by name; any such function can be tuned."""
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
