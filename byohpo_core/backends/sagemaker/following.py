"""Read what a study's mirror has after the journal's events, to show it. This writes nothing and waits for nothing."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import attrs

from byohpo_core.backends.sagemaker.aws import SEARCHES_PER_SECOND, Aws, WallClock
from byohpo_core.backends.sagemaker.capture import boto_session
from byohpo_core.backends.sagemaker.fetching import is_default, within
from byohpo_core.backends.sagemaker.mirror import Mirror, start
from byohpo_core.errors import JournalError
from byohpo_core.journal.chain import stored
from byohpo_core.journal.log import EventLog
from byohpo_core.study.events import Event


@attrs.define(eq=False)
class Following:
    """Follows one study's mirror. It is where the jobs' outputs are, which must be a place that the user names."""

    _output: str
    _region: str | None
    _named: Sequence[str]
    _given: Any
    """The user's estimator, if there is one: without a place of its own it names SageMaker's default bucket."""
    _mirror: Mirror | None = None

    def __call__(self, log: EventLog) -> list[Event]:
        """Return the mirror's events after those of a log; raise `JournalError` if they do not follow them."""
        mirror = self._mirror = self._mirror or self._opened(log.id)
        last = log.last()
        commits = [] if mirror is None else mirror.commits(after=last)
        if mirror is None or not commits:
            return []
        known = islice(log.read(), last + 1)  # a driver of this machine may have added to it
        head, events = start(log.record).after(map(stored, known)), list[Event]()
        for number in commits:
            commit = mirror.commit(number)
            if number != head.count or commit.previous not in (None, head.checksum):
                raise JournalError(f"{mirror} and the journal differ before event {number}")
            head = mirror.checked(commit, head)
            events += commit.events
        return events

    def _opened(self, study_id: str) -> Mirror | None:
        """The mirror, in a bucket of this account; None if the user names another place."""
        named = any(within(self._output, place) for place in self._named)
        if not named and (self._named or self._given is None):
            return None
        clock, calls, session = WallClock(), SEARCHES_PER_SECOND, None
        if self._given is not None:
            clock, calls, session = self._given.clock, self._given.calls_per_second, boto_session(self._given.job)
        aws = Aws(self._region, clock, calls, session, first_attempts=1, waits=False)
        account = aws.account()
        mine = named or is_default(self._output, account)
        return Mirror(aws, self._output, study_id, owner=account) if mine else None
