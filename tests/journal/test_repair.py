"""`byohpo repair` puts a journal with all that is whole in the place of a damaged one."""

import sqlite3
from contextlib import closing
from pathlib import Path

from studies import JOURNAL, attach, byohpo, eventful, outcome, refused

from byohpo_core.journal import open_journal


def damage(name, sequence):
    """Change one event of a study, as a disk might."""
    with closing(sqlite3.connect(JOURNAL)) as connection, connection:
        connection.execute(
            "UPDATE events SET time = time + 1 WHERE study = (SELECT id FROM studies WHERE name = ?) AND sequence = ?",
            (name, sequence),
        )


def test_the_events_before_the_damage_are_restored(tmp_path):
    """The study goes on from there, and the other study is untouched; the damaged file is kept."""
    before = outcome(eventful().fit(job_name="s"))
    other = outcome(eventful(random_seed=4).fit(job_name="other"))
    damage("s", 40)
    told = byohpo("results", "s", "--journal", JOURNAL)
    assert refused(told, "event 40", "events 0 to 39 are whole", f"`byohpo repair --journal {JOURNAL}`")
    done = byohpo("repair", "--journal", JOURNAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "its first 40 events" in done.stdout
    assert "other" in done.stdout
    assert f"kept as {JOURNAL}.damaged" in done.stdout
    assert Path(f"{JOURNAL}.damaged").exists()
    assert outcome(attach("other").study) == other
    assert outcome(attach("s").resume()) == before
    assert byohpo("repair", "--journal", JOURNAL).stdout == f"{JOURNAL} is not damaged\n"
    assert not [path for path in tmp_path.iterdir() if "repaired" in path.name]


def test_a_damaged_study_hides_no_other():
    """`byohpo studies` lists all, says of one that it is damaged, and ends with an error."""
    eventful().fit(job_name="s")
    eventful(random_seed=4).fit(job_name="other")
    damage("s", 3)
    done = byohpo("studies", "--journal", JOURNAL)
    assert done.returncode == 2
    first, second = done.stdout.splitlines()
    assert "max_jobs (16) reached" in first
    assert "event 3" in second


def test_a_page_that_is_lost_is_repaired():
    """SQLite itself finds such a file damaged; what it can still read is restored."""
    eventful().fit(job_name="s")
    with closing(open_journal(JOURNAL)) as journal:
        events = [*journal.find("s").read()]
    with Path(JOURNAL).open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(size - 4096)
        file.write(bytes(4096))
    assert refused(byohpo("results", "s", "--journal", JOURNAL), "byohpo repair")
    assert byohpo("repair", "--journal", JOURNAL).returncode == 0
    with closing(open_journal(JOURNAL)) as journal:
        restored = [*journal.find("s").read()]
    assert restored == events[: len(restored)]


def test_a_study_is_not_repaired_under_its_driver():
    """The driver would write into the file that is put away."""
    eventful().fit(job_name="s")
    damage("s", 3)
    with closing(open_journal(JOURNAL)) as journal, journal.find("s").hold():
        assert refused(byohpo("repair", "--journal", JOURNAL), "is being driven")
    assert not Path(f"{JOURNAL}.damaged").exists()


def test_a_reader_is_told_what_a_repair_has_restored():
    """So is a Tuner whose study has ended: each question is answered from the file that is at the path."""
    ended = eventful()
    whole = outcome(ended.fit(job_name="s"))
    attached = attach()
    count = attached.study.sequence
    damage("s", 40)
    assert byohpo("repair", "--journal", JOURNAL).returncode == 0
    assert (attached.study.sequence, ended.study.sequence) == (40, 40) != (count, count)
    assert outcome(attached.resume()) == outcome(ended.study) == whole
    assert not [*Path().glob("*.saved*")]


def test_a_study_that_starts_after_a_repair_is_in_the_repaired_journal():
    """Although the journal was open before."""
    tuner = eventful(max_jobs=4)
    tuner.fit(job_name="s")
    damage("s", 3)
    assert byohpo("repair", "--journal", JOURNAL).returncode == 0
    tuner.fit(job_name="t")
    assert attach("t").study.jobs == 4


def test_the_mode_of_the_file_stays():
    """Who could read the journal still can."""
    eventful().fit(job_name="s")
    Path(JOURNAL).chmod(0o640)
    damage("s", 3)
    assert byohpo("repair", "--journal", JOURNAL).returncode == 0
    assert Path(JOURNAL).stat().st_mode & 0o777 == 0o640


def test_there_must_be_a_journal():
    """Nothing is created."""
    assert refused(byohpo("repair", "--journal", "none.db"), "none.db does not exist")
    assert not Path("none.db").exists()
