"""The problem that an algorithm solves, its objectives and its resource."""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.space.constraints import between, bound, check_bounds
from byohpo_core.space.space import SearchSpace, check_name
from byohpo_core.study.trial import Proposal, Trial
from byohpo_core.validate import choice, items, mapping, text, whole


class Direction(StrEnum):
    """Whether larger or smaller values of an objective are better. The names are those of SageMaker."""

    Maximize = "Maximize"
    Minimize = "Minimize"


def _metric(value: Any) -> str:
    return text("objective_metric_name", value)


def _direction(value: Any) -> Direction:
    return Direction(choice("objective_type", value, list(Direction)))


@attrs.frozen
class Objective:
    """A metric to optimise."""

    metric: str = attrs.field(converter=_metric)
    direction: Direction = attrs.field(converter=_direction)

    def loss(self, value: float) -> float:
        """Return the value as a loss: smaller is better, so the sign changes for Maximize."""
        return -value if self.direction is Direction.Maximize else value


def _bounded_metric(value: Any) -> str:
    return text("the metric of an outcome constraint", value)


@attrs.frozen
class OutcomeConstraint:
    """Demand that a metric of the finished job is at most, or at least, a number, both included.

    A completed trial beyond it keeps its result, but any trial within is better.
    """

    metric: str = attrs.field(converter=_bounded_metric)
    at_most: float | None = bound("at_most")
    at_least: float | None = bound("at_least")

    def __attrs_post_init__(self) -> None:
        check_bounds(f"the outcome constraint on {self.metric!r}", self.at_least, self.at_most)

    def __str__(self) -> str:
        return between(self.metric, self.at_least, self.at_most)

    def excesses(self, value: float) -> list[float]:
        """How far the value is beyond each bound, in parts of the bound's size; negative or 0 within it."""
        above = [] if self.at_most is None else [(value - self.at_most) / (abs(self.at_most) or 1)]
        below = [] if self.at_least is None else [(self.at_least - value) / (abs(self.at_least) or 1)]
        return above + below


def _resource_name(value: Any) -> str:
    return check_name(text("resource", value))


def _most(value: Any) -> int:
    return whole("max_resource", value, at_least=1)


def _least(value: Any) -> int:
    return whole("min_resource", value, at_least=1)


@attrs.frozen
class Resource:
    """What a trial may use more or less of, such as epochs. Its job gets the amount as the hyperparameter *name*."""

    name: str = attrs.field(converter=_resource_name)
    most: int = attrs.field(converter=_most)
    """For a trial without a fidelity, too."""
    least: int = attrs.field(default=1, converter=_least)

    def __attrs_post_init__(self) -> None:
        if self.least > self.most:
            raise InvalidInput(f"min_resource is {self.least}; it must be from 1 to max_resource ({self.most})")

    def amount(self, proposal: Proposal) -> int:
        """The amount that a proposal asks for; raises `InvalidInput` if the resource has no such amount."""
        if proposal.fidelity is None:
            return self.most
        return whole("fidelity", proposal.fidelity, at_least=self.least, at_most=self.most)


def _seed(value: Any) -> int:
    return whole("random_seed", value, at_least=0)


def _max_jobs(value: Any) -> int:
    return whole("max_jobs", value, at_least=1)


def _max_parallel_jobs(value: Any) -> int:
    return whole("max_parallel_jobs", value)


