"""Studies are read where nothing may be written, with the commits that SQLite has not moved into the file yet."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
from studies import event, eventful, outcome

from byohpo_core import JournalError
from byohpo_core.cli import main
from byohpo_core.journal import open_journal

UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
NOBODY = 65534


@pytest.fixture
def shelf():
    """A folder that everybody may read, with a journal whose driver died: its last commits are in the -wal."""
    with tempfile.TemporaryDirectory(prefix="byohpo-test-", dir="/tmp") as folder:
        path = Path(folder, "shelf")
        path.mkdir()
        with closing(open_journal("j.db")) as journal:
            eventful(journal="j.db").fit(job_name="s")
            log = journal.find("s")
            events = [*log.read()]
            with closing(open_journal("k.db")) as other:
                copied = other.take(log.record, events[:-20])
                other.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                copied.append(events[-20:])
                for suffix in ("", "-wal"):
                    shutil.copy(f"k.db{suffix}", path / f"j.db{suffix}")
                    (path / f"j.db{suffix}").chmod(0o644)
            Path(folder).chmod(0o755)
            yield path, outcome(log.study())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def in_mount(shelf, script):
    """Run Python where the folder is mounted read-only, in a mount namespace of its own."""
    inside = f'mount --bind "{shelf}" "{shelf}" && mount -o remount,ro,bind "{shelf}" && exec "$@"'
    command = [*UNSHARE, "sh", "-c", inside, "sh", sys.executable, "-P", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no mounts can be made here: {done.stderr}")
    return done


def test_a_read_only_mount_is_read(shelf):
    """`byohpo results` and `studies` print all that was committed, and leave no copy behind."""
    path, _ = shelf
    before = contents(path)
    script = f"""
        import os, sys, tempfile
        from byohpo_core.cli import main
        os.mkdir("copies")
        tempfile.tempdir = "copies"
        listed = main(["studies", "--journal", "{path}/j.db"])
        sys.exit(listed or main(["results", "s", "--journal", "{path}/j.db"]))
    """
    done = in_mount(path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert "max_jobs (16) reached" in done.stdout
    assert contents(path) == before
    assert not [*Path("copies").iterdir()]


def test_a_read_only_mount_is_not_written(shelf):
    """A driver, a stop and a repair end with one line."""
    path, _ = shelf
    for command in ("resume s --max-jobs 20", "repair"):
        script = f"""
            import sys
            from byohpo_core.cli import main
            sys.exit(main({[*command.split(), "--journal", f"{path}/j.db"]}))
        """
        done = in_mount(path, script)
        if command == "repair":
            assert (done.returncode, done.stdout) == (0, f"{path}/j.db is not damaged\n")
        else:
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert "Read-only file system" in line or "read-only" in line


def as_nobody(work, meanwhile=lambda: None):
    """Call a function in a forked process that is another user, another one here; give back whether it was true."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            tempfile.tempdir = "/tmp"
            code = 0 if work() else 3
        finally:
            os._exit(code)
    meanwhile()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "no wal"])
def test_another_user_reads_a_journal(shelf, wal):
    """Who may read the files but not write them or beside them; with and without commits in the -wal."""
    path, whole = shelf
    if not wal:
        with closing(open_journal(path / "j.db")) as journal:
            assert journal.find("s").last() > 0
        assert not (path / "j.db-wal").exists()
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    before = contents(path)

    def work():
        with closing(open_journal(path / "j.db")) as journal:
            return outcome(journal.find("s").study()) == whole and not os.access(path / "j.db", os.W_OK)

    assert as_nobody(work)
    assert contents(path) == before
    path.chmod(0o755)


@pytest.mark.parametrize("how", ["the WAL grows", "the WAL begins anew", "the file is written", "it is replaced"])
def test_another_user_is_told_what_the_owner_commits_later(how, shelf):
    """The private copy is made anew, for a new event and a new study; nothing is left of it."""
    path, _ = shelf
    owner = open_journal(path / "j.db")
    log = owner.find("s")
    count = log.last() + 1
    log.append([event(count, "launched", trials=[])])
    for file in (path / "j.db", path / "j.db-wal"):
        file.chmod(0o644)
    path.chmod(0o555)
    asked, committed = os.pipe(), os.pipe()

    def commit():
        os.read(asked[0], 1)
        path.chmod(0o755)
        if how == "the WAL begins anew":
            owner.database.connection.execute("PRAGMA wal_checkpoint(RESTART)")
        elif how == "it is replaced":
            owner.close()
            shutil.copy(path / "j.db", path / "new.db")
            (path / "new.db").rename(path / "j.db")
        log.append([event(count + 1, "launched", trials=[])])
        owner.create("t", {"format": 1})
        if how == "the file is written":
            owner.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.chmod(0o555)
        os.write(committed[1], b".")

    def work():
        folder = Path(tempfile.mkdtemp(dir="/tmp"))
        tempfile.tempdir = str(folder)
        with closing(open_journal(path / "j.db")) as journal:
            read = journal.find("s")
            before = (read.last(), journal.names())
            os.write(asked[1], b".")
            os.read(committed[0], 1)
            after = (read.last(), journal.names(), len([*read.read()]))
        left = [*folder.iterdir()]
        folder.rmdir()
        return (before, after, left) == ((count, ["s"]), (count + 1, ["s", "t"], count + 2), [])

    assert as_nobody(work, commit)
    path.chmod(0o755)
    owner.close()


def test_a_file_that_is_read_only_is_read_but_not_written(shelf):
    """Although its folder may be written to; the error names the file."""
    path, whole = shelf
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o777)

    def work():
        with closing(open_journal(path / "j.db")) as journal:
            same = outcome(journal.find("s").study()) == whole
            try:
                journal.create("t", {"format": 1})
            except JournalError as error:
                return same and "is read-only" in str(error)
        return False

    assert as_nobody(work)
    assert stat.S_IMODE((path / "j.db").stat().st_mode) == 0o444


def test_a_file_that_may_not_be_read_is_told(shelf):
    """In one line."""
    path, _ = shelf
    for file in path.iterdir():
        file.chmod(0o000)

    def work():
        with closing(open_journal(path / "j.db")) as journal:
            try:
                journal.find("s")
            except JournalError as error:
                return "Permission denied" in str(error)
        return False

    assert as_nobody(work)


@pytest.mark.parametrize("command", ["studies", "results", "resume", "stop", "repair", "trust", "pull"])
def test_a_journal_in_a_folder_of_another_user_is_refused_in_one_line(shelf, command, capfd):
    """Whoever may not look into its folder does not even know whether there is one."""
    path, _ = shelf
    path.chmod(0o700 if os.geteuid() == 0 else 0)
    words = [command] if command in ("studies", "repair") else [command, "s"]
    as_nobody(lambda: main([*words, "--journal", str(path / "j.db")]))
    path.chmod(0o755)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("byohpo: error: ")
    assert "Permission denied" in line


@pytest.mark.parametrize("command", ["studies", "results", "resume", "stop", "repair", "trust"])
def test_a_journal_whose_name_is_too_long_is_refused_in_one_line(tmp_path, command, capfd):
    words = [command] if command in ("studies", "repair") else [command, "s"]
    assert main([*words, "--journal", str(tmp_path / ("x" * 5000))]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "too long" in line
