"""Which trial shares whose result: a configuration that is known or on its way is not paid for again."""

from collections.abc import Iterable
from typing import Any

from byohpo_core.study.trial import Trial


class Duplicates:
    """Who holds each configuration, and which unfinished trials repeat one that is held.

    A trial holds its configuration (hyperparameters, fidelity and the trial that it resumes from) as soon as it is
    proposed, unless another does. It gives it up when its job brings no result.
    """

    def __init__(self) -> None:
        self._holders: dict[tuple[Any, ...], int] = {}
        self._duplicates: dict[int, int] = {}

    def of(self, number: int) -> int | None:
        """The trial that this unfinished one repeats."""
        return self._duplicates.get(number)

    def propose(self, trial: Trial) -> None:
        """Let a new trial hold its configuration, or repeat the one that does."""
        holder = self._holders.setdefault(_configuration(trial), trial.number)
        if holder != trial.number:
            self._duplicates[trial.number] = holder

    def know(self, trial: Trial) -> None:
        """Let an imported result hold its configuration."""
        self._holders.setdefault(_configuration(trial), trial.number)

    def leave(self, number: int) -> None:
        """This trial's attempt is over: it repeats nobody any more."""
        self._duplicates.pop(number, None)

    def give_up(self, trial: Trial, waiting: Iterable[int]) -> None:
        """Free a configuration whose job brought no result: the first *waiting* trial that repeats it gets a job."""
        configuration = _configuration(trial)
        if self._holders.get(configuration) != trial.number:
            return
        del self._holders[configuration]
        for number in waiting:
            if self._duplicates.get(number) == trial.number:
                holder = self._holders.setdefault(configuration, number)
                if holder == number:
                    del self._duplicates[number]
                else:
                    self._duplicates[number] = holder


def _configuration(trial: Trial) -> tuple[Any, ...]:
    return (*trial.proposal.hyperparameters.values(), trial.proposal.fidelity, trial.proposal.resume_from)
