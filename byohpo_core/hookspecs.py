"""The plugin API of byohpo: everything that takes part in a study implements some of these five hooks.

A plugin is an object of one study. Its class is called with the study's `Problem` and the user's options as keyword
arguments, its methods are marked with `@hookimpl`, and it is found by its entry point: group `byohpo.algorithms` for
what `strategy=` names, `byohpo.extensions` for what `extensions=` names. An algorithm, whole:

    @attrs.define(eq=False)
    class HouseSpecial:
        problem: Problem
        step: float = 0.1

        @hookimpl
        def propose(self, study, count): ...

        @hookimpl
        def observe(self, study, trials): ...

Plugins are asked one at a time, in the order in which the study names them. The same calls must give the same answers:
after a crash an algorithm is rebuilt by repeating its `propose` and `observe` calls from the journal, and compared.
So draw from one generator seeded with `problem.seed`, and read no clock. A hook may leave out arguments that it does
not need, but may not make them keyword-only.

A plugin that holds something, such as a thread or a file, may have a method `close()`, which is no hook: it is called
without arguments when a driver leaves the study, and also on instances that were built only to check their options.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import pluggy

if TYPE_CHECKING:
    from byohpo_core.study.events import Event
    from byohpo_core.study.study import Study
    from byohpo_core.study.trial import Proposal, Trial

PROJECT = "byohpo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a method as a hook; a misspelt hook name is refused when the study starts."""


@attrs.frozen
class Traits:
    """What an algorithm's class may tell of itself, in a class attribute `traits`; `byohpo check` goes by it."""

    learns: bool = True
    """Results guide what it proposes."""
    seeded: bool = True
    """Another seed gives other proposals."""
    finite: bool = False
    """It may have nothing more to propose before the budget is spent."""
    sequential: bool = False
    """It works on one point at a time, however many slots there are."""
    example: Mapping[str, Any] = MappingProxyType({})
    """Options for spaces that it would refuse without."""


class HookSpecs(Protocol):
    """The five hooks. The first four are decisions: one that raises or answers nonsense ends the study."""

    @hookspec
    def propose(self, study: "Study", count: int) -> "Sequence[Mapping[str, Any] | Proposal]":
        """Up to *count* proposals; an empty list means nothing until more results arrive.

        A proposal is a mapping from every tunable hyperparameter to a value inside the space, or a `Proposal` that
        carries the algorithm's own mark as well. More than *count* is an error. When nothing is running and nothing
        is proposed the study ends. An algorithm that works in generations says how large they are in an attribute
        `population`.
        """

    @hookspec
    def observe(self, study: "Study", trials: "Sequence[Trial]") -> None:
        """Newly finished trials, each exactly once, in the order of the journal.

        Failed (`trial.losses` is None), pruned, reused and other plugins' trials are among them, and foreign ones
        (`trial.prior`): results of an earlier epoch or another study, whose `proposal.key` means nothing here.
        `trial.losses` has one value per objective, smaller is better.
        """

    @hookspec
    def stop(self, study: "Study") -> str | None:
        """A reason to end the study, or None. Running trials still finish and are observed."""

    @hookspec
    def prune(self, study: "Study", trial: "Trial") -> str | None:
        """A reason to stop this running trial early, or None. `study.curve(trial.number)` has what it reported."""

    @hookspec
    def happened(self, study: "Study", event: "Event") -> None:
        """For people and trackers: every journaled event, once, never during a replay; a failure is logged once."""
