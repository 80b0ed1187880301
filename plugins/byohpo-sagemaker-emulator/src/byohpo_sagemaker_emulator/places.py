"""Files that the emulator creates: in folders of its own, for its owner only."""

import os
import shutil
import tempfile
from pathlib import Path

from byohpo_sagemaker_emulator.errors import JobError

MARK = ".byohpo-emulator"


def make_jobs_folder(parent: Path | None) -> Path:
    """Make a new, marked folder for the jobs of one emulator: in *parent*, or among the temporary files.

    So nothing in it can be older than the emulator, and only what the emulator has made is ever deleted.
    """
    if parent is not None:
        make_folder(parent)
    folder = Path(tempfile.mkdtemp(prefix="byohpo-emulator-", dir=parent))
    folder.chmod(0o700)
    (folder / MARK).touch(0o600)
    return folder


def delete_jobs_folder(folder: Path) -> None:
    """Delete a folder that `make_jobs_folder` has made."""
    if (folder / MARK).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)


def make_private(folder: Path) -> None:
    """Take away everybody else's rights to a folder and all that is in it."""
    for place, _, files in os.walk(folder):
        Path(place).chmod(0o700)
        for name in files:
            file = Path(place, name)
            if not file.is_symlink():
                file.chmod(0o600 | (file.stat().st_mode & 0o100))


def inside(folder: Path, name: str) -> Path:
    """The path of *name* below a folder. Raises JobError if it leads out of the folder, or is the folder itself."""
    base, path = folder.resolve(), (folder / name).resolve()
    if path == base or not path.is_relative_to(base):
        raise JobError(f"ClientError: {name!r} would be written outside the folder {folder}; give it another name")
    return path
