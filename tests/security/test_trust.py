"""A journal from somebody else runs nothing until its user has seen what it would run, and agreed."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path

import attrs
import pytest
from inside import Manifest, trust
from studies import DEADLINE, Killed, attach, dying, eventful, rechain, tuner

from byohpo_core import (
    ContinuousParameter,
    Event,
    PythonFunction,
    SearchSpace,
    StaticParameter,
    TrainingScript,
    Tuner,
)
from byohpo_core.journal import open_journal

EVIL = "open({mark!r}, 'w').close()\n"


@pytest.fixture
def mark(own_folder, monkeypatch):
    """A file that shows that foreign code has run. This user has a home of their own, in which nothing is trusted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    return own_folder / "it-ran"


def byohpo(*words, journal="foreign.db", **environment):
    command = [sys.executable, "-P", "-m", "byohpo_core.cli", *words, *(["--journal", journal] if journal else [])]
    environment = {name: it for name, it in {**os.environ, **environment}.items() if it is not None}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def foreign(mark, **changes):
    """A journal, made elsewhere, with a study whose manifest has these changes, and nothing but its first trial."""
    source = mark.parent / "elsewhere"
    source.mkdir(exist_ok=True)
    (source / "evil.py").write_text(
        EVIL.format(mark=str(mark)) + "def f(h): return {'loss': 1.0}\nclass Algorithm: pass\n"
    )
    with dying(1, "made.db"), pytest.raises(Killed):
        tuner(journal="made.db").fit(job_name="made")
    manifest = attach("made", lambda _: 1, journal="made.db").describe()["Manifest"]
    made = open_journal("made.db").find("made")
    manifest = {**manifest, **changes}
    open_journal("foreign.db").take(attrs.evolve(made.record, name="s", manifest=manifest), [*made.read()])
    return manifest


def function(mark, kind="function"):
    return {"kind": kind, "function": "evil:f", "processes": False, "folder": str(mark.parent / "elsewhere")}


def script(mark, **changes):
    """A script, whose interpreter, source and environment are the attacker's."""
    interpreter = mark.parent / "python"
    interpreter.write_text(f"#!/bin/sh\ntouch {mark}\n")
    interpreter.chmod(0o755)
    (mark.parent / "train.py").write_text("print('loss=1')\n")
    given = TrainingScript(str(mark.parent / "train.py"), python=str(interpreter)).describe()
    return {**given, **changes}


def plugin(target, group="byohpo.algorithms", **more):
    return [
        {"name": "mine", "group": group, "target": target, "options": {}, "distribution": None, "version": None, **more}
    ]


