"""The journal: an SQLite file of events."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from studies import event, rechain, tune

from byohpo_core import ContinuousParameter, JournalError, Simulated, Simulation, StudyBusy
from byohpo_core.cli import main
from byohpo_core.journal import open_journal


@pytest.fixture
def journal():
    """A journal in a file."""
    journal = open_journal("j.db")
    yield journal
    journal.close()


def job(hyperparameters):
    x = hyperparameters["x"]
    return Simulation([{"loss": x + 1}, {"loss": x}], 10 + x, "bad" if x > 0.9 else None, int(x < 0.1))


def fit(name="s", path="j.db", **options):
    options = {"max_jobs": 30, "objective_type": "Maximize", "early_stopping_type": "Auto", **options}
    return tune(Simulated(job), {"x": ContinuousParameter(0, 1)}, journal=path, job_name=name, **options)


def test_the_file_says_that_it_is_ours():
    """Application id and schema version, WAL."""
    fit()
    connection = sqlite3.connect("j.db")
    assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"byoh"),)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_commits_are_synchronous(journal):
    """`synchronous=FULL`: what is committed survives a power cut."""
    journal.create("s", {})
    assert journal.database.connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_an_empty_file_is_an_empty_journal():
    """As `touch` leaves it."""
    Path("j.db").touch()
    assert open_journal("j.db").logs() == []
    assert fit().jobs == 30


def test_events_come_back_as_they_were_written(journal):
    """Every float to the last digit, every text."""
    log = journal.create("s", {"a": [1, 2.5, "ü"]})
    assert journal.find("s").record == log.record
    body = {"trial": 0, "points": {"loss": [0, [0.1, 1e-300, 12345678901234567.0]]}, "text": "Größe\n"}
    events = [attrs.evolve(event(number, "reported", **body), time=0.1 * number) for number in range(3)]
    log.append(events)
    assert list(log.read()) == events
    assert log.event(1) == events[1]
    assert log.last("reported") == 2
    assert log.last("epoch") == -1


def test_a_sequence_number_is_written_once(journal):
    """A second writer is fenced, and nothing of its commit is kept."""
    log = journal.create("s", {})
    first = event(0, "stopped", reason="a")
    log.append([first])
    with pytest.raises(StudyBusy, match="another driver"):
        log.append([event(1, "stopped"), first])
    assert list(log.read()) == [first]


def test_a_curve_is_of_the_last_attempt(journal):
    """A retried trial reports from the beginning again."""
    log = journal.create("s", {})
    bodies = [("loss", [0, [5, 4]]), ("other", [0, [1]]), ("loss", [2, [3]]), ("loss", [0, [9, 8]])]
    for sequence, (metric, points) in enumerate(bodies):
        log.append([event(sequence, "reported", trial=7, points={metric: points})])
    assert log.curve(7, "loss", 4) == (9, 8)
    assert log.curve(7, "loss", 3) == (5, 4, 3)
    assert log.curve(7, "other", 4) == (1,)
    assert log.curve(8, "loss", 4) == ()


def test_studies_of_one_journal_are_apart():
    """Names are unique, ids begin with the name, and each has its own events."""
    first, second = fit("a"), fit("b", random_seed=2)
    journal = open_journal("j.db")
    assert [log.name for log in journal.logs()] == ["a", "b"]
    assert first.id.startswith("a-")
    assert first.id != second.id
    assert journal.find(first.id).study().best == first.best
    journal.close()


def test_a_file_that_vanishes_is_told(journal):
    """The error names the journal."""
    log = journal.create("s", {})
    journal.close()
    Path("j.db").unlink()
    with pytest.raises(JournalError, match=r"journal j\.db"):
        log.append([])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("kind = 'dreamt'", "'dreamt', version 1"),
        (f"version = {event(0, 'stopped').version + 1}", f"'finished', version {event(0, 'stopped').version + 1}"),
    ],
    ids=["kind", "version"],
)
def test_what_a_newer_release_has_written_is_refused(change, told, journal):
    """With the way out, not misread."""
    study = fit()
    with closing(sqlite3.connect("j.db")) as connection, connection:
        connection.execute(f"UPDATE events SET {change} WHERE kind = 'finished' AND trial = 3")
    rechain("j.db")
    with pytest.raises(JournalError, match=f"{told}.*newer byohpo.*pip install --upgrade"):
        journal.find(study.id).study()


def test_a_file_that_cannot_be_read_to_its_end_is_told(journal):
    """Also where the fault comes after the first rows."""
    log = journal.create("s", {"format": 1})
    for number in range(0, 2000, 100):
        log.append([event(number + it, "stopped", reason=f"{number + it:0300}") for it in range(100)])
    journal.close()
    with Path("j.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    with pytest.raises(JournalError, match=r"journal j.db: .*malformed"):
        list(log.read())


def test_threads_that_create_a_journal_at_once_all_find_it(tmp_path):
    """Each reads a file that another is just turning into a journal: it is empty or ours, never somebody else's."""
    for number in range(25):
        path = tmp_path / f"{number}.db"
        together = threading.Barrier(8)

        def create(name, path=path, together=together):
            together.wait()
            journal = open_journal(path)
            journal.create(f"s{name}", {"format": 1})
            journal.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(create, range(8)))
        with closing(open_journal(path)) as journal:
            assert len(journal.logs()) == 8


