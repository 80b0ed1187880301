"""The algorithm under test, the problems that it gets and the judges that give its trials their results."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.hookspecs import Traits
from byohpo_core.plugins.finding import ALGORITHMS, Loaded, PluginFactory, find
from byohpo_core.plugins.options import build
from byohpo_core.space.constraints import Constraint
from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.space.space import SearchSpace
from byohpo_core.study.problem import Direction, Objective, Problem, Resource
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
    "dropout": StaticParameter(0.25),
}

UNSORTED: Mapping[str, Parameter] = {
    name: ContinuousParameter(-5, 5) for name in ("width", "alpha", "momentum", "zeta", "beta", "lambda", "decay")
}
"""Seven parameters whose names are not in alphabetical order."""
LABELS: Mapping[str, Parameter] = {
    "kind": CategoricalParameter(list("abcd")),
    "loss": CategoricalParameter(["hinge", "log"]),
    "depth": IntegerParameter(1, 9),
    "batch": IntegerParameter(-4, 4),
    "rate": ContinuousParameter(0, 1),
}
"""A space in which categories and integers decide."""
CONDITIONAL: Mapping[str, Parameter] = {
    "drop": ContinuousParameter(0, 1, when={"kind": ["dart"], "depth": [2, 3, 4]}),
    "kind": CategoricalParameter(["tree", "dart", "linear"]),
    "depth": IntegerParameter(1, 4, when={"kind": ["tree", "dart"]}),
    "rate": ContinuousParameter(1e-4, 1, "Logarithmic"),
}
"""A space whose parameters are not all active at once: one is a child of another's child."""
CONSTRAINED: Mapping[str, Parameter] = {
    "layers": IntegerParameter(1, 64),
    "batch": IntegerParameter(8, 1024),
    "rate": ContinuousParameter(1e-4, 1, "Logarithmic"),
}
CONSTRAINTS = (
    Constraint({"layers": 64, "batch": 1}, at_most=1024),
    Constraint({"batch": 1, "rate": -0.5}, at_most=512, log=True),
)
"""What `CONSTRAINED` must obey: a tenth of the unit cube does."""
RESOURCE = Resource("epochs", 27)
"""The resource of problems for algorithms that need one."""
SLOW_SECONDS = 0.03
"""An algorithm that declares more processor time a proposal than this is asked for a tenth of the trials."""

Outcome: TypeAlias = tuple[float, ...] | TrialStatus | tuple[TrialStatus, tuple[float, ...]]
"""The losses of a completed trial, a status without losses, or a status with losses."""
Judge: TypeAlias = Callable[[Problem, Trial], Outcome]


def sphere(problem: Problem, trial: Trial) -> Outcome:
    """For each objective, the squared distance from its own optimum."""
    units = problem.space.encode(trial.proposal.hyperparameters)
    centres = CENTRES[: len(problem.objectives)]
    return tuple(sum((unit - centre) ** 2 for unit in units) for centre in centres)


def bowl(problem: Problem, trial: Trial) -> Outcome:
    """For each objective, the squared distance from its own optimum, where the last axis counts a hundred times."""
    units = problem.space.encode(trial.proposal.hyperparameters)
    steepness = [100 ** (axis / max(1, len(units) - 1)) for axis in range(len(units))]
    shifts = [(0.0, 0.3, 0.1, -0.2)[axis % 4] for axis in range(len(units))]
    return tuple(
        sum(steep * (unit - centre - shift) ** 2 for steep, unit, shift in zip(steepness, units, shifts, strict=True))
        for centre in (0.4, 0.6, 0.5)[: len(problem.objectives)]
    )


def labels(problem: Problem, trial: Trial) -> Outcome:
    """In `LABELS`, the number of wrong categories, and how far the integers are from the right ones."""
    given = trial.proposal.hyperparameters
    wrong = (
        (given["kind"] != "d") + (given["loss"] != "log") + abs(given["depth"] - 7) / 4 + abs(given["batch"] + 3) / 4
    )
    return (wrong + 0.1 * (given["rate"] - 0.4) ** 2,) * len(problem.objectives)


def changed(judge: "Judge", change: Callable[[float], float]) -> "Judge":
    """Judge as *judge*, with each loss changed."""

    def changed_judge(problem: Problem, trial: Trial) -> Outcome:
        losses: Any = judge(problem, trial)
        return tuple(map(change, losses))

    return changed_judge


def constant(problem: Problem, _: Trial) -> Outcome:
    """Give every trial the same losses."""
    return (1.0,) * len(problem.objectives)


tied = changed(sphere, lambda loss: float(round(3 * loss)))
"""Judge as `sphere`, in steps so coarse that most losses are equal to others."""


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

    @property
    def slow(self) -> bool:
        """True if the algorithm declares that a proposal takes long."""
        return self.traits.seconds_per_proposal > SLOW_SECONDS

    @property
    def resource(self) -> Resource | None:
        """The resource of all problems, if the algorithm needs one."""
        return RESOURCE if self.traits.resource else None

    def few(self, count: int) -> int:
        """Return *count*, or about a tenth of it for a slow algorithm."""
        return max(min(count, 4), count // 10) if self.slow else count

    def supports(self, objectives: int) -> bool:
        """True if the constructor accepts this number of objectives."""
        return self.accepts(self.problem(objectives=objectives))

    @cached_property
    def mixed(self) -> Mapping[str, Parameter]:
        """`MIXED`, or as much of it as the constructor accepts: without categories, or without integers too."""
        numbers = {name: it for name, it in MIXED.items() if not isinstance(it, CategoricalParameter)}
        floats = {name: it for name, it in numbers.items() if not isinstance(it, IntegerParameter)}
        return next((it for it in (MIXED, numbers, floats) if self.accepts(self.problem(it))), MIXED)

    def accepts(self, problem: Problem) -> bool:
        """True if the constructor accepts this problem."""
        try:
            plugin = build(self.found, problem, self.options)
        except InvalidInput:
            return False
        getattr(plugin, "close", lambda: None)()
        return True

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
        constraints: Sequence[Constraint] = (),
        *,
        objectives: int | None = None,
        seed: int = 1,
        jobs: int = 60,
        slots: int = 4,
        maximised: Collection[int] = (),
    ) -> Problem:
        """A problem: by default it minimises over three continuous parameters, with seed 1, 60 jobs and 4 slots.

        The objectives with a number in *maximised* are maximised. A slow algorithm gets about a tenth of the jobs.
        """
        count = self.objectives if objectives is None else objectives
        named = tuple(
            Objective(f"metric{number}", Direction.Maximize if number in maximised else Direction.Minimize)
            for number in range(count)
        )
        jobs = self.few(jobs)
        return Problem(
            SearchSpace(parameters, constraints), named, seed, jobs, min(jobs, slots), resource=self.resource
        )
