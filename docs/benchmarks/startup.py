"""Measure the time to import byohpo, and to start it with many installed plugins, some of them broken.

Everything runs in fresh processes, byohpo and its peers in turns. The script reports and never fails: the last column
says whether a target was met.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bookkeeping import Bench, Row, Sample, in_turns, report

HEAVY = ("boto3", "numpy", "scipy", "inspyred", "rich", "sagemaker")
GOOD, BROKEN = 40, 10


def milliseconds(command: Sequence[str], folder: Path, more: Path | None = None) -> float:
    """Milliseconds that a command takes, with one more folder of packages installed."""
    started = time.perf_counter()
    run(command, folder, more)
    return (time.perf_counter() - started) * 1e3


def run(command: Sequence[str], folder: Path, more: Path | None = None) -> str:
    """Run a command and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if more is not None:
        environment |= {"PYTHONPATH": str(more), "MARKS": str(folder / "marks")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


def python(code: str) -> list[str]:
    return [sys.executable, "-P", "-c", code]


def importing(bench: Bench) -> Iterator[Row]:
    first = {
        "bare": "pass",
        "peer": "import pluggy, attrs",
        "ours": "import byohpo_core",
        "tuner": "from byohpo_core import Tuner",
        "optuna": "import optuna",
    }
    found = in_turns(
        bench.rounds(40, 8), **{name: partial(milliseconds, python(code), bench.folder) for name, code in first.items()}
    )
    yield Row.compared("import byohpo_core", found["ours"], found["peer"], "import pluggy, attrs", 1.3)
    yield Row.compared("from byohpo_core import Tuner", found["tuner"], found["peer"], "import pluggy, attrs")
    yield Row.compared("import optuna", found["optuna"], found["peer"], "import pluggy, attrs")
    yield Row("an interpreter that imports nothing", found["bare"])
    for name, title in (("peer", "import pluggy, attrs"), ("ours", "import byohpo_core"), ("tuner", "... Tuner")):
        net = found[name].median - found["bare"].median
        yield Row(f"  net of it: {title}", Sample([net]))
    for code in (first["ours"], "import byohpo_core as b; [getattr(b, name) for name in b.__all__]"):
        told = run(python(f"{code}; import sys; print(*sys.modules.keys() & set({HEAVY}))"), bench.folder).split()
        title = "heavy modules after " + ("import byohpo_core" if code == first["ours"] else "using every public name")
        yield Row(title, " ".join(told) or "none", ", ".join(HEAVY), None, "none", not told)


# A good plugin searches at random. Every plugin records that it was imported, even if it fails later.
MARK = """
import os, pathlib
pathlib.Path(os.environ["MARKS"], __name__.partition(".")[0]).touch()
"""
WORKS = """
import random
from byohpo_core import hookimpl

class Search:
    def __init__(self, problem):
        self.space, self.random = problem.space, random.Random(problem.seed)

    @hookimpl
    def propose(self, study, count):
        return [self.space.sample(self.random) for _ in range(count)]
"""
FAILURES: Mapping[str, str] = {
    "no-module": "import a_module_that_nobody_has",
    "no-syntax": "def search(:",
    "exits": "import sys; sys.exit(3)",
    "sleeps": "import time\nwhile True: time.sleep(60)",
    "clash": WORKS,
}


def install_plugins(folder: Path) -> None:
    """Write 50 distributions into a folder, as pip would."""
    kinds = list(FAILURES)
    for number in range(GOOD + BROKEN):
        if number < GOOD:
            name, content = f"fake-{number}", WORKS
        else:
            kind = kinds[(number - GOOD) % len(kinds)]
            name, content = f"fake-{kind}-{number}", FAILURES[kind]
        algorithm = f"fake-{number - GOOD}" if content is WORKS and number >= GOOD else name
        package = name.replace("-", "_")
        module, info = folder / package, folder / f"{package}-1.0.dist-info"
        module.mkdir(parents=True)
        info.mkdir()
        (module / "__init__.py").write_text(MARK)
        (module / "search.py").write_text(content)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Search no. {number}\n"
        )
        (info / "entry_points.txt").write_text(f"[byohpo.algorithms]\n{algorithm} = {package}.search:Search\n")
        (info / "RECORD").write_text("")
        (info / "INSTALLER").write_text("pip\n")


TUNE = """
from byohpo_core import ContinuousParameter, Tuner
tuner = Tuner(lambda hyperparameters: {{"loss": hyperparameters["x"]}}, "loss", {{"x": ContinuousParameter(0, 1)}},
              strategy="{strategy}", max_jobs=5, journal=":memory:", progress=False)
print(len(tuner.fit().trials))
"""


def many_plugins(bench: Bench) -> Iterator[Row]:
    installed, nothing, marks = (bench.folder / name for name in ("installed", "nothing", "marks"))
    nothing.mkdir()
    marks.mkdir()
    install_plugins(installed)
    script = Path(sys.executable).with_name("byohpo")
    command = [str(script)] if script.exists() else python("from byohpo_core.cli import main; main()")
    listing = [*command, "algorithms"]
    found = in_turns(
        bench.rounds(15, 4),
        alone=partial(milliseconds, listing, bench.folder, nothing),
        among=partial(milliseconds, listing, bench.folder, installed),
    )
    title = f"byohpo algorithms, with {GOOD + BROKEN} plugins, {BROKEN} of them broken"
    yield Row.compared(title, found["among"], found["alone"], "without them", 1.5)
    told = run(listing, bench.folder, installed)
    listed = sum(f"fake-{number}" in told.replace("|", " ").split() for number in range(GOOD))
    yield Row("  the good ones are listed", f"{listed} of {GOOD}", "", None, "all", listed == GOOD)
    imported = [mark.name for mark in marks.iterdir()]
    yield Row("  imported by that", ", ".join(imported) or "none", "", None, "none", not imported)
    trials = run(python(TUNE.format(strategy="fake-30")), bench.folder, installed).strip()
    imported = sorted(mark.name for mark in marks.iterdir())
    yield Row("a tune with one of the good ones", f"{trials} trials", "", None, "works", trials == "5")
    yield Row("  imported by that", ", ".join(imported), "", None, "that one", imported == ["fake_30"])


TOPICS: Mapping[str, Callable[[Bench], Iterator[Row]]] = {
    "Import, in a fresh interpreter": importing,
    "Many plugins": many_plugins,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, byohpo-core {version('byohpo-core')}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        report(TOPICS, Bench(Path(folder), options.quick))


if __name__ == "__main__":
    main()
