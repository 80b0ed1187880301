"""The algorithm under test, the problems that it gets and the judges that give its trials their results."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.hookspecs import Traits
from byohpo_core.plugins.finding import ALGORITHMS, Loaded, PluginFactory, find
from byohpo_core.plugins.options import build
from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.space.space import SearchSpace
from byohpo_core.study.problem import Direction, Objective, Problem
from byohpo_core.study.trial import Trial, TrialStatus

CENTRES = (0.3, 0.7, 0.5)
"""The optimum of each objective: its coordinate on every axis of the unit cube."""

CUBE: Mapping[str, Parameter] = {f"x{axis}": ContinuousParameter(0, 1) for axis in range(3)}
MIXED: Mapping[str, Parameter] = {
    "x": ContinuousParameter(-5, 5),
    "rate": ContinuousParameter(1e-6, 1, "Logarithmic"),
    "momentum": ContinuousParameter(0.5, 0.999, "ReverseLogarithmic"),
    "layers": IntegerParameter(1, 4),
    "kind": CategoricalParameter(["a", "b", "c"]),
    "flag": CategoricalParameter([True, False]),
    "batch": StaticParameter(100),
}

Outcome: TypeAlias = tuple[float, ...] | TrialStatus | tuple[TrialStatus, tuple[float, ...]]
"""The losses of a completed trial, a status without losses, or a status with losses."""
Judge: TypeAlias = Callable[[Problem, Trial], Outcome]


def sphere(problem: Problem, trial: Trial) -> Outcome:
    """For each objective, the squared distance from its own optimum."""
    units = problem.space.encode(trial.proposal.hyperparameters)
    centres = CENTRES[: len(problem.objectives)]
    return tuple(sum((unit - centre) ** 2 for unit in units) for centre in centres)


def sometimes_failing(problem: Problem, trial: Trial) -> Outcome:
    """Judge as `sphere`, but let every third trial fail."""
    return TrialStatus.Failed if trial.number % 3 == 1 else sphere(problem, trial)


@attrs.frozen(slots=False)
class Subject:
    """The algorithm under test: its class and its options."""

    found: Loaded
    given: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, algorithm: str | PluginFactory, options: Mapping[str, Any] | None = None) -> "Subject":
        """Take a class, or find an installed algorithm by its name."""
        return cls(find(algorithm, ALGORITHMS), options)

    @property
    def traits(self) -> Traits:
        traits = getattr(self.found.plugin, "traits", None)
        return traits if isinstance(traits, Traits) else Traits()

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.traits.example if self.given is None else self.given)

    @cached_property
    def objectives(self) -> int:
        """The number of objectives that the checks use: one if the algorithm accepts one, else two."""
        try:
            build(self.found, self.problem(objectives=1), self.options)
        except InvalidInput as first:
            try:
                build(self.found, self.problem(objectives=2), self.options)
            except InvalidInput as second:
                if str(second) == str(first):
                    raise
                raise InvalidInput(f"{first}; with two objectives: {second}") from second
            return 2
        return 1

    def problem(
        self,
        parameters: Mapping[str, Parameter] = CUBE,
        *,
        objectives: int | None = None,
        seed: int = 1,
        jobs: int = 60,
        slots: int = 4,
        direction: Direction = Direction.Minimize,
    ) -> Problem:
        """A problem: by default it minimises over three continuous parameters, with seed 1, 60 jobs and 4 slots."""
        count = self.objectives if objectives is None else objectives
        named = tuple(Objective(f"metric{number}", direction) for number in range(count))
        return Problem(SearchSpace(parameters), named, seed, jobs, min(jobs, slots))
