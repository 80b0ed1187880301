"""A driver in a process of its own, which goes on when the program that started it has ended: `fit(wait=False)`."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from byohpo_core.backends import Estimator, restore_estimator
from byohpo_core.backends.importable import is_importable, qualified_name
from byohpo_core.checks import command, is_default
from byohpo_core.errors import InvalidInput
from byohpo_core.journal import MEMORY, Journal, StudyRecord
from byohpo_core.plugins import ALGORITHMS, Found


def tied(estimator: Estimator, plugins: Iterable[Found]) -> Iterator[tuple[str, str]]:
    """What another process could not import: what it is to the study, and its name."""
    for found in plugins:
        if found.distribution is None and not is_importable(found.plugin):
            yield ("strategy" if found.group == ALGORITHMS else "extension"), qualified_name(found.plugin)
    for function in estimator.functions:
        if not is_importable(function):
            yield "estimator", qualified_name(function)


def way_on(journal: Journal, record: StudyRecord, estimator: Estimator, plugins: Iterable[Found]) -> str:
    """What a user types to go on with a study: a command, if that can import all that it needs."""
    if journal.path == MEMORY:
        return "resume() of the same Tuner"
    here = dict(tied(estimator, plugins))
    if not here:
        return command("resume", record.name, journal.path)
    named = [] if is_default(journal.path) else [f"journal={journal.path!r}"]
    given = [f"{argument}=..." for argument in ("estimator", "strategy") if argument in here]
    return f"Tuner.attach({', '.join([repr(record.name), *named, *given])}).resume()"


def check_detachable(journal: Journal, estimator: Estimator, plugins: Iterable[Found]) -> None:
    """Raise `InvalidInput` if another process could not go on with such a study."""
    if journal.path == MEMORY:
        raise InvalidInput("fit(wait=False) needs a journal on disk, which another process can read")
    for what, name in tied(estimator, plugins):
        raise InvalidInput(
            f"fit(wait=False) needs what another process can import, and the {what} {name} exists only in this "
            "program: move it to the top level of a module, or use wait=True"
        )
    restore_estimator(estimator.describe(), None)


def drive_detached(journal: Journal, record: StudyRecord) -> Path:
    """Start a driver for this study in a session of its own, and give the place of its log."""
    path = Path(journal.path).absolute()
    log = Path(f"{path}.{record.id}.log")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)}
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "byohpo_core.cli", "resume", record.id, "--journal", str(path)],
        environment,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return log
