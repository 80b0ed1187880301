"""Values of another type, with valid checksums, give one line and no traceback, and hide no other study.

The journal is one that somebody else, or another release, has written: its checksums are right.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from functools import reduce
from itertools import count
from pathlib import Path

import pytest
import studies
from inside import News, as_csv, as_json, as_table, events, news, rows
from studies import ROOT, Killed, attach, dying, eventful, rechain

from byohpo_core import Event, TrainingScript
from byohpo_core.cli import main
from byohpo_core.journal import open_journal

MISSING = object()
DEEP = "[" * 300 + "]" * 300
WRONG = {
    "missing": MISSING,
    "null": "null",
    "text": '"abc"',
    "number": "5",
    "huge": "-1" + "0" * 400,
    "NaN": "NaN",
    "list": "[5, NaN]",
    "mapping": '{"loss": "abc", "cost": NaN, "kind": 5}',
    "deep": '{"cost": 1, "loss": ' + DEEP + "}",
}
COMMANDS = (
    ["results", "s", "--format", "json"],
    ["stop", "s", "--no-progress"],
    ["resume", "s", "--no-progress", "--trust"],
    ["trust", "s", "--yes"],
)


TURN = count()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A journal with a whole study, and one that goes on from it and whose driver died in its second epoch.

    Every kind of event is in it.
    """
    path = str(tmp_path_factory.mktemp("made") / "made.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        few = {"journal": path, "max_parallel_jobs": 2}
        eventful(max_jobs=3, **few).fit(job_name="other")
        eventful(max_jobs=6, warm_start_from=["other"], random_seed=15, **few).fit(job_name="s")
        with dying(4), pytest.raises(Killed):
            attach("s", journal=path).resume(max_jobs=10)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


EVENT = "UPDATE events SET body = ? WHERE study LIKE 's-%' AND sequence = ?"
MANIFEST = "UPDATE studies SET manifest = ? WHERE name = 's'"
FIRST_EPOCH = "DELETE FROM events WHERE study LIKE 's-%' AND sequence > 20"
"""The later one replaces parts of the manifest."""


def manifest_of(made):
    with closing(sqlite3.connect(made)) as connection:
        return connection.execute("SELECT manifest FROM studies WHERE name = 's'").fetchone()[0]


def event_of(made, kind):
    """The number and the body of an event of this kind, of the study that is not the other one."""
    with closing(sqlite3.connect(made)) as connection:
        return connection.execute(
            "SELECT sequence, body FROM events WHERE kind = ? AND study LIKE 's-%' ORDER BY length(body) DESC", (kind,)
        ).fetchone()


def change(made, statement, *parameters):
    """Copy the journal to byohpo.db, and change it there, with checksums."""
    for suffix in ("", "-wal", "-shm"):  # a new file, which no connection of an earlier command knows
        Path(f"byohpo.db{suffix}").unlink(missing_ok=True)
    shutil.copy(made, "byohpo.db")
    with closing(sqlite3.connect("byohpo.db")) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(statement, parameters)
        if statement == MANIFEST:
            connection.execute(FIRST_EPOCH)
    rechain("byohpo.db")


def check_commands(capsys, case, commands=COMMANDS):
    """Each ends with 0, or with 2 and one line; the other study is listed all the same.

    If the list shows already that the study cannot be read, only one of the commands is run, each in its turn;
    otherwise stop and resume take turns.
    """
    main(["studies"])
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == ["other", "s"], case
    assert "3/3 jobs" in listed[0], case
    shutil.copy("byohpo.db", "changed.db")
    turn = next(TURN)
    if " cannot be read (" in listed[1]:
        commands = [commands[turn % len(commands)]]
    else:
        commands = [words for words in commands if words[0] != ("stop", "resume")[turn % 2]]
    for words in commands:
        code = main(words)
        printed = capsys.readouterr()
        told = printed.err.splitlines()
        assert code in (0, 2), (case, words, printed)
        assert len(told) == (code == 2), (case, words, told)
        assert all(line.startswith("byohpo: error: ") and len(line) < 2000 for line in told), (case, words, told)
        if words[0] == "stop" and code == 0:
            for suffix in ("-wal", "-shm"):
                Path(f"byohpo.db{suffix}").unlink(missing_ok=True)
            shutil.copy("changed.db", "byohpo.db")


PARTS = {
    "imported": ["trials.0"],
    "asked": ["answer.0"],
    "reported": ["points"],
    "finished": ["metrics"],
    "epoch": ["problem", "plugins.0"],
}
"""The parts of bodies whose fields are changed too."""
MORE = {
    "asked": ["answer.0.key", "answer.0.fidelity", "answer.0.resume_from"],
    "finished": ["details.cost", "details.billable_seconds", "details.model_artifacts"],
    "retried": ["details.cost"],
    "imported": ["trials.0.fidelity", "trials.0.details.cost"],
}
"""More fields that a body may have."""


def inside(body, path):
    """What is at a path such as "answer.0" of JSON."""
    return reduce(lambda it, name: it[int(name)] if isinstance(it, list) else it.setdefault(name, {}), path, body)


def paths_of(body, names, parts, more):
    """Paths to fields: to those of a body, to those of some of its parts, and to more."""
    fields = (f"{part}.{name}" for part in parts for name in inside(body, part.split(".")))
    return dict.fromkeys([*body, *names, *fields, *more])


def replaced(text, path, value):
    """JSON in which a field has another value, which is JSON as well, or is missing."""
    body = json.loads(text)
    *part, name = path.split(".")
    place = inside(body, part)
    if value is MISSING:
        place.pop(name, None)
        return json.dumps(body)
    place[name] = "its value"
    return json.dumps(body).replace('"its value"', value)


@pytest.mark.parametrize("kind", [str(kind) for kind in events.EventKind])
def test_a_field_of_an_event_that_is_of_another_type_is_told_in_one_line(kind, made, capsys):
    """Or it is read, if it may be so."""
    body = event_of(made, kind)
    names = events.BODIES[kind].__annotations__
    for path in paths_of(json.loads(body[1]), names, PARTS.get(kind, ()), MORE.get(kind, ())):
        for name, value in WRONG.items():
            change(made, EVENT, replaced(body[1], path, value), body[0])
            check_commands(capsys, (kind, path, name), COMMANDS if kind == "epoch" else COMMANDS[:-1])


@pytest.mark.parametrize("value", ["abc", b"abc", 1e999])
def test_a_time_that_is_no_number_is_told_in_one_line(value, made, capsys):
    """SQLite keeps any type in any column."""
    change(made, "UPDATE events SET time = ? WHERE study LIKE 's-%' AND sequence = ?", value, 3)
    check_commands(capsys, value)
    assert main(["results", "s"]) == 2
    assert "event 3 (" in capsys.readouterr().err


BACKENDS = {
    "simulated": {"kind": "simulated", "function": "studies:eventful_job", "folder": str(ROOT / "tests")},
    "function": {"kind": "function", "function": "studies:objective", "processes": False, "folder": None},
    "local": TrainingScript("nowhere.py", environment={"A": "b"}).describe(),
    "sagemaker": {
        "kind": "sagemaker",
        "request": {},
        "encoding": "json",
        "instance_types": [],
        "prices": {},
        "region": "eu-west-1",
        "calls_per_second": 4.0,
        "poll_seconds": 5.0,
    },
}


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_backend_that_is_described_in_another_way_is_told_in_one_line(kind, made, capsys, monkeypatch):
    """By each command that reads the description, and no job starts."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    manifest = json.loads(manifest_of(made))
    text = json.dumps({**manifest, "backend": BACKENDS[kind]})
    for name in BACKENDS[kind]:
        for what, value in WRONG.items():
            change(made, MANIFEST, replaced(text, f"backend.{name}", value))
            check_commands(capsys, (kind, name, what))


def test_a_manifest_of_another_form_is_told_in_one_line(made, capsys):
    """Each of its settings, and each of their parts."""
    text = manifest_of(made)
    parts = ("problem", "problem.space", "plugins.0", "settings", "policy")
    for path in paths_of(json.loads(text), (), parts, ()):
        for name, value in WRONG.items():
            change(made, MANIFEST, replaced(text, path, value))
            check_commands(capsys, (path, name))


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("plugins", "[]", "none of its plugins is an algorithm"),
        ("backend.kind", MISSING, "kind"),
        ("policy.max_cost", "5", "reservation"),
        ("format", "NaN", "format"),
        ("backend.more", DEEP, "deep"),
    ],
)
def test_what_is_wrong_with_a_manifest_names_the_study_and_the_setting(path, value, told, made, capsys):
    """In the line of `byohpo results` as well as in the list of studies."""
    change(made, MANIFEST, replaced(manifest_of(made), path, value))
    for words in (["trust", "s", "--yes"], ["studies"]):
        main(words)
        line = "".join(capsys.readouterr()).splitlines()[-1]
        assert "the manifest of study 's-" in line
        assert told in line
        assert "pip install --upgrade byohpo-core" in line


def test_what_is_wrong_with_an_event_names_the_study_the_event_and_the_field(made, capsys):
    """And what it should be."""
    sequence, body = event_of(made, "asked")
    change(made, EVENT, replaced(body, "answer", "5"), sequence)
    assert main(["resume", "s", "--trust"]) == 2
    line = capsys.readouterr().err
    assert f", event {sequence} (asked) cannot be read (answer is 5, not a list" in line
    assert "study 's-" in line


def test_an_answer_of_a_plugin_that_the_study_has_not_is_told(made, capsys):
    """A replay cannot ask it."""
    change(
        made,
        "UPDATE events SET body = json_set(body, '$.plugin', 'nobody') WHERE study LIKE 's-%' AND kind = ?",
        "asked",
    )
    assert main(["resume", "s", "--trust", "--no-progress"]) == 2
    assert "no plugin 'nobody' proposes" in capsys.readouterr().err


def test_trials_of_other_hyperparameters_are_shown_in_one_table():
    """Whoever wrote them: each hyperparameter has a column, and a trial without it an empty cell."""
    study = studies.story("ask .1 .2")
    study.trials._trials[1] = study.trials[1].but(hyperparameters={"y": [float("nan")]})
    table = rows(study)
    assert [(row["x"], row["y"]) for row in table] == [(0.1, None), (None, pytest.approx([float("nan")], nan_ok=True))]
    assert as_table(table).splitlines()[0].split()[-2:] == ["x", "y"]
    assert [len(line.split(",")) for line in as_csv(table).splitlines()] == [len(table[0])] * 3
    assert json.loads(as_json(table))[1]["y"] == [None]


def test_a_mirror_without_a_driver_names_none(monkeypatch):
    """Not the process of whatever event is its last."""
    log = open_journal("a.db").create("s", {})
    monkeypatch.setattr(
        news, "follow_study", lambda *_: lambda _: [Event(0, events.EventKind("launched"), 0.0, {"trials": []})]
    )
    known = News(log, mirror="s3://bucket")
    assert known.latest().last() == 0
    assert known.driver() is None
