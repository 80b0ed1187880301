"""The algorithm under test, the problems that it is given and the judges of its trials."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.hookspecs import Traits
from byohpo_core.plugins import ALGORITHMS, Found, PluginFactory, build, find
from byohpo_core.space import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    SearchSpace,
    StaticParameter,
)
from byohpo_core.study import Direction, Objective, Problem, Trial, TrialStatus

CENTRES = (0.3, 0.7, 0.5)
"""Where in the unit cube the objectives are best, in each coordinate."""

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
"""Losses of a completed trial; a status without losses; or both."""
Judge: TypeAlias = Callable[[Problem, Trial], Outcome]


def sphere(problem: Problem, trial: Trial) -> Outcome:
    """One quadratic bowl an objective, each with its own centre."""
    units = problem.space.encode(trial.proposal.hyperparameters)
    centres = CENTRES[: len(problem.objectives)]
    return tuple(sum((unit - centre) ** 2 for unit in units) for centre in centres)


def sometimes_failing(problem: Problem, trial: Trial) -> Outcome:
    """As `sphere`, but every third trial fails."""
    return TrialStatus.Failed if trial.number % 3 == 1 else sphere(problem, trial)


@attrs.frozen(slots=False)
class Subject:
    """An algorithm's class and the options that it is built with."""

    found: Found
    given: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, algorithm: str | PluginFactory, options: Mapping[str, Any] | None = None) -> "Subject":
        """The installed algorithm of a name, or a class."""
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
        """How many objectives the checks give it: one if it takes one, else two."""
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
        """A problem with defaults: three continuous parameters, seed 1, 60 jobs, 4 slots, to be minimised."""
        count = self.objectives if objectives is None else objectives
        named = tuple(Objective(f"metric{number}", direction) for number in range(count))
        return Problem(SearchSpace(parameters), named, seed, jobs, min(jobs, slots))
