"""Others on the machine: who may read what a journal holds, and links that lead elsewhere."""

import os
import sys
from contextlib import closing
from pathlib import Path

import pytest
from studies import attach, byohpo, event, eventful, refused

from byohpo_core import ByohpoError, JournalError, files
from byohpo_core.journal import open_journal


def mode(path):
    return Path(path).stat().st_mode & 0o777


def test_what_is_created_is_for_its_owner_only(tmp_path):
    """The journal, its WAL and shared memory, the lock and the request to stop, whatever the umask."""
    before = os.umask(0)
    try:
        with closing(open_journal("j.db")) as journal:
            log = journal.create("s", {"format": 1})
            log.request_stop()
            with log.hold():
                log.append([event(0, "stopped", reason="x")])
                found = {path.name: mode(path) for path in tmp_path.iterdir()}
            log.request_stop()
            assert mode(f"j.db.{log.id}.stop") == 0o600
    finally:
        os.umask(before)
    assert found == dict.fromkeys(["j.db", "j.db-wal", "j.db-shm", f"j.db.{log.id}.lock"], 0o600)


def test_a_mode_that_was_set_stays(caplog):
    """A journal that a group may read is theirs to read; where others may write, a warning says so."""
    with closing(open_journal("j.db")) as journal:
        log = journal.create("s", {"format": 1})
    Path("j.db").chmod(0o644)
    with closing(open_journal("j.db")) as journal:
        journal.find("s").append([event(0, "stopped", reason="x")])
    assert mode("j.db") == 0o644
    assert not caplog.records
    Path("j.db").chmod(0o666)
    Path(f"j.db.{log.id}.lock").touch()
    Path(f"j.db.{log.id}.lock").chmod(0o660)
    with closing(open_journal("j.db")) as journal, journal.find("s").hold():
        journal.find("s").append([event(1, "stopped", reason="x")])
    assert mode("j.db") == 0o666
    lock = os.path.realpath(f"j.db.{log.id}.lock")
    assert [record.getMessage() for record in caplog.records] == [
        f"others may write to {lock}: chmod go-w {lock}",
        "others may write to j.db: chmod go-w j.db",
    ]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_a_link_in_the_place_of_a_journal_is_not_followed(suffix):
    """Neither to a file that exists nor to one that does not; what it leads to stays as it is."""
    eventful(journal="j.db", max_jobs=4).fit(job_name="s")
    Path("precious").write_text("precious")
    for target in ("precious", "missing"):
        Path(f"j.db{suffix}").unlink(missing_ok=True)
        Path(f"j.db{suffix}").symlink_to(target)
        for command in (["results", "s"], ["resume", "s"], ["studies"]):
            assert refused(byohpo(*command, "--journal", "j.db"), f"j.db{suffix} is a symbolic link")
    assert Path("precious").read_text() == "precious"
    assert not Path("missing").exists()


def test_a_link_in_the_place_of_a_lock_is_not_followed():
    """The target was emptied."""
    study = eventful(journal="j.db", max_jobs=4).fit(job_name="s")
    for what in ("lock", "stop"):
        Path("precious").write_text("precious")
        link = Path(f"j.db.{study.id}.{what}")
        link.unlink(missing_ok=True)
        link.symlink_to(Path("precious").absolute())
        if what == "lock":
            with pytest.raises(ByohpoError, match="is a symbolic link"):
                attach(journal="j.db").resume()
        else:
            with closing(open_journal("j.db")) as journal, pytest.raises(ByohpoError, match="is a symbolic link"):
                journal.find("s").request_stop()
        link.unlink()
        assert Path("precious").read_text() == "precious"


def test_folders_may_be_links(tmp_path):
    """Only the last part of a path is looked at."""
    (tmp_path / "real").mkdir()
    Path("link").symlink_to("real")
    assert eventful(journal="link/j.db", max_jobs=4).fit(job_name="s").jobs == 4
    assert attach(journal="link/j.db").resume().jobs == 4
    assert Path("real/j.db").exists()


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_is_refused(kind):
    """Opening a pipe would wait for ever."""
    path = "/dev/null"
    if kind == "fifo":
        os.mkfifo("pipe")
        path = "pipe"
    with pytest.raises(JournalError, match="is not a file"):
        open_journal(path).create("s", {"format": 1})


def test_folders_are_created_for_their_owner_only(tmp_path):
    """With their missing parents; those that exist keep their modes."""
    before = mode(tmp_path)
    files.create_folder(Path("a/b/c").absolute())
    files.create_folder(Path("a/b/c").absolute())
    assert [mode(path) for path in ("a", "a/b", "a/b/c")] == [0o700] * 3
    assert mode(tmp_path) == before


def test_a_rename_is_on_disk(tmp_path):
    """The folder is written to disk too."""
    Path("a").write_text("new")
    Path("b").write_text("old")
    opened = []
    sys.addaudithook(lambda name, given: opened.append(str(given[0])) if name == "open" else None)
    files.rename("a", "b")
    assert Path("b").read_text() == "new"
    assert str(tmp_path) in opened
