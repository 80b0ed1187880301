"""Compare the billed time to the same quality with and without `hyperband`, on learning curves of real trainings.

Each job trains a small network on scikit-learn's handwritten digits, epoch by epoch, on the emulator with a virtual
clock: two minutes to start and one minute an epoch, of which the emulator bills a part, as SageMaker does for spot
instances. The checkpoint of the last whole epoch is on S3, and a job goes on from there when its spot instance was
taken away, or when it continues another trial. The quality to reach is what the median of some random searches finds in
20 trials. Then each searcher is run until it has found that, with other seeds. The script exits with 1 if the target is
missed.
"""

import argparse
import math
import os
import pickle
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from bookkeeping import Row, show
from byohpo_sagemaker_emulator import Emulator, SimulatedJob, VirtualClock
from moto.s3.models import s3_backends
from sklearn.datasets import load_digits

from byohpo_core import CategoricalParameter, ContinuousParameter, IntegerParameter, Study, TrainingJob, Tuner

EPOCHS, START_SECONDS, EPOCH_SECONDS = 81, 120.0, 60.0
INTERRUPTED = 0.02
"""How probable it is that a spot instance is taken away during an epoch."""
SLOTS, TRIALS, BAR = 4, 20, 3.0
PLAIN = "random"
WITH: Mapping[str, Mapping[str, Any]] = {
    "asha": {},
    "asha, sampler gp": {"sampler": "gp"},
    "asha, pruned": {"promotion": "prune"},
    "brackets": {"mode": "hyperband"},
}
SPACE = {
    "learning_rate": ContinuousParameter(1e-5, 1, "Logarithmic"),
    "momentum": ContinuousParameter(0.0, 0.99),
    "decay": ContinuousParameter(1e-6, 0.1, "Logarithmic"),
    "scale": ContinuousParameter(0.05, 5, "Logarithmic"),
    "batch_size": IntegerParameter(32, 256, "Logarithmic"),
    "hidden": IntegerParameter(4, 64, "Logarithmic"),
    "activation": CategoricalParameter(["relu", "tanh"]),
}
REQUEST = {
    "AlgorithmSpecification": {
        "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1",
        "TrainingInputMode": "File",
    },
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 86_400, "MaxWaitTimeInSeconds": 172_800},
    "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"},
}


@attrs.define
class Network:
    """A network with one hidden layer, trained by stochastic gradient descent with momentum and weight decay."""

    layers: list[np.ndarray]
    speeds: list[np.ndarray]
    generator: np.random.Generator
    epoch: int = 0

    @classmethod
    def new(cls, inputs: int, given: Mapping[str, Any]) -> "Network":
        generator = np.random.default_rng(1)
        sizes = [(inputs + 1, given["hidden"]), (given["hidden"] + 1, 10)]
        layers = [given["scale"] / math.sqrt(size[0]) * generator.standard_normal(size) for size in sizes]
        return cls(layers, [np.zeros(size) for size in sizes], generator)

    def scores(self, images: np.ndarray, activation: str) -> tuple[np.ndarray, np.ndarray]:
        inner = images @ self.layers[0]
        hidden = with_ones(np.tanh(inner) if activation == "tanh" else np.maximum(inner, 0))
        return hidden, hidden @ self.layers[1]

    def train(self, images: np.ndarray, labels: np.ndarray, given: Mapping[str, Any]) -> None:
        """Train one epoch."""
        order = self.generator.permutation(len(images))
        for first in range(0, len(order), given["batch_size"]):
            batch = order[first : first + given["batch_size"]]
            hidden, scores = self.scores(images[batch], given["activation"])
            wrong = np.exp(scores - scores.max(axis=1, keepdims=True))
            wrong /= wrong.sum(axis=1, keepdims=True)
            wrong[np.arange(len(batch)), labels[batch]] -= 1
            back = (wrong @ self.layers[1].T)[:, :-1]
            active = hidden[:, :-1]
            back *= 1 - active**2 if given["activation"] == "tanh" else active > 0
            for place, (before, error) in enumerate(((images[batch], back), (hidden, wrong))):
                gradient = before.T @ error / len(batch) + given["decay"] * self.layers[place]
                self.speeds[place] = given["momentum"] * self.speeds[place] - given["learning_rate"] * gradient
                self.layers[place] += self.speeds[place]
        self.epoch += 1


def with_ones(rows: np.ndarray) -> np.ndarray:
    return np.hstack([rows, np.ones((len(rows), 1))])


