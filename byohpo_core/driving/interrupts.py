"""What Ctrl-C does: once, launch nothing more; twice, stop the running jobs; three times, leave at once."""

import signal
import threading
from types import TracebackType
from typing import Any, Self

from byohpo_core.logger import logger as _logger
from byohpo_core.study.study import Study


class Interrupts:
    """A context that counts Ctrl-C in the main thread; the third raises `KeyboardInterrupt`."""

    def __init__(self, study: Study, way_on: str) -> None:
        self.count = 0
        self._study = study
        self._way_on = way_on
        """What the user types to go on with the study."""
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, *_: object) -> None:
        self.count += 1
        running = len(self._study.running)
        if self.count == 1:
            _logger.warning(
                "no more jobs are started; waiting for the %d that run. Press Ctrl-C again to stop them. "
                "%s resumes the study.",
                running,
                self._way_on,
            )
        elif self.count == 2:  # noqa: PLR2004 - the second Ctrl-C
            _logger.warning("stopping %d jobs", running)
        else:
            raise KeyboardInterrupt(f"study {self._study.name!r} is left at once: {self._way_on} resumes it")
