"""Tell whether another driver has taken over the study, and which jobs are over for that one."""

from collections.abc import Sequence
from itertools import takewhile

from byohpo_core.journal.log import EventLog, overtaken
from byohpo_core.study.trial import Trial


class Fence:
    """What a driver asks its log before and after it starts jobs, since it may have been paused for any time."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def check(self) -> None:
        """Raise `StudyBusy` if another driver has taken over."""
        if self._log.newer():
            raise overtaken(self._log.id)

    def over(self, trials: Sequence[Trial]) -> list[Trial]:
        """The running trials of this driver whose attempts are over for the one that has taken over.

        If a job of theirs runs, it was created too late, and no driver waits for it. Other jobs are the other's now.
        """
        newer = self._log.newer()
        if not newer:
            return []
        study = self._log.blank_study()
        for event in takewhile(lambda event: event.sequence < newer[0].sequence, self._log.read()):
            study.apply(event)
        for event in newer:
            study.apply(event)
        pairs = [(mine, study.trials[mine.number]) for mine in trials if mine.number < len(study.trials)]
        return [mine for mine, theirs in pairs if theirs.finished or theirs.attempt > mine.attempt]
