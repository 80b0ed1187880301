"""Hyperband and asynchronous successive halving (ASHA) for byohpo: many configurations begin, the best go on.

Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization". Li et al. 2020, "A System for
Massively Parallel Hyperparameter Tuning". Each module of this package is one part of it and names its source.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import attrs

from byohpo_core import InnerAlgorithm, InvalidInput, Problem, Proposal, Study, Traits, Trial, hookimpl, option
from byohpo_plugin_hyperband.halving import Step, asynchronous, left_over, synchronous
from byohpo_plugin_hyperband.ladder import Entry, Ladder, Mark
from byohpo_plugin_hyperband.rungs import Rungs
from byohpo_plugin_hyperband.stopping import Stopping

_MODES = {"asha": asynchronous, "hyperband": synchronous}
_PROMOTIONS = ("auto", "continue", "restart", "prune")


def _is_sampler(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"sampler is {value!r}, not the name of an algorithm")
    if value == "hyperband":
        raise InvalidInput("hyperband cannot be its own sampler: name another algorithm, such as gp")


def _are_options(_: object, __: object, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"sampler_options is {value!r}, not a mapping of options by name")


@attrs.define(eq=False, slots=False)
class Hyperband:
    """Gives many configurations a little of the resource, and eta times as much to the best 1/eta of them, repeatedly.

    A proposal follows from the observed trials, the unobserved ones, the seed and the trial's number alone, if that is
    so for the sampler.
    """

    traits: ClassVar[Traits] = Traits(
        memoryless=True,
        resource=True,
        example={"eta": 2},  # which shows within few trials what it learns, whatever the sampler does
    )
    problem: Problem
    eta: int = option(3, help="how many times the resource the best 1/eta get at the next rung", minimum=2)
    mode: str = attrs.field(
        default="asha",
        validator=attrs.validators.in_(tuple(_MODES)),
        metadata={
            "help": "asha: promote as soon as a trial is among the best of its rung, so no slot waits; hyperband: "
            "brackets that begin at different rungs, of which each waits for all results of a rung"
        },
    )
    sampler: str = attrs.field(
        default="random", validator=_is_sampler, metadata={"help": "the algorithm that proposes new configurations"}
    )
    sampler_options: Mapping[str, Any] = attrs.field(
        factory=dict, validator=_are_options, metadata={"help": "the options of the sampler"}
    )
    promotion: str = attrs.field(
        default="auto",
        validator=attrs.validators.in_(_PROMOTIONS),
        metadata={
            "help": "continue: a new job goes on from the checkpoint; restart: a new job trains from the start; prune: "
            "one job, stopped at a rung; auto: prune if a job takes longer to start than to reach the lowest rung, "
            "else continue"
        },
    )
    startup: float = option(
        0.0,
        help="how long a job takes to start, in units of the resource, such as epochs: for promotion auto",
        minimum=0,
    )

    def __attrs_post_init__(self) -> None:
        self.problem.require_one_objective()
        if self.problem.resource is None:
            raise InvalidInput(
                'it needs a resource: name the hyperparameter, as in resource="num_epoch", max_resource=81'
            )
        self._rungs = Rungs.of(self.problem.resource, self.eta)
        self._sampler = InnerAlgorithm(self.sampler, self.problem, self.sampler_options)
        # Times that were measured would make proposals depend on how busy machines are.
        slow = self.promotion == "auto" and self.startup > self._rungs.levels[0]
        self._stops = slow or self.promotion == "prune"
        if self._stops:  # without this hook nobody reads what running jobs report
            self.prune = Stopping(self._rungs).prune
        memoryless = attrs.evolve(self.traits, memoryless=self._sampler.memoryless)
        object.__setattr__(self, "traits", memoryless)  # this instance's own

    @hookimpl
    def propose(self, study: Study, count: int) -> list[Proposal]:
        """Promotions first, then new configurations; fewer than *count* if the sampler waits or has no more."""
        ladder = Ladder(study, self._rungs)
        answer = self._proposals(ladder, [*islice(_MODES[self.mode](ladder), count)])
        if answer or ladder.is_busy:  # a sampler may wait for results
            return answer
        return self._proposals(ladder, [*islice(left_over(ladder), count)])

    @hookimpl
    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        """Tell the sampler the first result of each configuration, unless it reads them when it proposes."""
        if self._sampler.memoryless:
            return
        ladder = Ladder(study, self._rungs)
        first = ladder.firsts()
        shown = ladder.configurations(comparable=False)
        news = [shown[first[trial.number]] for trial in trials if trial.number in first]
        if news:
            self._sampler.observe(study, shown, news)

    def close(self) -> None:
        self._sampler.close()

    def _proposals(self, ladder: Ladder, steps: Sequence[Step]) -> list[Proposal]:
        """A proposal for each step; new configurations come last, as far as the sampler has some."""
        begun = [step for step in steps if isinstance(step, int)]
        promoted = [self._promoted(step) for step in steps if isinstance(step, Entry)]
        if not begun:
            return promoted
        shown = ladder.configurations(comparable=self._sampler.memoryless)
        drawn = self._sampler.propose(ladder.study, shown, len(begun))
        return [*promoted, *map(self._begun, drawn, begun)]

    def _promoted(self, entry: Entry) -> Proposal:
        number, mark = entry.trial.number, entry.mark
        higher = Mark(mark.bracket, mark.rung + 1, number, key=mark.key)
        return Proposal(
            entry.trial.proposal.hyperparameters,
            attrs.asdict(higher),
            self._rungs.levels[higher.rung],
            None if self.promotion == "restart" else number,
        )

    def _begun(self, drawn: Proposal, bracket: int) -> Proposal:
        bottom = self._rungs.bottom(bracket)
        mark = Mark(bracket, bottom, stops=self._stops, key=drawn.key)
        level = self._rungs.top if self._stops else bottom
        return Proposal(drawn.hyperparameters, attrs.asdict(mark), self._rungs.levels[level])
