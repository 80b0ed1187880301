"""`byohpo repair` puts a journal with all that is whole in the place of a damaged one."""

import io
import sqlite3
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from studies import JOURNAL, attach, byohpo, eventful, outcome, refused

from byohpo_core import JournalDamaged
from byohpo_core.cli import main
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


NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A journal of three studies, as bytes, and their events by id."""
    path = tmp_path_factory.mktemp("three") / JOURNAL
    for number, name in enumerate(NAMES):
        eventful(random_seed=number, max_jobs=4, max_parallel_jobs=2, journal=path).fit(job_name=name)
    return path.read_bytes(), events_by_id(path)


def events_by_id(path=JOURNAL):
    """The events in a journal."""
    with closing(open_journal(path)) as journal:
        return {log.id: [*log.read()] for log in journal.logs()}


def repaired(content, *, code=0):
    """What the command says of a damaged journal."""
    for path in Path().glob(f"{JOURNAL}*"):
        path.unlink()
    Path(JOURNAL).write_bytes(content)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        assert main(["repair", "--journal", JOURNAL]) == code
    return printed.getvalue().splitlines()


def changed(content, before, after):
    """The file with other bytes of the same length, also where SQLite has left a copy."""
    assert len(before) == len(after)
    assert before in content
    return content.replace(before, after)


def flipped(text, place, bit):
    """The text with one bit turned over."""
    place %= len(text)
    return text[:place] + bytes([text[place] ^ 1 << bit]) + text[place + 1 :]


def rows_with(study_id, events):
    """What comes after a study's id in a row of each table."""
    name = study_id.rpartition("-")[0]
    return {"studies": name.encode() + b'{"', "heads": bytes([len(events)]), "events": b"\5"}


FLIPS = {
    "no text": (0, 7),
    "no text at its end": (-1, 7),
    "a control character": (1, 6),
    "another letter": (2, 0),
    "a capital": (1, 5),
    "no name of a file": (-5, 1),  # the hyphen becomes a slash
}
"""Places and bits in an id."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table", ["studies", "heads", "events"])
def test_a_study_whose_id_is_damaged_is_restored(three, table, name):
    """The other tables have it too, and the checksums tell which rows belong to it. All other studies are whole."""
    content, before = three
    study_id = next(it for it in before if it.startswith(name))
    after = rows_with(study_id, before[study_id])[table]
    for what, flip in FLIPS.items():
        row = study_id.encode() + after
        told = repaired(changed(content, row, flipped(study_id.encode(), *flip) + after))
        assert events_by_id() == before, (what, told)
        assert [line.split(":")[1] for line in told[:-1]] == [f" whole, {len(it)} events" for it in before.values()]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_whose_name_is_damaged_is_restored(three, name):
    """Its id begins with the name."""
    content, before = three
    study_id = next(it for it in before if it.startswith(name)).encode()
    for place, bit in [(0, 7), (1, 0), (-1, 7), (2, 6)]:
        broken = flipped(name.encode(), place, bit)
        repaired(changed(content, study_id + name.encode() + b"{", study_id + broken + b"{"))
        assert events_by_id() == before
        with closing(open_journal(JOURNAL)) as journal:
            assert journal.names() == [*NAMES]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("broken", "reason"), [(b"[", "manifest"), (b"\xff", "manifest"), (b'{"F', "event 0")])
def test_a_study_whose_manifest_is_lost_is_told_of(three, name, broken, reason):
    """With its id and the number of its events; the others are whole."""
    content, before = three
    study_id = next(it for it in before if it.startswith(name))
    row = study_id.encode() + name.encode()
    start = content.index(row + b"{") + len(row)
    told = repaired(content[:start] + broken + content[start + len(broken) :])
    assert events_by_id() == {it: events for it, events in before.items() if it != study_id}
    (line,) = [line for line in told if "lost" in line]
    assert line.startswith(f"{study_id}: ")
    assert f" {len(before[study_id])} events" in line
    assert reason in line
    assert max(map(len, told)) <= 80


def test_a_journal_of_which_nothing_is_whole_stays(three):
    """Its studies are named, and what to do."""
    content, before = three
    for study_id in before:
        row = study_id.encode() + study_id.rpartition("-")[0].encode()
        content = changed(content, row + b"{", row + b"[")
    (line,) = repaired(content, code=2)
    assert all(word in line for word in (*before, "--mirror", "--journal"))
    assert Path(JOURNAL).read_bytes() == content


def test_a_journal_that_lost_all_but_its_beginning_names_its_studies(three):
    """Their manifests and events are gone, and what is left of their rows are the ids."""
    content, before = three
    (line,) = repaired(content[: 3 * 4096], code=2)
    assert all(study_id in line for study_id in before)


def test_a_table_whose_definition_is_no_text_is_told(three):
    """SQLite quotes it in its error. The other tables are enough to restore all studies."""
    content, before = three
    broken = changed(content, b"CREATE TABLE heads", b"CREATE T\xacBLE heads")
    Path(JOURNAL).write_bytes(broken)
    with closing(open_journal(JOURNAL)) as journal, pytest.raises(JournalDamaged, match="byohpo repair"):
        journal.logs()
    repaired(broken)
    assert events_by_id() == before


def test_a_journal_that_lost_its_end_is_repaired(three):
    """SQLite itself opens no such file."""
    content, before = three
    told = repaired(content[:-4096])
    after = events_by_id()
    assert [it for it in before if before[it] == after.get(it)]
    for study_id, events in before.items():
        kept = after.get(study_id, [])
        assert kept == events[: len(kept)]
        assert [line for line in told if study_id in line]
