"""Write docs/conformance.md: which checks each algorithm passes, and which check finds each seeded bug."""

import importlib.util
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path

from byohpo_core.testing import Subject, checks, run_all

BUGS = Path(__file__).parents[1] / "tests" / "testing" / "seeded_bugs.py"
PAGE = Path(__file__).with_name("conformance.md")


def seeded_bugs():
    specification = importlib.util.spec_from_file_location("seeded_bugs", BUGS)
    module = importlib.util.module_from_spec(specification)
    sys.modules["seeded_bugs"] = module
    sys.path.insert(0, str(BUGS.parent))
    specification.loader.exec_module(module)
    return module


def certify(name):
    return name, list(run_all(Subject.of(name)))


def reject(item):
    name, (plugin, _) = item
    return name, [it.check.name for it in run_all(Subject.of(plugin), 10) if it.status == "failed"]


def matrix(pool):
    names = sorted(entry.name for entry in entry_points(group="byohpo.algorithms"))
    groups = list(dict.fromkeys(check.group for check in checks()))
    yield "| algorithm | " + " | ".join(groups) + " | seconds |"
    yield "|---|" + "---|" * (len(groups) + 1)
    for name, results in pool.map(certify, names):
        passed = Counter(it.check.group for it in results if it.status == "passed")
        failed = Counter(it.check.group for it in results if it.status == "failed")
        cells = [f"{passed[group]}" + (f", {failed[group]} failed" if failed[group] else "") for group in groups]
        yield f"| {name} | {' | '.join(cells)} | {sum(it.seconds for it in results):.0f} |"


def rejections(pool):
    bugs = seeded_bugs()
    found = dict(pool.map(reject, bugs.SEEDED.items()))
    accepted = [
        name
        for name in bugs.CORRECT
        if not [it for it in run_all(Subject.of(bugs.CORRECT[name])) if it.status == "failed"]
    ]
    rejected = sum(map(bool, found.values()))
    yield (
        f"Rejected: {rejected} of {len(found)} algorithms with a bug. "
        f"Accepted: {len(accepted)} of {len(bugs.CORRECT)} correct ones."
    )
    yield ""
    yield "| bug | what it does | found by | checks in all |"
    yield "|---|---|---|---|"
    for name, (plugin, expected) in bugs.SEEDED.items():
        by = expected if expected in found[name] else (found[name] or ["-"])[0]
        yield f"| {name} | {plugin.__doc__.strip()} | {by} | {len(found[name])} |"


def main():
    """Check all algorithms, then write the page and print it."""
    with ThreadPoolExecutor(2) as pool:
        lines = [
            "# Conformance",
            "",
            f"`byohpo check NAME` runs {len(checks())} checks. The table counts the checks that an algorithm passes.",
            "A smaller number than another algorithm's means that some checks of the group do not apply:",
            "random search, for example, does not learn. `nox -s docs` writes this page.",
            "",
            *matrix(pool),
            "",
            "## Does the kit find bugs?",
            "",
            *rejections(pool),
        ]
    PAGE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