@attrs.frozen
class Problem:
    """The problem that an algorithm solves: a search space, objectives, a seed and a budget of jobs."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    seed: int = attrs.field(converter=_seed)
    max_jobs: int = attrs.field(converter=_max_jobs)
    max_parallel_jobs: int = attrs.field(converter=_max_parallel_jobs)
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    resource: Resource | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(Resource))
    )
    """What `Proposal.fidelity` is an amount of, if the user has named it."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.space, SearchSpace):
            raise InvalidInput(f"space is {self.space!r}, not a SearchSpace")
        if not self.objectives:
            raise InvalidInput("a study needs an objective metric")
        if not all(isinstance(objective, Objective) for objective in self.objectives):
            raise InvalidInput(f"objectives is {self.objectives!r}, not a tuple of Objective")
        if not all(isinstance(constraint, OutcomeConstraint) for constraint in self.outcome_constraints):
            raise InvalidInput(f"outcome_constraints is {self.outcome_constraints!r}, not a tuple of OutcomeConstraint")
        if not 1 <= self.max_parallel_jobs <= self.max_jobs:
            raise InvalidInput(
                f"max_parallel_jobs is {self.max_parallel_jobs}; it must be from 1 to max_jobs ({self.max_jobs})"
            )
        if self.resource is not None and self.resource.name in self.space.parameters:
            raise InvalidInput(
                f"the resource {self.resource.name!r} is a parameter of the space too: leave it out there"
            )

    @property
    def metrics(self) -> list[str]:
        """The metrics that each job must report: those of the objectives, then those of outcome constraints."""
        needed = [it.metric for it in self.objectives] + [it.metric for it in self.outcome_constraints]
        return list(dict.fromkeys(needed))

    def excesses(self, metrics: Mapping[str, float]) -> list[float]:
        """How far a trial is beyond each bound of its outcome constraints, infinitely if a metric is missing."""
        return [excess for it in self.outcome_constraints for excess in it.excesses(metrics.get(it.metric, math.nan))]

    def violation(self, metrics: Mapping[str, float]) -> float:
        """How far a trial is beyond its outcome constraints in all; 0 if it is within them."""
        return sum(math.inf if math.isnan(it) else max(0.0, it) for it in self.excesses(metrics))

    def require_one_objective(self) -> None:
        """Raise `InvalidInput` if there are several objectives. For algorithms that support only one."""
        if len(self.objectives) > 1:
            names = ", ".join(objective.metric for objective in self.objectives)
            raise InvalidInput(
                f"it supports one objective, but the study has {len(self.objectives)} ({names}): "
                "give one, or choose an algorithm for several"
            )

    def losses(self, values: Sequence[float]) -> tuple[float, ...]:
        """Convert objective values to losses: smaller is better."""
        return tuple(objective.loss(value) for objective, value in zip(self.objectives, values, strict=True))

    def values(self, metrics: Mapping[str, float]) -> tuple[float, ...] | None:
        """Return the objectives' values from *metrics*, or None if one is missing."""
        if all(objective.metric in metrics for objective in self.objectives):
            return tuple(metrics[objective.metric] for objective in self.objectives)
        return None

    def hyperparameters(self, proposal: Proposal) -> Mapping[str, Any]:
        """What the job of a proposal receives: its configuration, the fixed values and the amount of the resource."""
        if self.resource is not None:
            completed = self.space.complete(proposal.hyperparameters)
            return MappingProxyType({**completed, self.resource.name: self.amount(proposal)})
        if self.space.static:
            return MappingProxyType(self.space.complete(proposal.hyperparameters))
        return proposal.hyperparameters

    def amount(self, proposal: Proposal) -> int:
        """How much of the resource a proposal asks for; 0 if there is none. Raises `InvalidInput` if it cannot be."""
        return 0 if self.resource is None else self.resource.amount(proposal)

    def is_whole(self, proposal: Proposal) -> bool:
        """True if a proposal has all of the resource, so that its result can be compared with those of others."""
        return self.resource is None or self.amount(proposal) == self.resource.most

    def rank(self, trial: Trial) -> tuple[int, float, float]:
        """A key to sort trials by, the best first.

        Those with more of the resource come first, then those less beyond the outcome constraints, then those with a
        lower loss in the first objective.
        """
        loss = math.inf if trial.losses is None else trial.losses[0]
        return -self.amount(trial.proposal), trial.violation, loss

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "space": self.space.to_json(),
            "objectives": [[objective.metric, str(objective.direction)] for objective in self.objectives],
            "seed": self.seed,
            "max_jobs": self.max_jobs,
            "max_parallel_jobs": self.max_parallel_jobs,
        }
        if self.resource is not None:
            body["resource"] = attrs.asdict(self.resource)
        if self.outcome_constraints:
            body["outcome_constraints"] = [attrs.asdict(constraint) for constraint in self.outcome_constraints]
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Problem":
        return cls(
            space=SearchSpace.from_json(body["space"]),
            objectives=tuple(Objective(metric, direction) for metric, direction in body["objectives"]),
            seed=body["seed"],
            max_jobs=body["max_jobs"],
            max_parallel_jobs=body["max_parallel_jobs"],
            outcome_constraints=tuple(
                OutcomeConstraint(**mapping("an outcome constraint", it))
                for it in items("outcome_constraints", body.get("outcome_constraints", []))
            ),
            resource=Resource(**body["resource"]) if "resource" in body else None,
        )
