"""Paths of journals: the default path, the files beside a journal, and commands that name it."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

MEMORY = ":memory:"
DEFAULT = "byohpo.db"
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "9p", "afs", "ceph"})


def journal_files(study_id: str, names: Iterable[str]) -> set[str]:
    """Return a folder's files that belong to the journal of a running study: the database, locks, logs and so on."""
    names = set(names)
    lock = f".{study_id}.lock"
    for journal in [name.removesuffix(lock) for name in names if name.endswith(lock)]:
        ours = re.compile(rf"{re.escape(journal)}(-wal|-shm|-journal|\..+\.(lock|stop|log))?")
        return {name for name in names if ours.fullmatch(name)}
    return set()


def is_on_network(path: Path) -> bool:
    """True if the file is on a network file system, where the WAL mode of SQLite does not work."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return False
    place, kind = "", ""
    target = os.path.realpath(path)
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, file_system = line.split(" ")[:3]
        if len(mount) >= len(place) and (target == mount or target.startswith(mount.rstrip("/") + "/")):
            place, kind = mount, file_system
    return kind in NETWORK_FILE_SYSTEMS


def command(journal: str, *words: str) -> str:
    """Return a shell command of `byohpo`, with `--journal` unless the journal is the default one."""
    return " ".join(["byohpo", *words, *([] if is_default(journal) else ["--journal", shlex.quote(journal)])])


def is_default(journal: str) -> bool:
    """True if this is the journal that commands use by default."""
    return journal == default_journal()


def default_journal() -> str:
    """Return `BYOHPO_JOURNAL` or, if it is not set, `byohpo.db` in the working folder."""
    return os.environ.get("BYOHPO_JOURNAL") or DEFAULT
