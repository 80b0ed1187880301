"""Tune the classifier of handwritten digits in train.py with a particle swarm: 18 training jobs, 6 at a time.

With `--data FOLDER` train on MNIST in idx form instead of scikit-learn's digits.
"""

import argparse
from pathlib import Path

from byohpo_core import ContinuousParameter, IntegerParameter, StaticParameter, TrainingScript, Tuner
from byohpo_core.results.table import as_table, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a folder with MNIST in idx form")
    parser.add_argument("--strategy", default="pso")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", help="the file that keeps the study (default: byohpo.db)")
    arguments = parser.parse_args()
    tuner = Tuner(
        TrainingScript("train.py", source_dir=Path(__file__).parent),
        "Validation-accuracy",
        {
            "learning_rate": ContinuousParameter(0.01, 0.2),
            "num_epoch": IntegerParameter(10, 50),
            "batch_size": StaticParameter(100),
        },
        [{"Name": "Validation-accuracy", "Regex": r"Validation-accuracy=(\S+)"}],
        strategy=arguments.strategy,
        max_jobs=18,
        max_parallel_jobs=6,
        base_tuning_job_name="digits",
        random_seed=arguments.seed,
        journal=arguments.journal,
    )
    study = tuner.fit({"training": arguments.data} if arguments.data else None)
    print(as_table(rows(study)))
    print(f"{study.name}: {study.stop_reason}")


if __name__ == "__main__":
    main()