CASES = {
    "function": lambda mark: {"backend": function(mark)},
    "simulated": lambda mark: {"backend": {**function(mark, "simulated")}},
    "processes": lambda mark: {"backend": {**function(mark), "processes": True}},
    "interpreter": lambda mark: {"backend": script(mark)},
    "environment": lambda mark: {
        "backend": script(mark, python=sys.executable, environment={"PYTHONPATH": str(mark.parent / "elsewhere")})
    },
    "algorithm": lambda mark: {"plugins": plugin("evil:Algorithm")},
    "extension": lambda mark: {"plugins": [*plugin("evil:Algorithm", "byohpo.extensions"), *plugin("evil:Algorithm")]},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_a_foreign_journal_names_runs_before_its_user_agrees(case, mark, own_folder):
    """Neither on resume nor on stop, nor where one only looks; the error names all of it and the way on."""
    (own_folder / "evil.py").write_text(EVIL.format(mark=str(mark)) + "class Algorithm: pass\n")
    foreign(mark, **CASES[case](mark))
    refused = byohpo("resume", "s")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "`byohpo trust s --journal foreign.db`" in refused.stderr
    assert not mark.exists()
    for words in [("results", "s"), ("studies",)]:
        assert byohpo(*words).returncode == 0
    assert byohpo("stop", "s").returncode == 0
    assert not mark.exists()
    assert not [*own_folder.glob("**/code")]


@pytest.mark.parametrize("how", ["command", "argument", "variable"])
def test_who_agrees_is_asked_once(how, mark):
    """By a command that shows everything, by an argument, or by a variable where there is no home."""
    foreign(mark, backend=function(mark))
    shown = byohpo("trust", "s", "--yes", **({} if how == "command" else {"XDG_STATE_HOME": "/proc"}))
    assert "evil:f" in shown.stdout
    assert str(mark.parent / "elsewhere") in shown.stdout
    assert not mark.exists()
    environment = {}
    if how == "variable":
        assert shown.returncode == 2
        environment = {"BYOHPO_TRUST": shown.stdout.rpartition("BYOHPO_TRUST=")[2].strip(), "XDG_STATE_HOME": "/proc"}
    resumed = byohpo("resume", "s", "--max-jobs", "13", *(["--trust"] if how == "argument" else []), **environment)
    assert resumed.returncode == 0, resumed.stderr
    assert ("evil:f" in resumed.stderr) == (how == "argument")  # which shows what it trusts
    assert mark.exists()
    assert byohpo("resume", "s", "--max-jobs", "14", **environment).returncode == 0


def test_without_a_terminal_nobody_agrees(mark):
    """A command in a loop or in CI says so with --yes."""
    foreign(mark, backend=function(mark))
    refused = byohpo("trust", "s")
    assert refused.returncode == 2
    assert "evil:f" in refused.stdout
    assert "--yes" in refused.stderr
    assert byohpo("resume", "s").returncode == 2
    assert not mark.exists()


@pytest.mark.parametrize("theirs", ["s-0000 00\nevil-abcd 00\nz", "/../../OUTSIDE", "s-0000\x1b[2J", "s-" + "0" * 60])
def test_an_id_that_byohpo_never_draws_is_refused(theirs, mark, own_folder):
    """It would be a line of trust, or a path: no file is named after it, and it cannot be trusted."""
    foreign(mark, backend=function(mark))
    with closing(sqlite3.connect("foreign.db")) as connection, connection:
        for table, column in (("studies", "id"), ("events", "study"), ("heads", "study")):
            connection.execute(f"UPDATE {table} SET {column} = ?", (theirs,))
    rechain("foreign.db")
    trusted = (own_folder / "state" / "byohpo" / "trust").read_text()
    before = {*own_folder.rglob("*")}
    for words in [("trust", "s", "--yes"), ("resume", "s"), ("stop", "s"), ("results", "s"), ("studies",)]:
        refused = byohpo(*words)
        assert refused.returncode == 2, words
        assert len(refused.stderr.splitlines()) == 1
        assert "id" in refused.stderr
    assert {*own_folder.rglob("*")} - before <= {Path("foreign.db-wal").absolute(), Path("foreign.db-shm").absolute()}
    assert (own_folder / "state" / "byohpo" / "trust").read_text() == trusted


def test_what_is_typed_next_is_told_to_each(mark):
    """`byohpo trust` of a foreign study; resume with --trust where nothing can be kept."""
    foreign(mark, backend=function(mark))
    assert "not ended: `byohpo trust s --journal foreign.db`" in byohpo("studies").stdout
    assert byohpo("trust", "s", "--yes").returncode == 0
    assert "not ended: `byohpo resume s --journal foreign.db`" in byohpo("studies").stdout


def test_a_driver_with_no_home_tells_of_the_argument(monkeypatch, caplog):
    """What it trusts itself is not known to the next process."""
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    Path("train.py").write_text("import time\ntime.sleep(1)\nprint('loss=1')\n")  # a job runs when its driver dies
    with dying(1), pytest.raises(Killed):
        tuner(TrainingScript("train.py")).fit(job_name="s")
    assert "`byohpo resume s --trust --journal studies.db`" in caplog.text
    assert byohpo("resume", "s", journal="studies.db").returncode == 2
    assert byohpo("resume", "s", "--trust", journal="studies.db").returncode == 0


def test_a_journal_that_was_changed_is_asked_about_again(mark):
    """What was agreed to is this function from this folder, and no other."""
    manifest = foreign(mark, backend=function(mark))
    assert byohpo("trust", "s", "--yes").returncode == 0
    study = open_journal("foreign.db").find("s")
    for changed in (
        {**manifest, "backend": {**manifest["backend"], "folder": "/elsewhere"}},
        {**manifest, "backend": {**manifest["backend"], "function": "evil:g"}},
        {**manifest, "plugins": plugin("evil:Algorithm")},
    ):
        Path("changed.db").unlink(missing_ok=True)
        journal = open_journal("changed.db")
        journal.take(type(study.record)(study.id, "s", changed), [])
        journal.close()
        assert "byohpo trust" in byohpo("resume", "s", journal="changed.db").stderr
    assert not mark.exists()


def test_an_epoch_that_names_another_class_is_asked_about(mark):
    """A foreign journal may name it in an event rather than at its beginning."""
    manifest = foreign(mark, backend=function(mark))
    assert byohpo("trust", "s", "--yes").returncode == 0
    log = open_journal("foreign.db").find("s")
    sequence = log.last() + 1
    epoch = {"problem": manifest["problem"], "plugins": plugin("evil:Algorithm")}
    log.append([Event(sequence, type(next(log.read()).kind)("epoch"), 1.0, epoch)])
    assert "evil:Algorithm" in byohpo("resume", "s").stderr
    assert not mark.exists()


def test_the_user_s_own_function_is_agreed_to_by_giving_it(mark):
    """In the call itself; what the journal names is not imported."""
    foreign(mark, backend=function(mark))
    study = Tuner.attach("s", journal="foreign.db", estimator=lambda h: {"loss": h["x"]}, progress=False).resume()
    assert study.stop_reason == "max_jobs (12) reached"
    assert not mark.exists()


def test_the_user_s_own_function_imports_nothing_from_a_folder_that_the_journal_names(mark):
    """Perhaps it tries a module that is not installed here."""
    foreign(mark, backend=function(mark))

    def careful(hyperparameters):
        with suppress(ImportError):
            import_module("evil")
        return {"loss": hyperparameters["x"]}

    Tuner.attach("s", journal="foreign.db", estimator=careful, progress=False).resume()
    assert not mark.exists()


def test_a_study_is_stopped_without_the_folder_that_its_journal_names(mark, monkeypatch):
    """What is imported as it stops, by whatever library, does not come from there."""
    foreign(mark, backend=function(mark))
    paths = []
    ran = PythonFunction.connect
    monkeypatch.setattr(PythonFunction, "connect", lambda *given: (paths.extend(sys.path), ran(*given))[1])
    Tuner.attach("s", journal="foreign.db", progress=False).stop_tuning_job()
    assert paths
    assert str(mark.parent / "elsewhere") not in paths


def test_all_that_leads_to_code_is_shown(mark):
    """Which code runs may be said by any field of a request, by arguments and by channels."""
    foreign(mark, backend=function(mark))
    manifest = Manifest.of(open_journal("foreign.db").find("s"))
    image = {"RuleConfigurationName": "r", "RuleEvaluatorImage": "their-image"}
    channel = {"ChannelName": "sm_drivers", "DataSource": {"S3DataSource": {"S3Uri": "s3://theirs/code"}}}
    request = {"RoleArn": "arn:1", "InputDataConfig": [channel], "DebugRuleConfigurations": [image]}
    backend = {"kind": "sagemaker", "request": request, "instance_types": ["ml.p5.48xlarge"]}
    space = SearchSpace({"x": ContinuousParameter(0, 1), "load": StaticParameter("theirs.pkl")})
    settings = attrs.evolve(manifest.settings, inputs={"training": "their-data"})
    problem = attrs.evolve(manifest.problem, space=space)
    shown = str(trust.to_run(attrs.evolve(manifest, backend=backend, settings=settings, problem=problem)))
    for word in ("their-image", "s3://theirs/code", "arn:1", "ml.p5.48xlarge", "theirs.pkl", "their-data"):
        assert word in shown


def test_studies_that_were_created_here_go_on_unasked(mark):
    """Also by the command, also after limits were raised."""
    with dying(3), pytest.raises(Killed):
        eventful().fit(job_name="s")
    done = byohpo("resume", "s", "--max-jobs", "20", journal="studies.db", PYTHONPATH=os.pathsep.join(sys.path))
    assert done.returncode == 0, done.stderr
    trust = mark.parent / "state" / "byohpo" / "trust"
    assert trust.stat().st_mode & 0o777 == 0o600
    assert trust.parent.stat().st_mode & 0o777 == 0o700


def test_a_study_is_trusted_before_it_exists(mark, monkeypatch):
    """Whoever creates one and dies at that moment goes on unasked."""
    Path("train.py").write_text("print('loss=1')\n")
    take = type(open_journal("studies.db")).take

    def take_and_die(*given):
        take(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(open_journal("studies.db")), "take", take_and_die)
        with pytest.raises(Killed):
            tuner(TrainingScript("train.py"), journal="studies.db").fit(job_name="s")
    assert byohpo("resume", "s", journal="studies.db").returncode == 0


@pytest.mark.parametrize("tampered", ["writable by others", "a link"])
def test_a_file_of_trust_that_others_may_write_is_ignored(tampered, mark):
    """Otherwise anybody could agree for this user."""
    foreign(mark, backend=function(mark))
    assert byohpo("trust", "s", "--yes").returncode == 0
    trust = mark.parent / "state" / "byohpo" / "trust"
    if tampered == "a link":
        trust.rename(mark.parent / "theirs")
        trust.symlink_to(mark.parent / "theirs")
    else:
        trust.chmod(0o666)
    assert byohpo("resume", "s").returncode == 2
    assert not mark.exists()


def test_trusting_one_study_lets_in_no_line_that_others_have_written(mark):
    """A file that others could write to stays ignored; the user is told to delete it."""
    foreign(mark, backend=function(mark))
    assert byohpo("trust", "s", "--yes").returncode == 0
    trust = mark.parent / "state" / "byohpo" / "trust"
    trust.chmod(0o666)
    tuner(journal="mine.db").fit(job_name="mine")
    assert byohpo("resume", "s").returncode == 2
    assert "delete it" in byohpo("resume", "s").stderr
    assert not mark.exists()


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "byohpo.backends", "os"])
def test_a_manifest_names_plugins_of_byohpo_s_groups_only(group, mark):
    """Not any entry point that is installed."""
    foreign(mark, plugins=plugin("x:y", group, name="pytest", distribution="pytest", version="1"))
    for words in (("resume", "s"), ("resume", "s", "--trust")):
        refused = byohpo(*words)
        assert refused.returncode == 2
        assert group in refused.stderr


def test_the_working_folder_shadows_nothing(mark, own_folder, monkeypatch):
    """Neither a plugin's module nor an entry point that lies there is found; nor is a library of the same name."""
    (own_folder / "byohpo_plugin_random.py").write_text(EVIL.format(mark=str(mark)))
    (own_folder / "objective_here.py").write_text("def f(h): return {'loss': h['x']}\n")
    monkeypatch.syspath_prepend(str(own_folder))
    (own_folder / "attrs.py").write_text(EVIL.format(mark=str(mark)))
    info = own_folder / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[byohpo.algorithms]\nmine = evil:Algorithm\n")
    with dying(3), pytest.raises(Killed):
        tuner(import_module("objective_here").f).fit(job_name="s")
    command = Path(sys.executable).with_name("byohpo")
    for words in (["algorithms"], ["studies"], ["resume", "s"], ["stop", "s"], ["results", "s"]):
        done = subprocess.run(
            [command, *words, *(["--journal", "studies.db"] if words != ["algorithms"] else [])],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        assert "mine" not in done.stdout
    assert not mark.exists()
