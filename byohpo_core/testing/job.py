"""The job that a backend runs while it is checked: it does what its hyperparameters say.

| hyperparameter | meaning |
|---|---|
| `number` | which of the check's jobs it is |
| `act` | "succeed", "fail", or "silent", which succeeds without a metric |
| `x` | the loss that it ends with; before, it has reported `x + 1` |
| `seconds` | how long it takes |
| `password` | a secret, in one check |
| `trace` | a folder in which it leaves a file that says with what it was run, or "" |

Backends that run a program run this file, with `--name value` arguments; it prints `loss=...` as its metrics. Those
that call a function call `function`, and those that simulate call `simulation`.
"""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byohpo_core.backends.simulated import Simulation

SCRIPT = Path(__file__)
FAILURE = "the check told it to fail"


def function(hyperparameters: Mapping[str, Any]) -> dict[str, float]:
    """Do the job in this process, and give its metrics."""
    _leave_trace(hyperparameters)
    time.sleep(float(hyperparameters["seconds"]))
    if hyperparameters["act"] == "fail":
        raise RuntimeError(FAILURE)
    return {} if hyperparameters["act"] == "silent" else {"loss": float(hyperparameters["x"])}


def simulation(hyperparameters: Mapping[str, Any]) -> Simulation:
    """What the job would do."""
    x = float(hyperparameters["x"])
    curve = [] if hyperparameters["act"] == "silent" else [{"loss": x + 1}, {"loss": x}]
    failure = FAILURE if hyperparameters["act"] == "fail" else None
    return Simulation(curve or {}, float(hyperparameters["seconds"]), failure)


def main() -> int:
    """Do the job as a program of its own; give its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--act", choices=("succeed", "fail", "silent"), required=True)
    parser.add_argument("-x", "--x", type=float, required=True)  # script mode gives single letters one hyphen
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--password", default=None)
    parser.add_argument("--trace", required=True)
    hyperparameters = vars(parser.parse_args())
    _leave_trace(hyperparameters)
    loud = hyperparameters["act"] != "silent"
    if loud:
        print(f"loss={hyperparameters['x'] + 1}", flush=True)  # noqa: T201 - as a training script does
    time.sleep(hyperparameters["seconds"])
    if hyperparameters["act"] == "fail":
        sys.exit(FAILURE)
    if loud:
        print(f"loss={hyperparameters['x']}", flush=True)  # noqa: T201
    return 0


def _leave_trace(hyperparameters: Mapping[str, Any]) -> None:
    if hyperparameters["trace"]:
        file = Path(hyperparameters["trace"], f"{hyperparameters['number']}-{uuid.uuid4().hex}.json")
        temporary = file.with_suffix(".part")
        temporary.write_text(json.dumps(dict(hyperparameters)), encoding="utf-8")
        temporary.replace(file)


if __name__ == "__main__":
    sys.exit(main())
