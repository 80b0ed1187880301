"""`byohpo tune`, `resume`, `stop`, `trust`, `pull`, `studies`, `repair` and `results`."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byohpo_core.cli.exit_codes import ERROR, NO_RESULT
from byohpo_core.cli.output import say, say_columns, write
from byohpo_core.errors import ByohpoError, InvalidInput, JournalDamaged, StudyExists, UnknownStudy, one_line

if TYPE_CHECKING:
    from byohpo_core.driving.manifest import Manifest
    from byohpo_core.study.study import Study
    from byohpo_core.tuner.news import News
    from byohpo_core.tuner.tuner import Tuner

_FORMAT = r"""
A whole file. Keys at the top are the arguments of Tuner; paths are relative to the file, but for `journal`, which is
relative to the working folder, as --journal is:

    strategy = "pso"                           # without it, byohpo chooses among the installed algorithms
    objective_metric_name = "Validation-accuracy"
    objective_type = "Maximize"
    max_jobs = 18
    max_parallel_jobs = 6
    job_name = "digits"                        # at most 48 letters, digits and hyphens
    random_seed = 1

    [script]                                   # or [function] with target = "module:name" and processes = true,
                                               # or [estimator] with kind = "..." (byohpo backends)
    entry_point = "train.py"
    source_dir = "."
    hyperparameters = { batch_size = 100 }

    [hyperparameter_ranges.learning_rate]
    type = "continuous"                        # or integer, categorical (values = [...]), static (value = ...)
    min_value = 0.01
    max_value = 0.2
    scaling_type = "Logarithmic"

    [strategy_options]                         # byohpo info pso
    population = 6

    [[metric_definitions]]
    Name = "Validation-accuracy"
    Regex = 'accuracy=(\S+)'

    [[extensions]]                             # byohpo extensions
    name = "target-value"
    value = 0.98

    [inputs]
    training = "data"

