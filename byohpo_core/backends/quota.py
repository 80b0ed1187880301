"""Learn from refusals how many jobs fit: the number of slots, the jobs that wait, and when to try again."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

from byohpo_core.backendspecs import Ended, Outcome
from byohpo_core.logger import logger as _logger
from byohpo_core.study.trial import Trial

QUOTA_PAUSE_SECONDS = 60.0
"""How long after a first refusal to try again if no job of ours ends; each further refusal doubles it."""
LONGEST_QUOTA_PAUSE = 960.0
GROW_SECONDS = 300.0


class Quota:
    """The jobs that a limit has kept from starting, and the number of slots that remain.

    *limit* names it in messages, such as "the account's quota".
    """

    def __init__(self, now: Callable[[], float], limit: str) -> None:
        self._now = now
        self._limit = limit
        self.slots: float = math.inf
        self._waiting: dict[str, Trial] = {}
        self._withdrawn: set[str] = set()
        """The names of waiting jobs that must no longer start."""
        self._pause = QUOTA_PAUSE_SECONDS
        self._try_at = self._grow_at = now()

    def __contains__(self, job_name: str) -> bool:
        """Whether this job waits for a free slot."""
        return job_name in self._waiting

    def wait(self, trials: Sequence[Trial]) -> None:
        """Add the jobs of these trials to those that wait for a free slot."""
        self._waiting |= {str(trial.job_name): trial for trial in trials}

    def withdraw(self) -> None:
        """Give up all jobs that wait."""
        self._withdrawn |= self._waiting.keys()

    def shrink(self, running: int) -> None:
        """After a refusal, set the slots to the number of running jobs, at least one. Later `use` tries more."""
        now = self._now()
        before, self.slots = self.slots, max(1, running)
        self._try_at = now + self._pause * random.uniform(1, 1.2)  # noqa: S311 - jitter
        self._pause = min(LONGEST_QUOTA_PAUSE, 2 * self._pause)
        self._grow_at = now + GROW_SECONDS
        if self.slots != before:
            _logger.warning("%s is used up: %d jobs run, %d wait to start", self._limit, running, len(self._waiting))

    def try_now(self) -> None:
        """Try to start waiting jobs now, since a job has ended and a slot may be free."""
        self._try_at = self._now()

    def use(self, start: Callable[[Trial], bool], running: Callable[[], int], most: int) -> None:
        """Start waiting jobs if it is time to try again. If none waits, add slots from time to time, up to *most*."""
        while self._waiting and self._now() >= self._try_at:
            name, trial = next(iter(self._waiting.items()))
            if not start(trial):
                self.shrink(running())
                return
            del self._waiting[name]
            self._pause = QUOTA_PAUSE_SECONDS
            self._grow_at = self._now() + GROW_SECONDS
            self.slots = max(self.slots, running())
        if not self._waiting and self.slots < most and self._now() >= self._grow_at:
            self.slots += max(1, self.slots // 2)
            self._grow_at = self._now() + GROW_SECONDS

    def given_up(self, stopping: set[str]) -> Iterator[Ended]:
        """The ends of waiting jobs that will not start, because they are *stopping* or were withdrawn."""
        for name in [*self._waiting]:
            if name in stopping:
                yield Ended(name, Outcome.Stopped, reason="stopped before it had a place")
            elif name in self._withdrawn:
                yield Ended(name, Outcome.Lost, reason=f"it had no place under {self._limit}")
            else:
                continue
            del self._waiting[name]
            stopping.discard(name)
            self._withdrawn.discard(name)
