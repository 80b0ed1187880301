"""Find trials that repeat a known or pending configuration, so that they can reuse its result."""

from collections.abc import Iterable
from typing import Any

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Trial


class Duplicates:
    """The holder of each configuration, and the unfinished trials that repeat a held one.

    A configuration consists of the active hyperparameters, the amount of the resource (or the fidelity, without one)
    and the trial to resume from. The first trial that proposes it holds it. A holder gives its configuration up when
    its job ends without a result.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._holders: dict[tuple[Any, ...], int] = {}
        self._duplicates: dict[int, int] = {}

    def of(self, number: int) -> int | None:
        """Return the number of the trial that this unfinished one repeats, if any."""
        return self._duplicates.get(number)

    def propose(self, trial: Trial) -> None:
        """Make a new trial the holder of its configuration, or a duplicate of the current holder."""
        holder = self._holders.setdefault(self._configuration(trial), trial.number)
        if holder != trial.number:
            self._duplicates[trial.number] = holder

    def know(self, trial: Trial) -> None:
        """Make an imported trial the holder of its configuration, if there is none."""
        self._holders.setdefault(self._configuration(trial), trial.number)

    def leave(self, number: int) -> None:
        """Stop counting this trial as a duplicate, because its attempt is over."""
        self._duplicates.pop(number, None)

    def give_up(self, trial: Trial, waiting: Iterable[int]) -> None:
        """Free the configuration of a job without a result: the first *waiting* duplicate becomes its holder."""
        configuration = self._configuration(trial)
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

    def _configuration(self, trial: Trial) -> tuple[Any, ...]:
        proposal = trial.proposal
        amount = self._problem.amount(proposal) or proposal.fidelity
        return (*proposal.hyperparameters.items(), amount, proposal.resume_from)
