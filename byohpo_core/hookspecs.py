"""The plugin API of byohpo. Every plugin implements one or more of these five hooks.

A plugin is an object that belongs to one study. Its class is called with the study's `Problem` and with the user's
options as keyword arguments. Its hook methods are marked with `@hookimpl`. It is found by its entry point: the group
is `byohpo.algorithms` for names in `strategy=`, and `byohpo.extensions` for names in `extensions=`. A complete
algorithm:

    @attrs.define(eq=False)
    class HouseSpecial:
        problem: Problem
        step: float = 0.1

        @hookimpl
        def propose(self, study, count): ...

        @hookimpl
        def observe(self, study, trials): ...

Plugins are called one at a time, in the order in which the study names them. The same calls must return the same
answers: after a crash, the driver rebuilds an algorithm by repeating its `propose` and `observe` calls from the
journal, and compares its proposals with the journal (unless `Traits` calls it memoryless). So draw random numbers from
one generator that is seeded with `problem.seed`, and do not read a clock. `stop`, `prune` and `happened` are not
repeated, so they must not change what `propose` answers. A hook may leave out arguments that it does not need, but must
not make them keyword-only.

The constructor raises an error for an option that the algorithm cannot work with, and for a problem that does not suit
it, such as several objectives (`problem.require_one_objective()`). An algorithm that accepts several uses them all.

A plugin that holds a resource, such as a thread or a file, may have a method `close()`. It is not a hook. It is called
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
"""Marks a method as a hook. A misspelt hook name is an error when the study starts."""


@attrs.frozen
class Traits:
    """Properties that an algorithm class may declare in a class attribute `traits`. `byohpo check` relies on them."""

    learns: bool = True
    """Its proposals depend on results."""
    seeded: bool = True
    """A different seed gives different proposals."""
    finite: bool = False
    """It may run out of proposals before the budget is spent."""
    sequential: bool = False
    """It works on one point at a time, even if there are more slots."""
    ordered: bool = False
    """It takes results one by one, so their order within one `observe` may change its proposals."""
    warm_starts: bool = True
    """Results of an earlier study make its first proposals better."""
    seconds_per_proposal: float = 0.0
    """The processor time of one proposal. Above 0.03, `byohpo check` asks for about a tenth of the trials."""
    memoryless: bool = False
    """A proposal depends only on the observed trials, the unobserved ones, the seed and the new trial's number.

    The number is `len(study.trials) + i` for the proposal with index i. Both kinds of trials count in the order of
    their numbers. What `observe` and earlier calls left in the object is at most a cache. A resume neither repeats the
    calls of such an algorithm nor compares its answers: the journal's proposals stand. So it takes no longer than
    reading the journal, and numbers may differ in the last digit on another machine.
    """
    resource: bool = False
    """It needs a problem with a resource, and may propose a configuration again with more of it."""
    example: Mapping[str, Any] = MappingProxyType({})
    """Options to use with search spaces that it would refuse without them."""


class HookSpecs(Protocol):
    """The five hooks. The first four make decisions: if one raises or returns an invalid answer, the study ends."""

    @hookspec
    def propose(self, study: "Study", count: int) -> "Sequence[Mapping[str, Any] | Proposal]":
        """Return up to *count* proposals. An empty list means: nothing until more results arrive.

        A proposal is a mapping from every tunable hyperparameter to a value inside the space, or a `Proposal`, which
        can also carry the algorithm's own key. Values are plain Python numbers, texts and booleans. Each proposal is a
        mapping of its own, which is not changed later. More than *count* proposals are an error; after fewer, the
        algorithm is asked again while slots are free. The study ends when nothing is running and nothing is proposed,
        so propose until the budget is spent. An algorithm that works in generations gives their size in an attribute
        `population`.

        Proposal *i* of an answer becomes the trial with the number `len(study.trials) + i`. That number finds its
        result: another plugin may use the same numbers and texts as keys, and equal configurations may have different
        results.
        """

    @hookspec
    def observe(self, study: "Study", trials: "Sequence[Trial]") -> None:
        """Receive newly finished trials, each exactly once, in the order in which they ended.

        That is not the order of their numbers: sort a batch by number if the order matters. An algorithm that takes
        results as they come says so with `Traits(ordered=True)`.

        They include failed trials (`trial.losses` is None), pruned trials, reused trials and trials of other plugins.
        They also include prior trials (`trial.prior`): results of an earlier epoch or of another study, whose
        `proposal.key` means nothing here. `trial.losses` has one value per objective; smaller is better, whatever the
        direction is. Losses have any size and sign, and may be 0 or equal.
        """

    @hookspec
    def stop(self, study: "Study") -> str | None:
        """Return a reason (a text) to end the study, or None. Running trials still finish and are observed."""

    @hookspec
    def prune(self, study: "Study", trial: "Trial") -> str | None:
        """Return a reason (a text) to stop this running trial early, or None.

        `study.curve(trial.number)` has the values that it has reported so far, if any; `objective.loss` turns a value
        into a loss.
        """

    @hookspec
    def happened(self, study: "Study", event: "Event") -> None:
        """Receive every journaled event, once and never during a replay, for display or experiment tracking.

        If it raises, the error is logged once and the plugin receives no more events.
        """
