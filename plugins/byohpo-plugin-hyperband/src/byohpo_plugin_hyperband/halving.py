"""Successive halving: which configurations go on to the next rung, and where new ones begin."""

from collections.abc import Iterator
from itertools import count, repeat
from typing import TypeAlias

from byohpo_plugin_hyperband.ladder import Entry, Ladder

Step: TypeAlias = Entry | int
"""An entry to promote, or the number of a bracket that needs a new configuration."""


def asynchronous(ladder: Ladder) -> Iterator[Step]:
    """Promote what is among the best 1/eta of its rung so far, the highest rung first; else begin anew.

    Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. The one bracket begins at the
    lowest rung.
    """
    for rung in reversed(range(ladder.rungs.top)):
        ranked = ladder.ranked(0, rung)
        yield from ladder.promotable(ranked[: len(ranked) // ladder.rungs.eta])
    yield from repeat(0)


def synchronous(ladder: Ladder) -> Iterator[Step]:
    """Fill one bracket after the other; when all results of a rung are in, its best go on to the next one.

    Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization". Slots that would wait for
    a rung work on later brackets.
    """
    for bracket in count():
        bottom = ladder.rungs.bottom(bracket)
        missing = ladder.rungs.size(bracket, bottom) - len(ladder.at(bracket, bottom))
        yield from repeat(bracket, missing) if missing > 0 else _promotions(ladder, bracket)


def left_over(ladder: Ladder) -> Iterator[Step]:
    """Promote from brackets that stay short, since the sampler has no more for them; the best goes up to the top."""
    for bracket in ladder.brackets:
        yield from _promotions(ladder, bracket, short=True)


def _promotions(ladder: Ladder, bracket: int, *, short: bool = False) -> list[Entry]:
    """The trials to promote from the lowest rung that still has some, if all its results are in."""
    for rung in range(ladder.rungs.bottom(bracket), ladder.rungs.top):
        if not all(entry.ended for entry in ladder.at(bracket, rung)):
            return []
        ranked = ladder.ranked(bracket, rung)
        size = max(1, len(ranked) // ladder.rungs.eta) if short else ladder.rungs.size(bracket, rung + 1)
        if chosen := ladder.promotable(ranked[:size]):
            return chosen
    return []
