"""Files and folders that only their owner can read, and their group if they are shared, whatever the umask is."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from byohpo_core.files import file_mode, folder_mode, read_start, rename


def create_empty(path: Path, *, shared: bool = False) -> None:
    """Create a file, unless there is something of this name, such as a link."""
    with suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode())
        os.fchmod(file, file_mode(shared=shared))
        os.close(file)


def write_durably(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a file atomically; it and its name are on disk when this returns."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode()), "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
        os.fchmod(file.fileno(), file_mode(shared=shared))
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    rename(temporary, path)


def read_small(path: Path, most: int = 65536) -> str | None:
    """Return the text of a plain file; None if it is something else, too long, not UTF-8 or cannot be read.

    Raises `OSError` if it may be read later.
    """
    content = read_start(path, most + 1)
    try:
        return None if content is None or len(content) > most else content.decode()
    except UnicodeDecodeError:
        return None


def set_modes(folder: Path, *, shared: bool = False, but: Path | None = None) -> None:
    """Give all that is in a folder, *but* one file, the modes of what byohpo creates; links are not followed.

    A file that its owner can execute stays so.
    """
    for place, _, names in os.walk(folder):
        Path(place).chmod(folder_mode(shared=shared))
        for path in (Path(place, name) for name in names):
            if not path.is_symlink() and path != but:
                executable = path.stat().st_mode & stat.S_IXUSR
                path.chmod(file_mode(shared=shared) | (folder_mode(shared=shared) & 0o111 if executable else 0))


def local_path(place: str) -> Path:
    """The absolute path of a channel that is a folder or file on this machine."""
    return Path(place.removeprefix("file://")).absolute()
