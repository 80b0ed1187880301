"""What the jobs of a study run, and the copy of its source that they run it from."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from byohpo_core.backends.local.files import set_modes
from byohpo_core.errors import ByohpoError
from byohpo_core.files import create_folder, rename, sync_tree
from byohpo_core.journal.place import journal_files

_NOT_SOURCE = shutil.ignore_patterns(".git", "__pycache__", "*.pyc", ".venv", "byohpo-jobs")


@attrs.frozen(kw_only=True)
class Program:
    """A script, its source, its interpreter and its environment."""

    script: Path
    """The absolute path of the script."""
    source_dir: str | None
    """The folder that is copied; without one, the script alone is."""
    script_in_source: str
    """The path of the script in the copy."""
    python: str
    environment: Mapping[str, Any]
    """Strings, or the marks of secrets."""
    stop_grace_seconds: float

    def copy_source(self, target: Path, study_id: str, *, shared: bool) -> None:
        """Copy the source to a new folder, atomically and to disk, without the study's own files."""
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            create_folder(target.parent, shared=shared)
            shutil.rmtree(temporary, ignore_errors=True)
            if self.source_dir is not None:
                shutil.copytree(self.source_dir, temporary, symlinks=True, ignore=_not_source(study_id))
            else:
                create_folder(temporary)
                shutil.copy(self.script, temporary)
            set_modes(temporary, shared=shared)
            sync_tree(temporary)
            rename(temporary, target)
        except (OSError, shutil.Error) as error:
            raise ByohpoError(f"cannot copy the training script's source to {target}: {error}") from error


def _not_source(study_id: str) -> Callable[[str, list[str]], Iterable[str]]:
    return lambda folder, names: _NOT_SOURCE(folder, names) | journal_files(study_id, names)
