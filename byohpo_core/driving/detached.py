"""Start a driver in a separate process that outlives the program that started it: `fit(wait=False)`.

On its standard input the driver gets what must not be in a file, on its command line or in the environment of its jobs:
that its study is trusted, the values of its secrets, and where the program finds its modules.
"""

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from byohpo_core.backends.estimators import restore_estimator
from byohpo_core.backendspecs import Estimator
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.next_step import next_step
from byohpo_core.driving.trust import digest, trust
from byohpo_core.errors import ByohpoError, InvalidInput, one_line
from byohpo_core.files import open_file
from byohpo_core.importable import is_importable, qualified_name
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import MEMORY
from byohpo_core.plugins.finding import Loaded
from byohpo_core.secrets import Secrets


def check_detachable(journal_path: str, estimator: Estimator, plugins: Iterable[Loaded]) -> None:
    """Raise `InvalidInput` if another process could not drive this study."""
    if journal_path == MEMORY:
        raise InvalidInput("fit(wait=False) needs a journal on disk, which another process can read")
    for found in plugins:
        if found.distribution is None and not is_importable(found.plugin):
            raise InvalidInput(
                f"fit(wait=False) needs plugins that another process can import, and {found.name!r} "
                f"({qualified_name(found.plugin)}) exists only in this program: move it into a module, or use wait=True"
            )
    for function in estimator.functions:
        if not is_importable(function):
            raise InvalidInput(
                f"fit(wait=False) needs a function that another process can import, and {qualified_name(function)} "
                "exists only in this program: move it to the top level of a module, or use wait=True"
            )
    restore_estimator(estimator.describe(), None)


def drive_detached(log: EventLog, secrets: Secrets) -> Path:
    """Start a driver for this study in a new process session, and return the path of its output.

    Raises `ByohpoError`, which tells how to go on, if it cannot be started.
    """
    output = Path(f"{Path(log.path).absolute()}.{log.id}.log")
    manifest = Manifest.of(log)
    try:
        path = [folder or str(Path.cwd()) for folder in sys.path]
        _start(log, output, {"trust": digest(log.id, manifest), "secrets": secrets.known(), "path": path})
    except (OSError, ByohpoError) as error:
        raise ByohpoError(
            f"study {log.name} exists, but no process could be started to drive it: {one_line(error)}; "
            f"go on with {next_step('resume', log, manifest)}"
        ) from error
    return output


def _start(log: EventLog, output: Path, handed_over: Mapping[str, Any]) -> None:
    words = ["byohpo_core.cli", "resume", log.id, "--journal", str(Path(log.path).absolute()), "--handed-over"]
    with ExitStack() as ours, ExitStack() as theirs:
        descriptor = open_file(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, shared=log.shared)
        theirs.callback(os.close, descriptor)
        receive, send = os.pipe()
        theirs.callback(os.close, receive)
        pipe = ours.enter_context(os.fdopen(send, "w", encoding="utf-8"))
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", *words],
            os.environ,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGALRM, signal.SIGCHLD],  # a new process would go on to ignore what this program ignores
            file_actions=[
                (os.POSIX_SPAWN_DUP2, receive, 0),
                (os.POSIX_SPAWN_DUP2, descriptor, 1),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        theirs.close()
        json.dump(handed_over, pipe)


def accept_handover(study_id: str) -> dict[str, str]:
    """In the new driver: trust the study as the program that started it does, and return the values of its secrets.

    Modules are found where that program finds them, but never ahead of installed packages.
    """
    try:
        handed_over = json.load(sys.stdin)
    except ValueError as error:
        raise ByohpoError("the program that started this driver ended before it told what to drive") from error
    trust(study_id, handed_over["trust"])
    sys.path += [folder for folder in handed_over["path"] if folder not in sys.path]
    secrets: dict[str, str] = handed_over["secrets"]
    return secrets
