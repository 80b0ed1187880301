"""One local job as its driver sees it: is it supervised, is anything of it alive, and how did it end."""

import fcntl
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from byohpo_core.backends.local.files import create_empty, read_small, write_durably
from byohpo_core.backends.local.processes import Marks, kill_job
from byohpo_core.backends.local.supervisor import CLAIM, CONTAINER, EXIT, LOCK, LOG, STOP, is_locked
from byohpo_core.container import Layout
from byohpo_core.files import create_folder


class Job:
    """The files of one job: its order, and the folder in which its supervisor works."""

    def __init__(self, study_folder: Path, name: str, *, shared: bool = False) -> None:
        self.name = name
        self._shared = shared
        self.folder = study_folder / name
        self.order = study_folder / f"{name}.json"

    @property
    def checkpoints(self) -> Path:
        """Where its script leaves what a later job goes on from."""
        return Layout(self.folder / CONTAINER).checkpoints

    @property
    def is_gone(self) -> bool:
        """Whether the job's folder was deleted: it is created before the order is written."""
        return self.order.exists() and not self.folder.is_dir()

    @property
    def is_claimed(self) -> bool:
        """Whether a supervisor has claimed the job, now or earlier."""
        return _exists(self.folder / CLAIM) or _exists(self.folder / EXIT)

    def ordered(self) -> Any:
        """Return the hyperparameters that the job was ordered with; None if it has no order that can be read."""
        try:
            return json.loads(read_small(self.order, _ORDER_BYTES) or "null")["hyperparameters"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def write_order(self, order: dict[str, Any]) -> None:
        """Create the job's folder, then the order that tells a supervisor what to run."""
        create_folder(self.folder, shared=self._shared)
        write_durably(self.order, json.dumps(order), shared=self._shared)

    def ask_to_stop(self) -> None:
        """Leave the sign that the supervisor looks for; perhaps there is none yet."""
        if not self.is_gone:
            create_folder(self.folder, shared=self._shared)
            create_empty(self.folder / STOP, shared=self._shared)

    def is_supervised(self) -> bool:
        """Whether the job has a supervisor, of this release or of an earlier one, which locked only the claim."""
        if _exists(self.folder / LOCK):
            return is_locked(self.folder / LOCK)
        return is_locked(self.folder / CLAIM, fcntl.lockf)

    def is_over(self) -> bool:
        """Whether the job has neither a supervisor nor, without a valid exit status, any process that is alive.

        Kills such processes; False until they are seen dead, and while it cannot be told.
        """
        try:
            return not self.is_supervised() and (self.status() is not None or self.end_processes())
        except OSError:
            return False

    def status(self) -> dict[str, Any] | None:
        """Return how the job ended, as its supervisor wrote it; None if there is nothing valid."""
        try:
            status = json.loads(read_small(self.folder / EXIT) or "null")
        except (ValueError, RecursionError):
            return None
        return status if _is_status(status) else None

    def end_processes(self) -> bool:
        """Kill what is left of the job without its supervisor; False until it is seen dead."""
        claim = self.folder / CLAIM
        left = kill_job(Marks(self.name, self.folder / CONTAINER, self.order, claim))
        return not left and not is_locked(claim)

    def missing(self) -> str:
        """Say why a job without a supervisor has no valid exit status."""
        if not self.folder.is_dir():
            return "its folder was deleted"
        if _exists(self.folder / EXIT):
            return f"its {EXIT} is not what its supervisor writes"
        if not _exists(self.folder / CLAIM):
            return f"its {CLAIM} was deleted"
        return "its supervisor died"

    def replaced(self) -> str | None:
        """Say so if the script has put something that is not a file in the place of its log."""
        try:
            is_log = stat.S_ISREG((self.folder / LOG).lstat().st_mode)
        except FileNotFoundError:
            return None
        return None if is_log else f"its {LOG} is not a file: the script must not replace it"


def _exists(path: Path) -> bool:
    """Whether there is something, and its folder can be looked into; `Path.exists` raises if not."""
    return os.path.exists(path)  # noqa: PTH110


def _is_status(status: Any) -> bool:
    return (
        isinstance(status, dict)
        and {"code", "stopped", "started", "ended"} <= status.keys() <= _KEYS
        and (status["code"] is None or (type(status["code"]) is int and abs(status["code"]) < _CODES))
        and type(status["stopped"]) is bool
        and all(type(status[time]) is float and math.isfinite(status[time]) for time in ("started", "ended"))
        and all(isinstance(status.get(reason, ""), str) for reason in ("interruption", "failure"))
        and (status["code"] is not None or status["stopped"] or not {"interruption", "failure"}.isdisjoint(status))
    )


_CODES = 256
_ORDER_BYTES = 2**24
"""More than the arguments and the environment of a script may have."""
_KEYS = {"code", "stopped", "started", "ended", "interruption", "failure"}
