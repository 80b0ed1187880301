"""Compare two installed versions of byohpo, in turns: is the new one slower anywhere?

Give the Python interpreters of two environments, the old version's first. Each measure runs in a fresh process, once
with each interpreter in turns; what is compared is processor time. The table shows the median ratio, new to old, and
its 95 % bootstrap interval. The script reports and never fails.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile

STUDY = """
import json, os, sys, time
from byohpo_core import ContinuousParameter, IntegerParameter, Simulated, Simulation, Tuner
strategy, jobs, slots, journal = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def job(h):
    loss = (h["x"] - 1) ** 2 + h["n"]
    return Simulation({"loss": loss}, 50 + 40 * abs(h["x"]) + 7 * h["n"])
ranges = {"x": ContinuousParameter(-5, 5), "n": IntegerParameter(1, 400)}
tuner = Tuner(Simulated(job), "loss", ranges, strategy=strategy, objective_type="Minimize", max_jobs=jobs,
    max_parallel_jobs=slots, random_seed=1, journal=journal, progress=False)
"""
FIT = STUDY + "began = time.process_time(); tuner.fit(job_name='s'); print(json.dumps(time.process_time() - began))"
RESUME = (
    STUDY + "tuner.fit(job_name='s'); attached = Tuner.attach('s', journal=journal, estimator=Simulated(job), "
    "progress=False); began = time.process_time(); attached.resume(max_jobs=jobs + 1); "
    "print(json.dumps(time.process_time() - began))"
)
COMMAND = "import json, resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True, "
COMMAND += "stdout=subprocess.DEVNULL); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
COMMAND += "print(json.dumps(used.ru_utime + used.ru_stime))"
MEASURES = {
    "start-up: import byohpo_core": (COMMAND, ["-c", "import byohpo_core"]),
    "start-up: import byohpo_core.Tuner": (COMMAND, ["-c", "from byohpo_core import Tuner"]),
    "start-up: byohpo algorithms": (COMMAND, ["-m", "byohpo_core.cli", "algorithms"]),
    "bookkeeping: random, 2,000 trials, 10 slots, in memory": (FIT, ["random", "2000", "10", ":memory:"]),
    "bookkeeping: random, 1,000 trials, 10 slots, SQLite": (FIT, ["random", "1000", "10", "JOURNAL"]),
    "bookkeeping: resume after 1,000 trials": (RESUME, ["random", "1000", "10", "JOURNAL"]),
    **{
        f"proposals: {name}, 300 trials, 10 slots": (FIT, [name, "300", "10", ":memory:"])
        for name in ("pso", "de", "ga", "es", "eda", "sa", "scipy-de")
    },
    "proposals: scipy-direct, 300 trials, 1 slot": (FIT, ["scipy-direct", "300", "1", ":memory:"]),
}


def seconds(python, code, arguments):
    """The processor time that one measure takes with one interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        given = [f"{folder}/journal.db" if argument == "JOURNAL" else argument for argument in arguments]
        done = subprocess.run(
            [python, "-P", "-c", code, *given], capture_output=True, text=True, check=True, cwd=folder
        )
    return json.loads(done.stdout.splitlines()[-1])


def interval(ratios):
    """The 95 % bootstrap interval of the median."""
    generator = random.Random(1)  # noqa: S311 - resampling
    medians = sorted(statistics.median(generator.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[-51]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", nargs="?", help="the interpreter of the old version's environment")
    parser.add_argument("new", nargs="?", default=sys.executable, help="the new one's; by default this one")
    parser.add_argument("--rounds", type=int, default=9)
    options, _ = parser.parse_known_args()  # `nox -s bench -- --quick` is for the other scripts
    if options.old is None:
        print("two_versions.py: nothing to compare: give the interpreter of an environment with another version")
        return
    print("| measure | ratio | 95 % interval | old, s |\n|---|---|---|---|")
    for title, (code, arguments) in MEASURES.items():
        pairs = []
        for number in range(-1, options.rounds):
            order = (options.old, options.new) if number % 2 else (options.new, options.old)
            taken = {python: seconds(python, code, arguments) for python in order}
            if number >= 0:  # the first round warms up
                pairs.append((taken[options.new], taken[options.old]))
        ratios = [new / old for new, old in pairs]
        low, high = interval(ratios)
        old = statistics.median(old for _, old in pairs)
        print(f"| {title} | {statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} | {old:.3f} |", flush=True)


if __name__ == "__main__":
    main()
