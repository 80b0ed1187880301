"""Apply events to the study as they happen, and write them with the next commit."""

from collections.abc import Callable, Sequence

from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.study.events import Event, Happening
from byohpo_core.study.fold import Fold


class Recorder:
    """Records what happens in one study. *now* is the backend's clock; *unwritten* events are applied already."""

    def __init__(
        self,
        study: Fold,
        log: EventLog,
        plugins: StudyPlugins,
        now: Callable[[], float],
        unwritten: Sequence[Event] = (),
    ) -> None:
        self._study = study
        self._log = log
        self._plugins = plugins
        self._now = now
        self._pending = [*unwritten]
        """Events that are applied to the study but not written yet."""

    def tick(self) -> None:
        """Read the clock. The study's time stands still in between, so that a replay can repeat it."""
        self._study.tick(max(self._study.now, self._now()))  # whatever clock a backend has, time never goes back

    def record(self, happening: Happening) -> None:
        """Apply an event to the study now and write it with the next commit."""
        kind, body = happening
        event = Event(self._study.sequence, kind, self._study.now, body)
        self._study.apply(event)
        self._pending.append(event)

    def commit(self) -> None:
        """Write all pending events in one transaction, then tell the reporters."""
        pending, self._pending = self._pending, []
        if pending:
            self._log.append(pending)
            self._plugins.happened(self._study, pending)
