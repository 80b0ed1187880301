"""When to try again after the infrastructure has failed: each trial after a while, and in an outage one job at a time.

Everything follows from the events and the study's time, so a resumed driver waits as the earlier one did.
"""

import math
from collections.abc import Sequence

from byohpo_core.logger import logger as _logger
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
FIRST_PROBE_SECONDS = 10.0
LONGEST_PROBE_SECONDS = 600.0
"""The longest pause between two attempts in an outage. A job that runs for longer shows that the outage is over."""
LONGEST_OUTAGE_SECONDS = 86400.0
"""After this long, failures count towards `max_attempts` again, so that no study waits for ever."""


def retry_at(study: Study, trial: Trial) -> float:
    """When to start the next attempt of a trial whose job has just failed by the infrastructure."""
    return study.now + _growing(FIRST_RETRY_SECONDS, 4.0, trial.interruptions, LONGEST_RETRY_SECONDS)


def is_excused(study: Study, trial: Trial) -> bool:
    """True if a failure of this trial's job is part of an outage, and so counts towards no limit."""
    outage = study.outage
    if outage.since is not None and study.now - outage.since > LONGEST_OUTAGE_SECONDS:
        return False
    return outage.includes(trial.number) and not _works(study)


def probe_at(study: Study) -> float | None:
    """When the next job may be tried in an outage, unless one is being tried; None if there is no outage."""
    outage = study.outage
    if outage.since is None or _works(study):
        return None
    pause = _growing(FIRST_PROBE_SECONDS, 2.0, outage.probes, LONGEST_PROBE_SECONDS)
    tried = [trial.started or 0.0 for trial in study.running if (trial.started or 0.0) > outage.since]
    return max([outage.last + pause, *(started + LONGEST_PROBE_SECONDS for started in tried)])


def startable(study: Study, free: int) -> int:
    """How many of the *free* slots may be used now: all, or in an outage at most one."""
    at = probe_at(study)
    return free if at is None else min(free, int(study.now >= at))


def due(study: Study, waiting: Sequence[Trial]) -> list[Trial]:
    """The waiting trials that may start now, in order. In an outage, those that failed longest ago come first."""
    if study.outage.since is not None:
        waiting = sorted(waiting, key=study.not_before)
    return [trial for trial in waiting if study.not_before(trial) <= study.now]


def paused_until(study: Study, waiting: Sequence[Trial]) -> float | None:
    """When the next of the *waiting* trials may start, or in an outage a new one; None if that is now or never."""
    if not waiting and study.jobs >= study.problem.max_jobs:
        return None
    at = max([probe_at(study) or 0.0, *([min(map(study.not_before, waiting))] if waiting else [])])
    return at if at > study.now else None


class OutageWarning:
    """Warns once of each outage of a study."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._told = False

    def tell(self) -> None:
        """Warn if there is an outage of which there was no warning yet."""
        outage = self._study.outage
        if outage.since is not None and not self._told:
            _logger.warning(
                "the infrastructure fails one job after the other, the last with: %s. Until a job works, one is tried "
                "at a time, after longer and longer pauses; this uses up neither max_jobs nor max_attempts",
                outage.reason,
            )
        self._told = outage.since is not None


def _works(study: Study) -> bool:
    """True if a job that was started after the first of the failures has run for long enough."""
    started = [trial.started for trial in study.running if trial.started is not None]
    return any(study.outage.ends_with(it) and study.now - it >= LONGEST_PROBE_SECONDS for it in started)


def _growing(first: float, factor: float, times: int, longest: float) -> float:
    """A pause that grows by a factor each time, up to the longest."""
    return first * factor**times if times < math.log(longest / first, factor) else longest
