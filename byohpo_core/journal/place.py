"""Paths of journals: the default path, the files beside a journal, and commands that name it."""

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

MEMORY = ":memory:"
DEFAULT = "byohpo.db"
NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "davfs"),
        *("lustre", "ceph", "gpfs", "gfs", "gfs2", "ocfs2", "glusterfs", "beegfs", "beegfs_nodev", "fhgfs", "panfs"),
        *("pvfs2", "orangefs", "wekafs", "quobyte", "moosefs", "juicefs"),
        *("vboxsf", "vmhgfs", "prl_fs", "virtiofs", "drvfs", "fakeowner", "hgfs", "shfs", "fuse", "osxfs", "grpcfuse"),
    }
)
"""As the kernel names them: network, cluster, and folders shared with a virtual machine; `fuse` is every `fuse.*`."""


def journal_files(study_id: str, names: Iterable[str]) -> set[str]:
    """Return a folder's files that belong to the journal of a running study: the database, locks, logs and so on."""
    names = set(names)
    lock = f".{study_id}.lock"
    for journal in [name.removesuffix(lock) for name in names if name.endswith(lock)]:
        ours = re.compile(rf"{re.escape(journal)}(-wal|-shm|-journal|\..+\.(lock|stop|log|saved|damaged)(-\w+)*)?")
        return {name for name in names if ours.fullmatch(name)}
    return set()


def beside(journal: str, study_id: str, what: str) -> Path:
    """Return the path of a study's lock, stop request or other file beside its journal."""
    return Path(f"{os.path.realpath(journal)}.{study_id}.{what}")


def is_on_network(path: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """True if the file is on a network file system, where the WAL mode of SQLite does not work."""
    if not mounts.exists():
        return False
    place, kind = "", ""
    target = os.path.realpath(path)
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        # A space in a path is written as \040, and so on (man 5 fstab).
        _, mount, file_system = (re.sub(r"\\([0-7]{3})", _character, word) for word in line.split(" ")[:3])
        if len(mount) >= len(place) and (target == mount or target.startswith(mount.rstrip("/") + "/")):
            place, kind = mount, file_system
    return kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")


def _character(octal: re.Match[str]) -> str:
    return chr(int(octal[1], 8))


def command(journal: str, *words: str) -> str:
    """Return a shell command of `byohpo`, with `--journal` unless the journal is the default one."""
    # In one word if it would be taken for another option.
    place = [f"--journal={journal}"] if journal.startswith("-") else ["--journal", journal]
    return shlex.join(["byohpo", *words, *([] if is_default(journal) else place)])


def is_default(journal: str) -> bool:
    """True if this is the journal that commands use by default."""
    return journal == default_journal()


def default_journal() -> str:
    """Return `BYOHPO_JOURNAL` or, if it is not set, `byohpo.db` in the working folder."""
    return os.environ.get("BYOHPO_JOURNAL") or DEFAULT
