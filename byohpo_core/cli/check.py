"""`byohpo check`: run the conformance kit on an installed algorithm."""

import argparse
import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from byohpo_core.cli.output import say, say_columns
from byohpo_core.errors import InvalidInput
from byohpo_core.plugins.finding import ALGORITHMS, find
from byohpo_core.plugins.options import build


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    check = commands.add_parser(
        "check", help="run the conformance kit on an installed algorithm; exit with 1 if a check fails"
    )
    check.add_argument("name", help="the name of the algorithm")
    check.add_argument(
        "--options", metavar="JSON", type=_options, help='the options of the algorithm, such as {"population": 8}'
    )
    check.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    check.set_defaults(run=_check)


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is not a JSON object, such as {{"population": 8}}')
    return options


def _check(options: argparse.Namespace) -> int:
    from byohpo_core.testing.algorithm import Subject
    from byohpo_core.testing.check import FAILED
    from byohpo_core.testing.running import run_all

    if not __debug__:
        raise InvalidInput("byohpo check needs Python's assertions: run Python without -O and PYTHONOPTIMIZE")
    found = find(options.name, ALGORITHMS)
    subject = Subject(found, options.options)
    build(found, subject.problem(), subject.options)  # options that it refuses are an error, not a failed check
    if options.json is not None:
        _write(options.json, "")  # fail before the checks, which take a while
    results = list(run_all(subject))
    say_columns([[it.check.group, it.check.name, it.status, it.reason] for it in results])
    counts = Counter(it.status for it in results)
    seconds = sum(it.seconds for it in results)
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    say(f"{found.name}: {len(results)} checks in {seconds:.0f} s: {summary}")
    if options.json is not None:
        body = {
            "algorithm": found.name,
            "distribution": found.distribution,
            "version": found.version,
            "byohpo-core": version("byohpo-core"),
            "checks": [
                {
                    "group": it.check.group,
                    "name": it.check.name,
                    "sentence": it.check.sentence,
                    "status": it.status,
                    "reason": it.reason,
                    "seconds": round(it.seconds, 3),
                }
                for it in results
            ],
        }
        _write(options.json, json.dumps(body, indent=2) + "\n")
    return int(counts[FAILED] > 0)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"--json: {file} cannot be written: {error.strerror}") from error
