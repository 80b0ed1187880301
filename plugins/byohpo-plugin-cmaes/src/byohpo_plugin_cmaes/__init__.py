"""Covariance matrix adaptation (CMA-ES) for byohpo, with the package cmaes.

Hansen & Ostermeier 2001, "Completely derandomized self-adaptation in evolution strategies". Integers keep a margin of
probability for their neighbours, and categories one for each other: Hamano et al. 2025, "CatCMA with margin".
"""

import math
import random
from typing import Any, ClassVar

import attrs
from cmaes import CatCMAwM
from scipy.stats import qmc

from byohpo_core import Problem, Study, Traits, Trial, TrialStatus, hookimpl, option
from byohpo_plugin_cmaes.axes import Axes
from byohpo_plugin_cmaes.evolution import Evolution, Result

_RESULTS = frozenset({TrialStatus.Completed, TrialStatus.Failed, TrialStatus.Pruned})
_DRAWS = 20
"""How often to draw again for a configuration that has a trial already."""


@attrs.define(eq=False)
class CmaEs:
    """Draws trials from a distribution that moves, grows and turns towards the best results.

    A proposal follows from the observed trials, the seed and the trial's number alone.
    """

    traits: ClassVar[Traits] = Traits(memoryless=True)
    problem: Problem
    population: int | None = option(
        None, help="results in a generation; by default about an eighth of the budget, within limits", minimum=4
    )
    startup: int = option(6, help="how many trials cover the space, before the search begins at the best", minimum=1)
    step: float = option(
        0.12, help="standard deviation at the beginning, in parts of a range", minimum=0.001, maximum=1.0
    )
    _evolution: Evolution = attrs.field(init=False)
    _results: dict[int, Result] = attrs.field(init=False, factory=dict)
    """What is known of observed trials, by number: a cache."""

    def __attrs_post_init__(self) -> None:
        self.problem.require_one_objective()
        axes = Axes(self.problem.space)
        population = self.population or self._usual_population()
        self._evolution = Evolution(axes, self.problem.seed, population, self.startup, self.step)

    def _usual_population(self) -> int:
        """Hansen's population, or a smaller one where the budget is small, but never below 4."""
        usual = 4 + math.floor(3 * math.log(self.problem.space.dimension))
        return max(4, min(usual, self.problem.max_jobs // 8))

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        """Exactly *count* configurations."""
        optimizer = self._evolution.optimizer(*self._known(study))
        tried = {_identity(trial.proposal.hyperparameters) for trial in study.trials}
        proposals = []
        for number in range(len(study.trials), len(study.trials) + count):
            proposals.append(self._drawn(optimizer, number, tried))
            tried.add(_identity(proposals[-1]))
        return proposals

    def _drawn(self, optimizer: CatCMAwM | None, number: int, tried: set[Any]) -> dict[str, Any]:
        """A configuration without a trial, if one is found."""
        space = self.problem.space
        generator = random.Random(f"{self.problem.seed}-{number}")  # noqa: S311 - a search, not a secret
        if optimizer is None:
            return space.decode(self._covering(number))
        optimizer.reseed_rng(generator.getrandbits(32))
        for _ in range(_DRAWS):
            configuration = self._evolution.axes.configuration(optimizer.ask())
            if _identity(configuration) not in tried:
                return configuration
        return space.sample(generator)

    def _covering(self, number: int) -> list[float]:
        """The point of a trial's number in a sequence that covers the unit cube."""
        seed = random.Random(f"{self.problem.seed} startup").getrandbits(32)  # noqa: S311 - a search, not a secret
        size = 2 ** math.ceil(math.log2(number + 2))  # SciPy warns unless it is a power of two
        point: list[float] = qmc.Sobol(self.problem.space.dimension, rng=seed).random(size)[number].tolist()
        return point

    def _known(self, study: Study) -> tuple[list[Result], list[Result]]:
        """The results of this study and the losses among those of other studies, sorted by number."""
        still_open = {trial.number for it in (study.waiting, study.running, study.unobserved) for trial in it}
        mine, foreign = [], []
        for trial in study.trials:
            if trial.number in still_open or trial.status not in _RESULTS or trial.result_of is not None:
                continue
            if not study.problem.is_whole(trial.proposal):
                continue
            result = self._result(trial)
            if study.is_own(trial):
                mine.append(result)
            elif math.isfinite(result.loss):
                foreign.append(result)
        return mine, foreign

    def _result(self, trial: Trial) -> Result:
        if trial.number not in self._results:
            axes, configuration = self._evolution.axes, trial.proposal.hyperparameters
            useless = trial.status is TrialStatus.Failed or trial.violation > 0
            loss = math.inf if useless or trial.losses is None else trial.losses[0]
            self._results[trial.number] = Result(
                trial.number, axes.solution(configuration), axes.point(configuration), loss
            )
        return self._results[trial.number]


def _identity(configuration: Any) -> Any:
    return tuple(configuration.items())