Needed are objective_metric_name, [hyperparameter_ranges] and one of [script], [function]
and [estimator].
"""


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    journal = argparse.ArgumentParser(add_help=False)
    journal.add_argument("--journal", metavar="FILE", help="the journal; by default BYOHPO_JOURNAL or byohpo.db")
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("--no-progress", dest="progress", action="store_false", help="show nothing while it runs")

    tune = commands.add_parser(
        "tune",
        help="run the study that a TOML file describes; --help shows such a file",
        parents=[journal, running],
        epilog=_FORMAT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tune.add_argument("file", type=Path, metavar="FILE.toml")
    tune.add_argument(
        "--name",
        help="the study's name in the journal, by default job_name in the file: at most 48 letters, digits and hyphens",
    )
    tune.set_defaults(run=_tune)

    resume = commands.add_parser("resume", help="resume a study exactly where it was", parents=[journal, running])
    resume.add_argument("name", help="a study's name or id")
    resume.add_argument("--restart-algorithm", action="store_true", help="build the algorithm afresh from the results")
    resume.add_argument("--max-jobs", type=int, metavar="N", help="raise the limit of jobs")
    resume.add_argument("--max-parallel-jobs", type=int, metavar="N", help="change the number of slots")
    resume.add_argument("--take-over", action="store_true", help="break a lock that another host left behind")
    resume.add_argument(
        "--trust", action="store_true", help="trust what the journal says is to run, as `byohpo trust` does"
    )
    resume.add_argument("--handed-over", action="store_true", help=argparse.SUPPRESS)
    resume.set_defaults(run=_resume)

    stop = commands.add_parser("stop", help="end a study and stop its jobs", parents=[journal, running])
    stop.add_argument("name", help="a study's name or id")
    stop.add_argument("--take-over", action="store_true", help="break a lock that another host left behind")
    stop.set_defaults(run=_stop)

    trust = commands.add_parser(
        "trust",
        help="show what a study that was not created here would run, and agree to it",
        parents=[journal],
    )
    trust.add_argument("name", help="a study's name or id")
    trust.add_argument("--yes", action="store_true", help="agree without being asked, as a script must")
    trust.set_defaults(run=_trust)

    pull = commands.add_parser(
        "pull", help="fetch a study of SageMaker jobs that another machine drives into the journal", parents=[journal]
    )
    pull.add_argument("name", help="a study's name or id")
    pull.add_argument(
        "--mirror",
        metavar="s3://...",
        help="where its jobs' outputs are; by default BYOHPO_MIRROR, else the study is looked for by its jobs' tags",
    )
    pull.set_defaults(run=_pull)

    news = argparse.ArgumentParser(add_help=False)
    news.add_argument(
        "--mirror",
        metavar="s3://...",
        help="where the outputs of SageMaker jobs are, to show also what another machine did; by default BYOHPO_MIRROR",
    )

    studies = commands.add_parser("studies", help="list the journal's studies", parents=[journal, news])
    studies.set_defaults(run=_studies)

    repair = commands.add_parser(
        "repair", help="replace a damaged journal by one with all that is whole in it", parents=[journal]
    )
    repair.add_argument(
        "--mirror",
        metavar="s3://...",
        help="where the outputs of SageMaker jobs are, with the mirrors of their studies; by default BYOHPO_MIRROR",
    )
    repair.set_defaults(run=_repair)

    results = commands.add_parser("results", help="the trials of a study, the best first", parents=[journal, news])
    results.add_argument("name", help="a study's name or id")
    results.add_argument("--format", choices=("table", "csv", "json"), default="table")
    results.add_argument(
        "--raw", action="store_true", help="leave text as it is, also what terminals obey or spreadsheets compute"
    )
    results.set_defaults(run=_results)


def _tune(options: argparse.Namespace) -> int:
    from byohpo_core.cli.tomlfile import read
    from byohpo_core.journal.place import MEMORY

    description = read(options.file)
    if journal := options.journal or os.environ.get("BYOHPO_JOURNAL"):
        description.settings["journal"] = journal
    if description.settings.get("journal") == MEMORY:
        raise InvalidInput(
            f"a journal in memory ({MEMORY}) ends with this command, and all results with it: name a file"
        )
    tuner = description.tuner(progress=options.progress)
    return _tell(tuner.fit(description.inputs, job_name=options.name or description.job_name))


def _attached(
    options: argparse.Namespace,
    *,
    progress: bool = False,
    mirror: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> "Tuner":
    from byohpo_core.tuner.tuner import Tuner

    return Tuner.attach(options.name, journal=options.journal, secrets=secrets, progress=progress, mirror=mirror)


def _resume(options: argparse.Namespace) -> int:
    secrets = None
    if options.handed_over:
        from byohpo_core.driving.detached import accept_handover

        secrets = accept_handover(options.name)
    tuner = _attached(options, progress=options.progress, secrets=secrets)
    study = tuner.resume(
        restart_algorithm=options.restart_algorithm,
        max_jobs=options.max_jobs,
        max_parallel_jobs=options.max_parallel_jobs,
        take_over=options.take_over,
        trust=options.trust,
    )
    return _tell(study)


def _stop(options: argparse.Namespace) -> int:
    tuner = _attached(options, progress=options.progress)
    if tuner.stop_tuning_job(take_over=options.take_over):
        say(f"{options.name}: it has ended, and no job of it runs")
    else:
        say(f"{options.name}: its driver has been asked to stop the jobs and to end")
    return 0


def _trust(options: argparse.Namespace) -> int:
    from byohpo_core.backends.estimators import reading
    from byohpo_core.driving.manifest import Manifest
    from byohpo_core.driving.trust import digest, to_run, trust
    from byohpo_core.journal import open_journal

    log = open_journal(options.journal).find(options.name)
    manifest = Manifest.of(log)
    with reading(log.id):
        its_digest, runs = digest(log.id, manifest), to_run(manifest)
    say(f"{log.name} ({log.id}) runs:")
    say_columns([[f"  {what}", name] for what, name in runs.items()])
    if not options.yes and not _agreed():
        return NO_RESULT
    kept = trust(log.id, its_digest)
    say("You trust it." if kept else f"This cannot be kept: set BYOHPO_TRUST={its_digest}")
    return 0 if kept else ERROR


def _agreed() -> bool:
    """Ask the user on the terminal."""
    if not sys.stdin.isatty():
        raise InvalidInput("there is no terminal on which you could agree: read the list, and add --yes")
    try:
        return input("Do you trust all of it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _pull(options: argparse.Namespace) -> int:
    from byohpo_core.backends.estimators import fetch_study
    from byohpo_core.journal import open_journal
    from byohpo_core.journal.place import MEMORY

    journal = open_journal(options.journal)
    if options.name in [name for log in journal.logs() for name in (log.name, log.id)]:
        raise StudyExists(f"journal {journal.path} already has the study {options.name!r}")
    mirror = options.mirror or os.environ.get("BYOHPO_MIRROR") or None
    found = fetch_study(open_journal(MEMORY), options.name, None, mirror)
    if found is None:
        where = "among the jobs of this AWS account" if mirror is None else f"at {mirror}"
        raise UnknownStudy(f"there is no study named {options.name!r} {where}")
    log = journal.bring(found)
    say(f"{log.name} ({log.id}) is now in {journal.path}: {log.last() + 1} events")
    return 0


def _repair(options: argparse.Namespace) -> int:
    from byohpo_core.backends.estimators import fetch_study
    from byohpo_core.journal.place import default_journal
    from byohpo_core.journal.repair import repair

    path = Path(options.journal or default_journal())
    mirror = options.mirror or os.environ.get("BYOHPO_MIRROR")
    fetch = None if mirror is None else lambda journal, name: fetch_study(journal, name, None, mirror)
    restored, lost, kept = repair(path, fetch)
    for study in restored:
        source = " from its mirror" if study.mirrored else ""
        state = f"whole, {study.count} events" if study.whole else f"restored{source}: its first {study.count} events"
        say(f"{study.name} ({study.study_id}): {state}")
    for gone in lost:
        say(f"{gone.study_id}: lost, with {gone.count or 'all'} events: {gone.reason}")
    say(f"{path} is not damaged" if kept is None else f"{path} is repaired; the damaged file is kept as {kept}")
    return 0


def _tell(study: "Study") -> int:
    from byohpo_core.results.table import as_table, rows

    write(as_table(rows(study)) + "\n")
    say(f"{study.name}: {study.stop_reason}")
    return 0 if study.best is not None else NO_RESULT


def _studies(options: argparse.Namespace) -> int:
    from byohpo_core.journal import open_journal
    from byohpo_core.tuner.news import News

    journal = open_journal(options.journal)
    table = []
    damaged = False
    for log in journal.logs():
        try:
            table.append([log.name, log.id, *_state(News(log, mirror=options.mirror))])
        except ByohpoError as error:  # it hides no other study
            damaged |= isinstance(error, JournalDamaged)
            table.append([log.name, log.id, "", "", "", one_line(error)])
    if not table:
        missing = "" if Path(journal.path).exists() else ", which does not exist"
        say(f"no studies in {journal.path}{missing}; --journal or the variable BYOHPO_JOURNAL names another")
    say_columns(table)
    journal.close()
    return ERROR if damaged else 0


def _state(news: "News") -> list[str]:
    """A study's algorithm, jobs and best result, and why it ended or what goes on with it."""
    from byohpo_core.driving.manifest import Manifest

    latest = news.latest()
    manifest, study = Manifest.of(latest), latest.study()
    best = "no result" if study.best is None else f"best {study.best.value:.6g}"
    jobs = f"{study.jobs}/{study.problem.max_jobs} jobs"
    return [manifest.algorithm.name, jobs, best, study.stop_reason or _not_ended(news, manifest)]


def _not_ended(news: "News", manifest: "Manifest") -> str:
    from byohpo_core.driving.next_step import next_step

    driver = news.driver()
    return f"not ended: {next_step('resume', news.log, manifest)}" if driver is None else f"driven by {driver}"


def _results(options: argparse.Namespace) -> int:
    from byohpo_core.results.table import as_csv, as_json, as_table, rows

    study = _attached(options, mirror=options.mirror).study
    table = rows(study) if study is not None else []
    if options.format == "json":
        text = as_json(table)
    else:
        text = (as_csv if options.format == "csv" else as_table)(table, raw=options.raw)
    write(text.rstrip("\n") + "\n")
    return 0
