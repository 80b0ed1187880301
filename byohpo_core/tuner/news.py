"""What a study's journal knows and, in memory, what its mirror has after that: a driver elsewhere may have gone on."""

import os
from itertools import islice

import attrs

from byohpo_core.backends.estimators import follow_study
from byohpo_core.backendspecs import Estimator, Follow
from byohpo_core.errors import ByohpoError
from byohpo_core.journal import open_journal
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import MEMORY
from byohpo_core.logger import logger as _logger
from byohpo_core.study.events import EventKind
from byohpo_core.study.study import Study


@attrs.define(eq=False)
class News:
    """One study, as its journal or its mirror knows it. Nothing is written."""

    log: EventLog
    """The journal's."""
    given: Estimator | None = None
    mirror: str | None = None
    """The place of the mirror, if the user names it: by this, by BYOHPO_MIRROR or by the estimator."""
    _follow: Follow | None = None
    _copy: EventLog | None = None
    """What the mirror has, once that was more."""
    _told: bool = False
    _study: Study | None = None

    def study(self, *, driven_here: bool) -> Study:
        """The study: live while this process drives it, else as it is known now."""
        if self._study is None or not driven_here:
            log = self.known if driven_here else self.latest()
            if self._study is None or self._study.sequence != log.last() + 1:
                self._study = log.study()
        return self._study

    def publish(self, study: Study) -> None:
        """Take the study that is driven, or has ended."""
        self._study = study

    @property
    def known(self) -> EventLog:
        """The journal's log, or the copy of the mirror if that had more when it was last read."""
        return self.log if self._copy is None or self._copy.last() <= self.log.last() else self._copy

    def latest(self) -> EventLog:
        """The journal's log, or a copy of the mirror in memory if that has more. Warns if it cannot be read."""
        mirror = self.mirror or os.environ.get("BYOHPO_MIRROR") or None
        if self.given is None and mirror is None:
            return self.log
        known = self.known
        try:
            self._follow = self._follow or follow_study(self.log.record, self.given, mirror)
            fresh = self._follow(known) if self._follow is not None else ()
        except ByohpoError as error:
            if not self._told:
                _logger.warning("study %s is shown as journal %s has it: %s", known.name, self.log.path, error)
            self._told = True
            return known
        self._told = False
        if fresh:
            self._copy = open_journal(MEMORY).take(known.record, [*islice(known.read(), fresh[0].sequence), *fresh])
        return self.known

    def driver(self) -> str | None:
        """The process and host of the driver, as the journal tells, or the mirror if that has more; None if none is."""
        known = self.known
        if known is self.log:
            return known.driver()
        opened = known.last(EventKind.Opened)
        if opened < 0 or known.has_ended():
            return None
        body = known.event(opened).body
        return f"process {body['pid']} on {body['host']}, as its mirror tells"