def test_threads_that_open_a_journal_at_once_open_it_once(journal, monkeypatch):
    """A second connection would lack the settings of the first, and leave it to whoever uses it at this moment."""
    journal.create("s", {})
    connect, opened = sqlite3.connect, []
    other = threading.Thread(target=lambda: opened.append(again.names()))

    def slow(*arguments, **settings):
        opened.append("connection")
        if not other.ident:
            other.start()
            other.join(0.2)  # it waits for its turn
        return connect(*arguments, **settings)

    monkeypatch.setattr(sqlite3, "connect", slow)
    with closing(open_journal(journal.path)) as again:
        assert again.names() == ["s"]
        other.join()
    assert opened == ["connection", ["s"]]


def test_a_reader_that_has_not_finished_keeps_nobody_from_writing(journal):
    """Not even where somebody else has committed since it began."""
    log = journal.create("s", {})
    log.append([event(number, "launched", trials=[]) for number in range(300)])
    read = log.read()
    next(read)
    with closing(open_journal(journal.path)) as other:
        other.create("other", {})
    log.append([event(300, "launched", trials=[])])
    assert len([*read]) == 299


def test_threads_share_a_journal(journal):
    """Some read while one commits: SQLite's connection, and a statement that was prepared for it, serve one at once."""
    log = journal.create("s", {})
    ended = threading.Event()

    def read(_):
        while not ended.is_set():
            count = log.last() + 1
            assert [event.sequence for event in log.read()][:count] == [*range(count)]
            journal.names()

    def write():
        try:
            for number in range(150):
                log.append([event(2 * number + i, "launched", trials=[]) for i in range(2)])
        finally:
            ended.set()

    with ThreadPoolExecutor(4) as pool:
        readers = pool.map(read, range(3))
        pool.submit(write).result()
        list(readers)
    assert log.last() == 299


def replace(source, target):
    """Put a journal in the place of another one, as `byohpo repair` does."""
    for suffix in ("-wal", "-shm"):
        Path(f"{target}{suffix}").unlink(missing_ok=True)
    Path(source).rename(target)


def test_a_file_that_is_replaced_while_it_is_read_is_read_to_its_end(journal):
    """The next question is about the new file; the one that is being answered is about the old one."""
    log = journal.create("s", {})
    log.append([event(number, "launched", trials=[]) for number in range(1500)])
    with closing(open_journal("new.db")) as other:
        other.take(log.record, [*log.read()][:10])
    read = log.read()
    next(read)
    replace("new.db", "j.db")
    assert log.last() == 1499
    assert len([*read]) == 1499
    assert log.last() == 9


def test_a_journal_is_found_again_after_a_change_of_the_working_folder(journal, tmp_path, monkeypatch):
    """Also where its file was replaced."""
    log = journal.create("s", {})
    log.append([event(0, "launched", trials=[])])
    with closing(open_journal("new.db")) as other:
        other.take(log.record, [])
    replace("new.db", "j.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert log.last() == -1


@pytest.mark.parametrize("command", [["studies"], ["results", "s"], ["resume", "s"], ["stop", "s"], ["repair"]])
def test_a_file_whose_creator_died_before_its_tables_is_no_journal_yet(tmp_path, command, monkeypatch, capfd):
    """Nothing was in it, so nothing is damaged; the next study makes the tables."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("byohpo.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert Path("byohpo.db").stat().st_size > 0
    code = main([*command, "--journal", "byohpo.db"])
    told = capfd.readouterr()
    assert "damaged: " not in told.out + told.err
    assert code == (2 if "s" in command else 0)
    assert open_journal("byohpo.db").names() == []
    tune(journal="byohpo.db", job_name="s")
    assert open_journal("byohpo.db").names() == ["s"]


@pytest.mark.parametrize("command", ["results", "resume", "stop", "trust"])
def test_a_manifest_that_was_changed_is_damage_and_no_other_release(command, capfd):
    """The checksums tell; to upgrade would not help."""
    fit()
    with closing(sqlite3.connect("j.db")) as connection, connection:
        connection.execute("UPDATE studies SET manifest = replace(manifest, '\"objectives\"', '\"objectivez\"')")
    assert main([command, "s", "--journal", "j.db"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "damaged" in line
    assert "pip install" not in line
