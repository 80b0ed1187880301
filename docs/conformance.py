"""Write docs/conformance.md: which checks each algorithm passes, which bugs the kit finds and, if asked, strength."""

import argparse
import json
import os
import platform
import re
import statistics
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from byohpo_core import InvalidInput
from byohpo_core.plugins.options import build
from byohpo_core.testing import Subject, checks, run_all
from byohpo_core.testing.strength import BENCHMARKS, JOBS, measure, shelf

EXAMS = Path(__file__).parents[1] / "tests" / "testing"
PAGE = Path(__file__).with_name("conformance.md")
SHELF = Path(__file__).parents[1] / "byohpo_core" / "testing" / "strength.json"


def exam():
    """The algorithms that the kit must reject, each with the check meant for it or None, and those to accept."""
    sys.path.insert(0, str(EXAMS))
    made, sat = import_module("seeded_bugs"), import_module("test_exam")
    return [*made.SEEDED.values(), *((plugin, None) for plugin in sat.MISTAKES.values())], list(sat.SOUND.values())


def certify(name):
    return name, list(run_all(Subject.of(name)))


def reject(plugin):
    return [it.check.name for it in run_all(Subject.of(plugin), 10) if it.status == "failed"]


def names():
    return sorted(entry.name for entry in entry_points(group="byohpo.algorithms"))


def matrix(pool):
    yield f"`byohpo check NAME` runs {len(checks())} checks. The table counts the checks that an algorithm passes."
    yield "A smaller number than another algorithm's means that some checks of the group do not apply:"
    yield "random search, for example, does not learn. `nox -s docs` writes this page, `nox -s strength` its last part."
    yield ""
    groups = list(dict.fromkeys(check.group for check in checks()))
    yield "| algorithm | " + " | ".join(groups) + " | processor seconds |"
    yield "|---|" + "---|" * (len(groups) + 1)
    for name, results in pool.map(certify, names()):
        passed = Counter(it.check.group for it in results if it.status == "passed")
        others = Counter((it.check.group, it.status) for it in results if it.status in {"failed", "remark"})
        cells = [
            ", ".join(
                [f"{passed[group]}", *(f"{count} {status}" for (of, status), count in others.items() if of == group)]
            )
            for group in groups
        ]
        yield f"| {name} | {' | '.join(cells)} | {sum(it.processor_seconds for it in results):.0f} |"


def rejections(pool):
    seeded, correct = exam()
    plugins, expected = zip(*seeded, strict=True)
    found, refused = list(pool.map(reject, plugins)), list(pool.map(reject, correct))
    yield (
        f"Rejected: {sum(map(bool, found))} of {len(found)} algorithms with a bug. "
        f"Accepted: {sum(not it for it in refused)} of {len(refused)} correct ones."
    )
    yield ""
    yield "| bug | what it does | found by | checks in all |"
    yield "|---|---|---|---|"
    for plugin, meant, by in zip(plugins, expected, found, strict=True):
        first = meant if meant in by else (by or ["-"])[0]
        yield f"| {plugin.__name__} | {' '.join(plugin.__doc__.split())} | {first} | {len(by)} |"


def accepts(subject, objectives):
    try:
        build(subject.found, subject.problem(objectives=objectives), subject.options)
    except InvalidInput:
        return False
    return True


def measured(name, objectives, minutes):
    *_, table = measure(Subject.of(name), objectives, 60 * minutes)
    print(
        name,
        objectives,
        {of: (tally.probability, tally.seeds, tally.trouble) for of, tally in table.items()},
        flush=True,
    )
    return {of: tally.to_json() for of, tally in table.items()}


def measure_shelf(pool, minutes):
    """Measure all algorithms, with each number of objectives that they accept, and store the tallies."""
    found = {
        objectives: {
            name: pool.submit(measured, name, objectives, minutes)
            for name in names()
            if accepts(Subject.of(name), objectives)
        }
        for objectives in (1, 2)
    }
    body = {
        "jobs": JOBS,
        "minutes": minutes,
        "python": platform.python_version(),
        "objectives": {of: {name: it.result() for name, it in row.items()} for of, row in found.items()},
    }
    SHELF.write_text(json.dumps(body, indent=1) + "\n")


def strength():
    """The part of the page about strength, from the stored tallies."""
    made = json.loads(SHELF.read_text())
    yield f"How often a study of {JOBS} jobs ends with a better result than random search on the same problem, with a"
    yield "95 % interval (Wilson). 0.50 is no better than random search. With one objective the best loss counts, on"
    yield "*noisy* without its noise; with two, the hypervolume. `byohpo_core/testing/benchmarks.py` defines the"
    yield "problems and names their sources."
    yield ""
    yield "`byohpo check NAME --strength` prints the same of your algorithm, above these. `nox -s strength` measured"
    yield f"them on Python {made['python']}, until an interval was within 0.05, but for at most {made['minutes']:g}"
    yield "minutes each, on a busy machine. The last column counts the seeds of a problem."
    yield ""
    for objectives, title in ((1, "one objective"), (2, "two objectives")):
        rows = shelf(objectives)
        yield f"| {title} | " + " | ".join(it.name for it in BENCHMARKS) + " | seeds |"
        yield "|---|" + "---|" * (len(BENCHMARKS) + 1)
        for name in sorted(rows, key=lambda it: -statistics.fmean(tally.probability for tally in rows[it].values())):
            cells = [interval(tally) for tally in rows[name].values()]
            seeds = [tally.seeds for tally in rows[name].values()]
            yield f"| {name} | {' | '.join(cells)} | {min(seeds)} - {max(seeds)} |"
        yield ""


def interval(tally):
    low, high = tally.interval
    return f"{tally.probability:.2f} ({low:.2f} - {high:.2f})" if tally.seeds else "-"


def rewrite(parts):
    """Replace parts of the page, by heading, and leave the others."""
    page = re.split(r"^#+ (.*)\n", PAGE.read_text(), flags=re.MULTILINE)[1:] if PAGE.exists() else []
    whole = {**dict(zip(page[::2], map(str.strip, page[1::2]), strict=True)), **parts}
    lines = [
        f"{'##' if place else '#'} {heading}\n\n{text.strip()}\n" for place, (heading, text) in enumerate(whole.items())
    ]
    PAGE.write_text("\n".join(lines))


def main():
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--strength", action="store_true", help="measure only how often the algorithms beat random search"
    )
    parser.add_argument("--minutes", type=float, default=10, help="the most time for the strength of one algorithm")
    options = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if options.strength:
            measure_shelf(pool, options.minutes)
            rewrite({"Strength": "\n".join(strength())})
        else:
            rewrite({"Conformance": "\n".join(matrix(pool)), "Does the kit find bugs?": "\n".join(rejections(pool))})


if __name__ == "__main__":
    main()