class Account:
    """What the jobs of an emulator do: they train networks, with checkpoints on its S3."""

    def __init__(self) -> None:
        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(images))
        self.images, self.labels = with_ones(images[order] / 16), labels[order]
        self.clock = VirtualClock()
        # The emulator answers no call while it asks for a job, so these are its buckets themselves.
        self.storage: Any = s3_backends["123456789012"]["aws"]
        self.interruptions = self.epochs = 0

    def job(self, request: Mapping[str, Any]) -> SimulatedJob:
        """Train to the end; after an interruption, with what the checkpoint has."""
        given = {name: value(text) for name, text in request["HyperParameters"].items()}
        place = request["CheckpointConfig"]["S3Uri"].removeprefix("s3://bucket/") + "/state"
        chance = random.Random(request["TrainingJobName"].partition("-")[2])  # noqa: S311
        errors: list[float] = []
        seconds, interruptions = START_SECONDS, 0
        network = self.load(place) or Network.new(self.images.shape[1] - 1, given)
        while network.epoch < given["num_epoch"]:
            saved = pickle.dumps(network)
            with np.errstate(all="ignore"):
                network.train(self.images[:600], self.labels[:600], given)
                guessed = network.scores(self.images[600:], given["activation"])[1].argmax(axis=1)
            if chance.random() < INTERRUPTED:
                self.save(place, saved)
                network = self.load(place)
                interruptions += 1
                seconds += START_SECONDS + EPOCH_SECONDS * chance.random()
            else:
                errors.append(float(np.mean(guessed != self.labels[600:])))
                seconds += EPOCH_SECONDS
        self.save(place, pickle.dumps(network))
        self.epochs, self.interruptions = self.epochs + len(errors), self.interruptions + interruptions
        return SimulatedJob(seconds, [{"error": error} for error in errors], spot_interruptions=interruptions)

    def save(self, place: str, body: bytes) -> None:
        self.storage.put_object("bucket", place, body)

    def load(self, place: str) -> Any:
        found = self.storage.get_object("bucket", place)
        return None if found is None else pickle.loads(found.value)  # noqa: S301

    def study(self, name: str, seed: int, jobs: int, journal: Path, **settings: Any) -> Study:
        return Tuner(
            TrainingJob(REQUEST, clock=self.clock),
            "error",
            SPACE,
            [{"Name": "error", "Regex": r"error=(\S+);"}],
            objective_type="Minimize",
            max_jobs=jobs,
            max_parallel_jobs=SLOTS,
            resource="num_epoch",
            max_resource=EPOCHS,
            random_seed=seed,
            journal=journal,
            progress=False,
            **settings,
        ).fit(job_name=name)


def value(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text.strip('"')


def billed(study: Study, target: float) -> tuple[float, bool]:
    """The billed hours until a trial has reached the target, and whether one has."""
    reached = [trial.ended for trial in study.trials if trial.value is not None and trial.value <= target]
    moment = min((it for it in reached if it is not None), default=math.inf)
    hours = 0.0
    for trial in study.trials:
        if trial.billable_seconds and trial.started is not None and trial.ended is not None:
            part = (min(moment, trial.ended) - trial.started) / (trial.ended - trial.started)
            hours += trial.billable_seconds / 3600 * max(0.0, part)
    return hours, moment < math.inf


def compared(account: Account, folder: Path, seeds: int) -> Iterator[Row]:
    def run(name: str, jobs: int, **settings: Any) -> list[Study]:
        own = range(1000, 1000 + seeds) if name == "before" else range(seeds)
        return [account.study(f"{name}-{seed}", seed, jobs, folder / f"{name}.db", **settings) for seed in own]

    before = run("before", TRIALS, strategy=PLAIN)
    target = statistics.median(study.best.value for study in before if study.best is not None)
    reaching = {"extensions": [("target-value", {"value": target})]}
    yield Row("error to reach", f"{target:.4f}", f"the median of {seeds} random searches of {TRIALS} trials")
    without = [billed(study, target) for study in run(PLAIN, 5 * TRIALS, strategy=PLAIN, **reaching)]
    mean = statistics.fmean(hours for hours, _ in without)
    yield Row(f"{PLAIN}: billed hours", f"{mean:.1f}", f"reached in {sum(it for _, it in without)} of {seeds}")
    for number, (name, options) in enumerate(WITH.items()):
        found = run(f"with-{number}", 10 * TRIALS, strategy="hyperband", strategy_options=options, **reaching)
        ends = [billed(study, target) for study in found]
        hours = statistics.fmean(it for it, _ in ends)
        faster = sum(mine < its for (mine, _), (its, _) in zip(ends, without, strict=True))
        yield Row(
            f"hyperband ({name}): billed hours",
            f"{hours:.1f}",
            f"reached in {sum(it for _, it in ends)} of {seeds}; fewer hours for {faster} seeds",
            mean / hours,
            f">= {BAR:g} x" if name == "asha" else "",
            mean / hours >= BAR if name == "asha" else None,
        )
    yield Row("epochs trained", account.epochs, f"{account.interruptions} times a spot instance was taken away")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three seeds instead of ten")
    parser.add_argument("--folder", type=Path, default=Path(), help="a folder for the journals (default: here)")
    options = parser.parse_args()
    started, account = time.monotonic(), Account()
    with (
        tempfile.TemporaryDirectory(prefix=".bench-", dir=options.folder) as folder,
        Emulator(clock=account.clock, job=account.job) as emulator,
    ):
        os.environ.update(emulator.environment)
        emulator.client("s3").create_bucket(Bucket="bucket")
        rows = [*compared(account, Path(folder), 3 if options.quick else 10)]
    show(f"Billed time to the same quality: {EPOCHS} epochs, {SLOTS} slots, spot instances", rows)
    print(f"\n{time.monotonic() - started:.0f} s")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
