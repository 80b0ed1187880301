"""Each event has a checksum that covers all before it; damage is told, and old journals are upgraded by writing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from studies import attach, byohpo, event, eventful, outcome, refused

from byohpo_core import JournalDamaged, JournalError, StudyBusy
from byohpo_core.journal import open_journal

OLD = Path(__file__).with_name("released") / "0.1.0.db"


@pytest.fixture
def journal():
    """A journal in a file."""
    with closing(open_journal("j.db")) as journal:
        yield journal


def execute(statement, *parameters, path="j.db"):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, parameters).fetchall()


def written(journal, count=6):
    """A log with some events, a few of them reports of trial 1."""
    log = journal.create("s", {"format": 1})
    for number in range(count):
        log.append([event(number, "reported", trial=1, points={"loss": [number, [0.5 * number]]})])
    return log


def read_all(reading):
    """Open the journal again and read each of its studies."""
    with closing(open_journal("j.db")) as journal:
        for log in journal.logs():
            reading(log)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = replace(body, '1.5', '1.6') WHERE sequence = 3",
        "UPDATE events SET trial = 2 WHERE sequence = 3",
        "UPDATE events SET kind = 'stopped' WHERE sequence = 3",
        "UPDATE events SET time = 3.5 WHERE sequence = 3",
        "UPDATE events SET version = 0 WHERE sequence = 3",
        "UPDATE events SET checksum = zeroblob(16) WHERE sequence = 3",
        "DELETE FROM events WHERE sequence = 3",
        "DELETE FROM events WHERE sequence >= 3",
        "DELETE FROM heads",
        "UPDATE heads SET count = count + 1",
        "UPDATE heads SET checksum = zeroblob(16)",
        "UPDATE studies SET manifest = '{\"format\":2}'",
        "UPDATE studies SET manifest = '{'",
        "UPDATE studies SET name = 't'",
        "DELETE FROM studies",
    ],
)
def test_any_change_is_told(statement, journal):
    """When the journal is opened again, whatever is read first."""
    written(journal)
    journal.close()
    execute(statement)
    readings = [
        lambda log: [*log.read()],
        lambda log: log.event(0),
        lambda log: log.last(),
        lambda log: log.curve(1, "loss", 6),
        lambda log: log.append([event(6, "stopped", reason="x")]),
    ]
    for reading in readings:
        with pytest.raises(JournalDamaged, match=r"^journal j\.db: .*byohpo repair --journal j\.db"):
            read_all(reading)


def test_the_row_that_is_returned_is_verified(journal):
    """Also after all was verified, since a disk may fail at any time."""
    log = written(journal)
    assert log.last() == 5
    execute("UPDATE events SET body = replace(body, '1.5', '1.6') WHERE sequence = 3")
    for reading in (lambda: [*log.read()], lambda: log.event(3), lambda: log.curve(1, "loss", 6)):
        with pytest.raises(JournalDamaged, match="event 3"):
            reading()
    assert log.event(2).sequence == 2


def test_readers_follow_a_driver(journal):
    """A log that was read verifies what another process has written since."""
    log = written(journal)
    with closing(open_journal("j.db")) as other:
        reader = other.find("s")
        assert reader.last() == 5
        log.append([event(6, "stopped", reason="x")])
        assert reader.last() == 6
        execute("UPDATE events SET kind = 'dreamt' WHERE sequence = 6")
        execute("UPDATE heads SET count = 7")
        log.append([event(7, "stopped", reason="x")])
        with pytest.raises(JournalDamaged, match="event 6"):
            [*reader.read()]


def test_a_gap_is_not_written(journal):
    """A driver writes the next event or none."""
    log = written(journal)
    with pytest.raises(StudyBusy):
        log.append([event(7, "stopped", reason="x")])
    with pytest.raises(StudyBusy):
        log.append([event(6, "stopped", reason="x"), event(8, "stopped", reason="x")])
    assert log.last() == 5


def test_reading_an_old_journal_leaves_it_as_it_is():
    """Not one byte changes, so the old release can still write it."""
    Path("old.db").write_bytes(OLD.read_bytes())
    assert attach("s", journal="old.db").study.jobs == 10
    assert byohpo("studies", "--journal", "old.db").returncode == 0
    assert Path("old.db").read_bytes() == OLD.read_bytes()


def test_the_first_append_upgrades_an_old_journal():
    """Its new head covers all old events, and says so if one of them changes later."""
    Path("old.db").write_bytes(OLD.read_bytes())
    with closing(open_journal("old.db")) as journal:
        log = journal.find("s")
        before = [*log.read()]
        added = event(len(before), "stopped", reason="x")
        log.append([added])
        assert [*log.read()] == [*before, added]
    assert execute("PRAGMA user_version", path="old.db") == [(2,)]
    with closing(open_journal("old.db")) as journal:
        assert [*journal.find("s").read()] == [*before, added]
    execute("UPDATE events SET time = time + 1 WHERE sequence = 2", path="old.db")
    with closing(open_journal("old.db")) as journal, pytest.raises(JournalDamaged):
        journal.find("s").last()


def test_a_reader_of_an_old_journal_follows_its_upgrade():
    """It began to read before another process wrote."""
    Path("old.db").write_bytes(OLD.read_bytes())
    with closing(open_journal("old.db")) as early, closing(open_journal("old.db")) as late:
        reader, writer = early.find("s"), late.find("s")
        count = reader.last() + 1
        writer.append([event(count, "stopped", reason="x")])
        assert reader.last() == count
        assert len([*reader.read()]) == count + 1


def test_a_hole_in_an_old_journal_is_told():
    """It has no checksums, but its events have numbers."""
    Path("old.db").write_bytes(OLD.read_bytes())
    execute("DELETE FROM events WHERE sequence = 7", path="old.db")
    assert refused(byohpo("results", "s", "--journal", "old.db"), "event 7", "missing")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE events SET body = '{}' WHERE sequence = 1", "lacks answer, count, plugin"),
        ("UPDATE events SET body = '[]' WHERE sequence = 1", "lacks answer, count, plugin"),
        ("UPDATE events SET body = '{' WHERE sequence = 1", "event 1"),
        ("UPDATE events SET body = json_set(body, '$.trial', 99) WHERE kind = 'finished'", "IndexError"),
        ("UPDATE studies SET manifest = json_remove(manifest, '$.policy')", "KeyError: 'policy'"),
        ("UPDATE studies SET manifest = json_set(manifest, '$.policy.later', 1)", "later"),
        ("UPDATE studies SET manifest = json_remove(manifest, '$.problem.space')", "KeyError: 'space'"),
        ("UPDATE studies SET manifest = json_set(manifest, '$.plugins[0].later', 1)", "later"),
        ("UPDATE studies SET manifest = json_set(manifest, '$.settings', 1)", "TypeError"),
        ("UPDATE studies SET manifest = '{}'", "KeyError"),
        ("UPDATE studies SET manifest = '[]'", "manifest"),
    ],
)
def test_what_another_release_wrote_differently_is_told(change, told):
    """Keys that are missing or unknown give one line and no traceback."""
    Path("old.db").write_bytes(OLD.read_bytes())
    execute(change, path="old.db")
    command = "results" if "events" in change else "resume"
    assert refused(byohpo(command, "s", "--journal", "old.db"), told)
    assert "Traceback" not in byohpo("studies", "--journal", "old.db").stderr


def test_a_study_of_a_newer_release_hides_no_other():
    """`byohpo studies` lists both, and says what to do about the one."""
    for name in ("a", "b"):
        eventful(max_jobs=4, journal="j.db").fit(job_name=name)
    Path("old.db").write_bytes(OLD.read_bytes())
    execute(
        "INSERT INTO studies SELECT 'new-abcd', 'new', json_set(manifest, '$.format', 9) FROM studies", path="old.db"
    )
    done = byohpo("studies", "--journal", "old.db")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert "pip install --upgrade byohpo-core" in first
    assert "10/12 jobs" in second


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_journal_that_goes_away_under_a_driver_is_noticed(how, monkeypatch):
    """At the next commit; nothing more is launched, and the events are kept in a file that can be resumed."""
    whole = outcome(eventful(journal="whole.db").fit(job_name="s"))
    eventful(journal="other.db").fit(job_name="s")
    left = 6
    log = type(open_journal("whole.db").find("s"))
    append = log.append

    def append_and_lose(self, events):
        nonlocal left
        append(self, events)
        left -= 1
        if left == 0:
            Path("j.db").unlink()
            if how == "replaced":
                Path("other.db").rename("j.db")

    monkeypatch.setattr(log, "append", append_and_lose)
    run = eventful(journal="j.db").fit
    with pytest.raises(
        JournalError, match=r"^journal j\.db was deleted or replaced .* are kept in .*\.saved"
    ) as raised:
        run(job_name="s")
    monkeypatch.setattr(log, "append", append)
    saved = str(raised.value).partition("kept in ")[2].partition(":")[0]
    assert Path(saved).stat().st_mode & 0o777 == 0o600
    for beside in Path().glob("j.db-*"):
        beside.unlink()
    Path(saved).rename("j.db")
    assert outcome(attach(journal="j.db").resume()) == whole


def test_a_start_among_many_studies_reads_none_of_them(journal):
    """The first free name is found without their manifests."""
    big = {"format": 1, "more": "x" * 20_000}
    for number in range(1, 60):
        journal.create(f"s-{number}", big)
    read = []
    journal.database.connection.set_trace_callback(read.append)
    assert journal.create_numbered("s", big).name == "s-60"
    assert not [it for it in read if it.startswith("SELECT") and "manifest" in it]
