"""`byohpo tune`, `resume`, `studies` and `results`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from byohpo_core.cli import NO_RESULT
from byohpo_core.cli.plugins import print_columns
from byohpo_core.study import Study


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    journal = argparse.ArgumentParser(add_help=False)
    journal.add_argument("--journal", metavar="FILE", help="the journal; by default BYOHPO_JOURNAL or byohpo.db")
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("--no-progress", dest="progress", action="store_false", help="show nothing while it runs")

    tune = commands.add_parser("tune", help="run the study that a TOML file describes", parents=[journal, running])
    tune.add_argument("file", type=Path, metavar="FILE.toml")
    tune.add_argument("--name", help="the study's name in the journal; by default job_name in the file")
    tune.set_defaults(run=_tune)

    resume = commands.add_parser("resume", help="go on with a study exactly where it was", parents=[journal, running])
    resume.add_argument("name", help="a study's name or id")
    resume.add_argument("--restart-algorithm", action="store_true", help="build the algorithm afresh from the results")
    resume.add_argument("--max-jobs", type=int, metavar="N", help="raise the limit of jobs")
    resume.add_argument("--max-parallel-jobs", type=int, metavar="N", help="change the number of slots")
    resume.add_argument("--take-over", action="store_true", help="break a lock that another host left behind")
    resume.set_defaults(run=_resume)

    stop = commands.add_parser("stop", help="end a study and stop its jobs", parents=[journal, running])
    stop.add_argument("name", help="a study's name or id")
    stop.set_defaults(run=_stop)

    studies = commands.add_parser("studies", help="list the journal's studies", parents=[journal])
    studies.set_defaults(run=_studies)

    results = commands.add_parser("results", help="the trials of a study, the best first", parents=[journal])
    results.add_argument("name", help="a study's name or id")
    results.add_argument("--format", choices=("table", "csv", "json"), default="table")
    results.set_defaults(run=_results)


def _tune(options: argparse.Namespace) -> int:
    from byohpo_core.cli.tomlfile import read

    description = read(options.file)
    if options.journal is not None:
        description.settings["journal"] = options.journal
    tuner = description.tuner(progress=options.progress)
    return _tell(tuner.fit(description.inputs, job_name=options.name or description.job_name))


def _resume(options: argparse.Namespace) -> int:
    from byohpo_core.tuner import Tuner

    sys.path.insert(0, str(Path.cwd()))  # where the function that is tuned may be
    tuner = Tuner.attach(options.name, journal=options.journal, progress=options.progress)
    study = tuner.resume(
        restart_algorithm=options.restart_algorithm,
        max_jobs=options.max_jobs,
        max_parallel_jobs=options.max_parallel_jobs,
        take_over=options.take_over,
    )
    return _tell(study)


def _stop(options: argparse.Namespace) -> int:
    from byohpo_core.tuner import Tuner

    sys.path.insert(0, str(Path.cwd()))
    tuner = Tuner.attach(options.name, journal=options.journal, progress=options.progress)
    if tuner.stop_tuning_job():
        print(f"{options.name}: it has ended, and no job of it runs")
    else:
        print(f"{options.name}: its driver has been asked to stop the jobs and to end")
    return 0


def _tell(study: Study) -> int:
    from byohpo_core.results import as_table, rows

    print(as_table(rows(study)))
    print(f"{study.name}: {study.stop_reason}")
    return 0 if study.best is not None else NO_RESULT


def _studies(options: argparse.Namespace) -> int:
    from byohpo_core.journal import open_journal
    from byohpo_core.manifest import Manifest
    from byohpo_core.plugins import ALGORITHMS
    from byohpo_core.replay import manifest_now, read_study

    journal = open_journal(options.journal)
    table = []
    for record in journal.studies():
        manifest: Manifest = manifest_now(journal, record)
        study = read_study(journal, record)
        strategy = next(spec.name for spec in manifest.plugins if spec.group == ALGORITHMS)
        best = "no result" if study.best is None else f"best {study.best.value:.6g}"
        jobs = f"{study.jobs}/{study.problem.max_jobs} jobs"
        state = study.stop_reason or f"not ended: byohpo resume {record.name}"
        table.append([record.name, record.id, strategy, jobs, best, state])
    if not table:
        print(f"no studies in {journal.path}")
    print_columns(table)
    journal.close()
    return 0


def _results(options: argparse.Namespace) -> int:
    from byohpo_core.results import as_csv, as_json, as_table, rows
    from byohpo_core.tuner import Tuner

    study = Tuner.attach(options.name, journal=options.journal).study
    table = rows(study) if study is not None else []
    text = {"table": as_table, "csv": as_csv, "json": as_json}[options.format](table)
    print(text.rstrip("\n"))
    return 0
