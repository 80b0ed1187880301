"""Every block of docs/journal.md runs on a small study, and finds what `Tuner.attach(...).study` says."""

import json
import re
import runpy
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from inside import events
from studies import rechain

from byohpo_core import IntegerParameter, Simulated, Simulation, Tuner, hookimpl

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
JOURNALS = Path(__file__).parents[1] / "journal" / "released"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SQL = [text for language, text in BLOCKS if language == "sql"]
STUDIES, VIEW, TRIALS, INCUMBENT, CURVE, COST, SCHEMA = SQL
FIRST_COLUMN = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)


def shown_after(block):
    """The lines of output that the page shows below a block."""
    (text,) = re.match(
        r"```\n\n```text\n(.*?)^```", PAGE[PAGE.index(block) + len(block) :], re.DOTALL | re.MULTILINE
    ).groups()
    return text.splitlines()


def section(title):
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def as_lines(cursor):
    """A query's result as `sqlite3 -header` prints it."""
    header = [column[0] for column in cursor.description]
    return ["|".join("" if cell is None else str(cell) for cell in row) for row in [header, *cursor]]


def reader(path="toy.db"):
    """A read-only connection with the page's view."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.execute(VIEW)
    return closing(connection)


def of_study(statement, name):
    return statement.replace("'toy'", f"'{name}'")


@pytest.fixture
def toy():
    """The page's study, as the page's program makes it."""
    run_blocks(PYTHON[0])
    return Tuner.attach("toy", journal="toy.db").study


def run_blocks(*blocks):
    Path("page.py").write_text("\n\n".join(blocks))
    return runpy.run_path("page.py", run_name="__main__")


def test_each_block_is_known_here():
    """A block that is added to the page needs a test."""
    languages = [language for language, _ in BLOCKS]
    assert {language: languages.count(language) for language in set(languages)} == {
        "console": 1,
        "python": 4,
        "sql": 7,
        "text": 8,
    }


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="the page's first command needs the sqlite3 program")
def test_the_command_prints_what_the_page_shows(toy):
    """With the sqlite3 program."""
    (block,) = [text for language, text in BLOCKS if language == "console"]
    command, *shown = block.splitlines()
    done = subprocess.run(shlex.split(command.removeprefix("$ ")), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == shown


@pytest.mark.parametrize(
    "statement", [STUDIES, TRIALS, INCUMBENT, CURVE, COST], ids=["studies", "trials", "best", "curve", "cost"]
)
def test_a_query_prints_what_the_page_shows(statement, toy):
    """To the letter: the study's clock is virtual and its seed fixed."""
    with reader() as connection:
        assert as_lines(connection.execute(statement)) == shown_after(statement)


def test_the_python_blocks_print_what_the_page_shows(toy, capsys):
    """The second finds the incumbent, the third what is new, the fourth verifies all."""
    names = run_blocks(*PYTHON[1:])
    assert capsys.readouterr().out.splitlines() == [line for block in PYTHON[1:] for line in shown_after(block)]
    assert (len(names["configurations"]), names["best"]) == (len(toy.trials), toy.best.number)


def check_against(study, connection):
    """All that the page's queries find in a study is what byohpo says of it."""
    metric = study.problem.objectives[0].metric
    found = connection.execute(
        f"SELECT trial, status, hyperparameters, json_extract(metrics, '$.{metric}') "
        "FROM trials WHERE study = ? ORDER BY trial",
        (study.name,),
    )
    assert [(trial, status, json.loads(tuned), value) for trial, status, tuned, value in found] == [
        (it.number, it.status, it.proposal.hyperparameters, it.value) for it in study.trials
    ]
    assert len(study.trials) == len(connection.execute(of_study(TRIALS, study.name)).fetchall())
    statement = of_study(INCUMBENT, study.name)
    if study.problem.objectives[0].direction == "Maximize":
        statement = statement.replace(", changed", " DESC, changed")
    best = connection.execute(statement).fetchone()
    assert (best and best[0]) == (study.best and study.best.number)
    for trial in study.trials:
        statement = of_study(CURVE, study.name).replace("trial = 0", f"trial = {trial.number}")
        steps = connection.execute(statement).fetchall()
        assert [step for step, _ in steps] == list(range(len(steps)))
        assert [value for _, value in steps] == [round(value, 4) for value in study.curve(trial.number)]
    assert connection.execute(of_study(COST, study.name)).fetchone() == (pytest.approx(study.cost),)
    told = {name: (jobs, reason) for name, _, jobs, reason in connection.execute(STUDIES)}
    assert told[study.name] == (study.jobs, study.stop_reason)


def test_the_queries_find_what_byohpo_finds(toy):
    """Trials, incumbent, curves and cost; the study has retried, pruned and reused trials."""
    assert {str(trial.status) for trial in toy.trials} == {"Completed", "Pruned", "Reused"}
    assert any(trial.interruptions for trial in toy.trials)
    with reader() as connection:
        check_against(toy, connection)
        assert any(connection.execute(CURVE))


@pytest.mark.parametrize("file", sorted(path.name for path in JOURNALS.glob("*.db")))
def test_they_do_in_the_journals_of_earlier_releases(file):
    """Studies in the midst of things, in a second epoch, with failures."""
    Path("old.db").write_bytes((JOURNALS / file).read_bytes())
    with reader("old.db") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM studies")]
        assert names
        for name in names:
            check_against(Tuner.attach(name, journal="old.db").study, connection)


