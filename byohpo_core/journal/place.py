"""Where a journal is: the default one, the files beside it, and the command line that names it."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

MEMORY = ":memory:"
DEFAULT = "byohpo.db"
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "9p", "afs", "ceph"})


def journal_files(study_id: str, names: Iterable[str]) -> set[str]:
    """Which of a folder's files are the journal of a study that is being driven, SQLite's, and locks and logs."""
    names = set(names)
    lock = f".{study_id}.lock"
    for journal in [name.removesuffix(lock) for name in names if name.endswith(lock)]:
        ours = re.compile(rf"{re.escape(journal)}(-wal|-shm|-journal|\..+\.(lock|stop|log))?")
        return {name for name in names if ours.fullmatch(name)}
    return set()


def is_on_network(path: Path) -> bool:
    """Whether the file lies on a network file system, where SQLite's WAL does not work."""
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
    """A command for a shell; a journal that it would not find by itself is named."""
    return " ".join(["byohpo", *words, *([] if is_default(journal) else ["--journal", shlex.quote(journal)])])


def is_default(journal: str) -> bool:
    """Whether this journal is used where none is named."""
    return journal == default_journal()


def default_journal() -> str:
    """`BYOHPO_JOURNAL` or, without it, `byohpo.db` in the working folder."""
    return os.environ.get("BYOHPO_JOURNAL") or DEFAULT
