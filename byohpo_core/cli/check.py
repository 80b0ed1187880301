"""`byohpo check`: run the conformance kit on an algorithm, installed or in a file of one's own."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from byohpo_core.cli.output import Transient, say
from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.files import check_file, open_file
from byohpo_core.importable import load, on_path
from byohpo_core.plugins.finding import ALGORITHMS, Loaded, find
from byohpo_core.plugins.options import build
from byohpo_core.validate import number

if TYPE_CHECKING:
    from byohpo_core.testing.algorithm import Subject
    from byohpo_core.testing.check import Check, Result

_MINUTES = 10.0


def add_commands(commands: Any) -> None:
    """Add this module's command to the parser."""
    check = commands.add_parser("check", help="run the conformance kit on an algorithm; exit with 1 if a check fails")
    check.add_argument("name", help="an installed algorithm, or module:Class in the working folder")
    check.add_argument(
        "--options", metavar="JSON", type=_options, help='the options of the algorithm, such as {"population": 8}'
    )
    check.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON, while they come")
    check.add_argument(
        "--strength", action="store_true", help="instead, estimate how often it beats random search on six problems"
    )
    check.add_argument(
        "--minutes", type=float, default=_MINUTES, help=f"the most time for --strength (default {_MINUTES:g})"
    )
    check.set_defaults(run=_check)


def _options(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(f'{text!r} is not a JSON object, such as {{"population": 8}}')
    return options


def _check(options: argparse.Namespace) -> int:
    from byohpo_core.testing.algorithm import Subject

    with _found(options.name) as found:
        subject = Subject(found, options.options)
        build(found, subject.problem(), subject.options)  # options that it refuses are an error, not a failed check
        file = _File(options.json, _origin(found))
        return _measure(subject, file, options.minutes) if options.strength else _run(subject, file)


@contextmanager
def _found(name: str) -> Iterator[Loaded]:
    """Find an algorithm by its name, or as `module:Class`, whose module may be in the working folder."""
    if ":" not in name:
        yield find(name, ALGORITHMS)
        return
    folder = str(Path.cwd())
    with on_path(folder):
        yield find(load(name, folder), ALGORITHMS)


def _origin(found: Loaded) -> dict[str, Any]:
    return {
        "algorithm": found.name,
        "distribution": found.distribution,
        "version": found.version,
        "byohpo-core": version("byohpo-core"),
    }


def _run(subject: "Subject", file: "_File") -> int:
    from byohpo_core.cli.check_report import CheckReport
    from byohpo_core.testing.behaviours.all import checks
    from byohpo_core.testing.check import FAILED
    from byohpo_core.testing.running import measured_seconds, run_all

    declared = subject.traits.seconds_per_proposal
    if declared:
        say(f"a proposal takes {measured_seconds(subject):.3g} s of processor time; declared are {declared:g} s")
    results: list[Result] = []
    with CheckReport(len(checks())) as report:

        def begins(check: "Check") -> None:
            file.write(running=check.name, checks=list(map(_described, results)))
            report.begins(check)

        for result in run_all(subject, begins=begins):
            results.append(result)
            report.ended(result)
        file.write(running=None, checks=list(map(_described, results)))
        report.sum_up(subject.found.name, results)
    return int(any(it.status == FAILED for it in results))


def _described(result: "Result") -> Mapping[str, Any]:
    return {
        "group": result.check.group,
        "name": result.check.name,
        "sentence": result.check.sentence,
        "status": result.status,
        "reason": result.reason,
        "cause": result.cause,
        **result.finding,
        "seconds": round(result.seconds, 3),
        "processor_seconds": round(result.processor_seconds, 3),
    }


def _measure(subject: "Subject", file: "_File", minutes: float) -> int:
    from byohpo_core.cli.check_report import show_strength
    from byohpo_core.testing.strength import measure, shelf

    seconds = 60 * number("--minutes", minutes, above=0)
    line = Transient()
    table: Mapping[str, Any] = {}
    for table in measure(subject, subject.objectives, seconds):
        file.write(strength={name: tally.to_json() for name, tally in table.items()})
        line.show("  ".join(f"{name} {tally.probability:.2f}" for name, tally in table.items() if tally.seeds))
    line.clear()
    show_strength(subject.found.name, table, shelf(subject.objectives))
    return 0


@attrs.frozen
class _File:
    """The JSON of a run. It is replaced as a whole each time, so it is valid JSON at every moment."""

    path: Path | None
    origin: Mapping[str, Any]

    def __attrs_post_init__(self) -> None:
        self.write()  # fail before the checks, which take a while

    def write(self, **body: Any) -> None:
        if self.path is None:
            return
        part = Path(f"{self.path}.part")
        try:
            check_file(self.path)
            with os.fdopen(open_file(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
                file.write(json.dumps({**self.origin, **body}, indent=2) + "\n")
            os.replace(part, self.path)  # noqa: PTH105
        except OSError as error:
            raise InvalidInput(f"--json: {self.path} cannot be written: {error.strerror}") from error
        except ByohpoError as error:
            raise InvalidInput(f"--json: {error}") from error
