"""What a study's trials say: which configurations stand at which rung, and with which loss."""

import math
from collections import Counter
from typing import Any, Self

import attrs

from byohpo_core import Study, Trial, TrialStatus
from byohpo_plugin_hyperband.rungs import Rungs


@attrs.frozen
class Mark:
    """The key of a trial."""

    bracket: int
    rung: int
    """Where the trial ends, or where it is compared first if it can be stopped at later rungs."""
    parent: int | None = None
    """The trial with the same configuration at the rung below."""
    stops: bool = False
    """Whether one job goes through all rungs, and is stopped at one of them."""
    key: Any = None
    """The sampler's own key."""

    @classmethod
    def of(cls, trial: Trial, study: Study, rungs: Rungs) -> Self | None:
        """The mark of a trial, or None if it is of another plugin or another study."""
        key, fidelity = trial.proposal.key, trial.proposal.fidelity
        if not study.is_own(trial) or fidelity is None or not isinstance(key, dict) or key.keys() != _KEYS:
            return None
        mark = cls(**key)
        rung = rungs.top if mark.stops else mark.rung
        return mark if rung in range(len(rungs.levels)) and rungs.levels[rung] == fidelity else None


_KEYS = attrs.fields_dict(Mark).keys()


@attrs.frozen
class Entry:
    """A trial at a rung."""

    trial: Trial
    mark: Mark
    ended: bool
    """Whether its end was observed."""

    @property
    def loss(self) -> float:
        """Infinite unless the trial has reached its rung within the outcome constraints."""
        good = self.trial.status in (TrialStatus.Completed, TrialStatus.Reused) and self.trial.violation == 0
        loss = self.trial.losses[0] if good and self.trial.losses else math.inf
        return math.inf if math.isnan(loss) else loss

    @property
    def rank(self) -> tuple[float, int]:
        return self.loss, self.trial.number


class Ladder:
    """The entries of a study, in the order of their trials."""

    def __init__(self, study: Study, rungs: Rungs) -> None:
        self.study = study
        self.rungs = rungs
        self._open = {trial.number for it in (study.waiting, study.running, study.unobserved) for trial in it}
        marked = ((trial, Mark.of(trial, study, rungs)) for trial in study.trials)
        self.entries = {
            trial.number: Entry(trial, mark, trial.number not in self._open) for trial, mark in marked if mark
        }
        self.promoted = {entry.mark.parent for entry in self.entries.values()}
        self._at: dict[tuple[int, int], list[Entry]] = {}
        for entry in self.entries.values():
            self._at.setdefault((entry.mark.bracket, entry.mark.rung), []).append(entry)

    @property
    def is_busy(self) -> bool:
        """Whether a trial has not ended, or its end was not observed."""
        return bool(self._open)

    @property
    def brackets(self) -> list[int]:
        """The numbers of the brackets that have begun."""
        return sorted({bracket for bracket, _ in self._at})

    def at(self, bracket: int, rung: int) -> list[Entry]:
        """The trials of a bracket that end at a rung, or that are compared there first."""
        return self._at.get((bracket, rung), [])

    def ranked(self, bracket: int, rung: int) -> list[Entry]:
        """The trials that have ended at a rung, the best first. Those that share another's result count only once."""
        ended = (it for it in self.at(bracket, rung) if it.ended and it.trial.result_of is None and not it.mark.stops)
        return sorted(ended, key=lambda entry: entry.rank)

    def promotable(self, entries: list[Entry]) -> list[Entry]:
        """Those that have a result and have not gone on yet."""
        return [it for it in entries if it.loss < math.inf and it.trial.number not in self.promoted]

    def firsts(self) -> dict[int, int]:
        """The first trial of each configuration, with the configuration's number.

        Each trial of another plugin or study is a configuration, if it had all of the resource.
        """
        first = (
            trial.number
            for trial in self.study.trials
            if (self.entries[trial.number].mark.parent is None if trial.number in self.entries else self._whole(trial))
        )
        return {number: place for place, number in enumerate(first)}

    def configurations(self, *, comparable: bool) -> list[Trial]:
        """Each configuration as one trial, numbered from 0, for the sampler: with its first result.

        If *comparable*, all have had the same amount of the resource, as much as enough of them have had; those that
        were not there count as stopped (Falkner et al. 2018, "BOHB", section 3).
        """
        rung = self._telling() if comparable else None
        places = self.firsts()
        told = {place: number for number, place in places.items()}
        for number, entry in self.entries.items():
            if entry.mark.parent in places:
                places[number] = places[entry.mark.parent]
                if rung is not None and entry.ended and entry.mark.rung <= rung:
                    told[places[number]] = number
        return [self._shown(place, number, places, rung) for place, number in told.items()]

    def _telling(self) -> int:
        """The highest rung at which more configurations have results than the space has dimensions, else the lowest."""
        ended = Counter(it.mark.rung for it in self.entries.values() if it.ended and it.loss < math.inf)
        enough = self.study.problem.space.dimension + 1
        return max((rung for rung, count in ended.items() if count > enough), default=0)

    def _whole(self, trial: Trial) -> bool:
        return self.study.problem.is_whole(trial.proposal)

    def _shown(self, place: int, number: int, places: dict[int, int], rung: int | None) -> Trial:
        trial, entry = self.study.trials[number], self.entries.get(number)
        key = trial.proposal.key if entry is None else entry.mark.key
        shown = trial.but(
            number=place,
            proposal=attrs.evolve(trial.proposal, key=key, fidelity=None, resume_from=None),
            result_of=None if trial.result_of is None else places.get(trial.result_of),
        )
        if number in self._open:
            return shown.but(status=TrialStatus.Running, values=None, losses=None)
        elsewhere = rung is not None and entry is not None and entry.mark.rung != rung and entry.loss < math.inf
        return shown.but(status=TrialStatus.Stopped, values=None, losses=None) if elsewhere else shown