def test_they_do_after_a_warm_start_and_with_costs(toy):
    """Imported trials come first and count as trials; each attempt has its price."""
    second = tuner(lambda hyperparameters: Simulation({"loss": hyperparameters["layers"]}, 60), warm_start_from=["toy"])
    second.fit(job_name="second")
    with closing(sqlite3.connect("toy.db")) as connection, connection:
        connection.execute(
            "UPDATE events SET body = json_set(body, '$.details', json('{\"cost\": 0.25}')) "
            "WHERE kind IN ('finished', 'retried')"
        )
    rechain("toy.db")
    with reader() as connection:
        for name in ("toy", "second"):
            study = Tuner.attach(name, journal="toy.db").study
            assert study.cost > 0
            check_against(study, connection)
    assert study.trials[0].prior


def tuner(function, **settings):
    return Tuner(
        Simulated(function),
        "loss",
        {"layers": IntegerParameter(1, 12)},
        strategy="random",
        objective_type="Minimize",
        max_jobs=4,
        random_seed=1,
        journal="toy.db",
        progress=False,
        **settings,
    )


def test_numbers_that_are_not_finite_are_read_as_the_page_says():
    """With the body that the page puts in place of `body`; Python reads them as they are."""

    def diverges(hyperparameters):
        return (
            Simulation([{"loss": float("nan")}, {"loss": float("-inf")}], 60)
            if hyperparameters["layers"] > 6
            else (Simulation({"loss": 1.0 * hyperparameters["layers"]}, 60))
        )

    study = tuner(diverges, failure_limit=False, early_stopping_type="Auto").fit(job_name="toy")
    assert {str(trial.status) for trial in study.trials} >= {"Completed", "Failed"}
    text = section("The file")
    ((body, rows),) = re.findall(r"put `(.*?)` in place.*?`(\(SELECT study, .*?\))`", text, re.DOTALL)
    assert body in rows
    with closing(sqlite3.connect("file:toy.db?mode=ro", uri=True)) as connection:
        connection.execute(re.sub(r"FROM events\b", f"FROM {rows} AS events", VIEW))
        found = connection.execute(TRIALS).fetchall()
        assert [(row[1], row[3]) for row in found] == [(it.status, it.value) for it in study.trials]
        assert connection.execute(INCUMBENT).fetchone()[0] == study.best.number
    run_blocks(*PYTHON[1:])


def test_a_reader_sees_what_is_committed_while_the_driver_runs():
    """At each commit it sees all events so far, and the driver goes on."""
    names = {}

    class Reader:
        def __init__(self, problem):
            self.seen = []

        @hookimpl
        def happened(self, event):
            new = names["events_after"]("toy.db", "toy", self.seen[-1] if self.seen else -1)
            self.seen += [sequence for sequence, _, _ in new]
            assert event.sequence in self.seen
            names["seen"] = self.seen

    exec(f"import sqlite3\n{PYTHON[2].partition('print(')[0]}", names)
    study = tuner(lambda hyperparameters: Simulation({"loss": hyperparameters["layers"]}, 60), extensions=[Reader]).fit(
        job_name="toy"
    )
    assert names["seen"] == list(range(study.sequence))


def test_the_schema_is_what_the_page_says(toy):
    """The same tables, index, application id and version; each column has its row."""
    with closing(sqlite3.connect(":memory:")) as ours, reader() as theirs:
        ours.executescript(SCHEMA)
        for query in (
            "SELECT name, sql FROM sqlite_master ORDER BY name",
            "PRAGMA application_id",
            "PRAGMA user_version",
        ):
            assert plain(ours.execute(query)) == plain(theirs.execute(query))
        columns = [
            (table, column[1])
            for table in ("studies", "events", "heads")
            for column in theirs.execute(f"PRAGMA table_info({table})")
        ]
        assert theirs.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section("The file"), re.MULTILINE) == columns


def plain(rows):
    return [[re.sub(r"\s+", " ", cell) if isinstance(cell, str) else cell for cell in row] for row in rows]


def test_the_manifest_is_what_the_page_says(toy):
    """Each part, and what is in it."""
    manifest = Tuner.attach("toy", journal="toy.db").describe()["Manifest"]
    text = section("The manifest")
    assert [name for name in FIRST_COLUMN.findall(text) if "." not in name] == list(manifest)
    rows = {FIRST_COLUMN.match(row)[1]: row for row in text.splitlines() if FIRST_COLUMN.match(row)}
    inside = {name: manifest[name] for name in ("problem", "settings", "policy")}
    for name, part in {
        **inside,
        "plugins": manifest["plugins"][0],
        "problem.space": manifest["problem"]["space"],
    }.items():
        assert [key for key in part if f"`{key}`" not in rows[name]] == []


def test_the_events_are_what_the_page_says():
    """A row for each kind, with the required and the optional fields of its body."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", section("The events"), re.MULTILINE)
    assert [kind for kind, _, _ in rows] == [kind.value for kind in events.EventKind]
    for kind, fields, told in rows:
        body = getattr(events, f"{kind.title()}Body")
        named = dict(re.findall(r"`(\w+)`(\??)", fields))
        assert list(named) == list(body.__annotations__)
        assert {name for name, mark in named.items() if mark} == body.__optional_keys__
        if kind == "imported":
            assert re.findall(r"`(\w+)`", told) == [
                name for name in events.ImportedTrial.__annotations__ if name not in events.ProposalBody.__annotations__
            ]
    assert all(f"`{name}`" in section("The events") for name in events.ProposalBody.__annotations__)
