"""Proposals, and the trials that they become."""

from collections.abc import Mapping
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import attrs

from byohpo_core.study.events import ProposalBody
from byohpo_core.validate import number, whole


@attrs.frozen
class Proposal:
    """A configuration that a plugin proposes to evaluate."""

    hyperparameters: Mapping[str, Any]
    key: Any = None
    """Any JSON value of the plugin's own. It comes back as `trial.proposal.key`."""
    fidelity: float | None = None
    """How much of a resource the trial may use, such as a number of epochs."""
    resume_from: int | None = None
    """The number of the trial whose checkpoint to continue from."""

    def __attrs_post_init__(self) -> None:
        if self.fidelity is not None:
            object.__setattr__(self, "fidelity", number("fidelity", self.fidelity, above=0))
        if self.resume_from is not None:
            object.__setattr__(self, "resume_from", whole("resume_from", self.resume_from, at_least=0))

    def to_json(self) -> ProposalBody:
        body: ProposalBody = {"hyperparameters": dict(self.hyperparameters)}
        if self.key is not None:
            body["key"] = self.key
        if self.fidelity is not None:
            body["fidelity"] = self.fidelity
        if self.resume_from is not None:
            body["resume_from"] = self.resume_from
        return body


class TrialStatus(StrEnum):
    """The status of a trial. The last five are final."""

    Waiting = "Waiting"
    Running = "Running"
    Completed = "Completed"
    Failed = "Failed"
    Pruned = "Pruned"
    Stopped = "Stopped"
    Reused = "Reused"


@attrs.frozen
class Trial:
    """One configuration and its result."""

    number: int
    """Counted from 0, in the order in which plugins proposed."""
    proposal: Proposal
    plugin: str
    """The name of the plugin that proposed it."""
    hyperparameters: Mapping[str, Any]
    """What the job receives, fixed hyperparameters included."""
    status: TrialStatus = TrialStatus.Waiting
    attempt: int = 0
    job_name: str | None = None
    values: tuple[float, ...] | None = None
    """One per objective, as reported. None while unknown and for failed trials."""
    losses: tuple[float, ...] | None = None
    """The values as losses: smaller is better. For a pruned trial, the last ones that it reported."""
    metrics: Mapping[str, float] = MappingProxyType({})
    reason: str | None = None
    started: float | None = None
    ended: float | None = None
    details: Mapping[str, Any] = MappingProxyType({})
    """From the backend: `log`, `model_artifacts`, and the total `billable_seconds` and `cost` of all attempts."""
    result_of: int | None = None
    """The number of the trial whose result this one reuses."""
    interruptions: int = 0
    """How many attempts failed because of the infrastructure."""
    prior: bool = False
    """True for a result from before the study's current epoch, or from another study."""
    excused: int = 0
    """How many of the interruptions count towards no limit, since they were part of an outage."""
    violation: float = 0.0
    """How far its metrics are beyond the outcome constraints; 0 if they are within, or if there are none."""

    def but(self, **changes: Any) -> "Trial":
        """Return a copy with some fields changed. Like `attrs.evolve`, but four times as fast."""
        values = list(_trial_values(self))
        for name, value in changes.items():
            values[_TRIAL_FIELDS[name]] = value
        return Trial(*values)

    @property
    def value(self) -> float | None:
        """The first objective's value."""
        return self.values[0] if self.values is not None else None

    @property
    def finished(self) -> bool:
        return self.status not in _UNFINISHED

    @property
    def seconds(self) -> float | None:
        return None if self.started is None or self.ended is None else self.ended - self.started

    @property
    def billable_seconds(self) -> float | None:
        return self.details.get("billable_seconds")

    @property
    def cost(self) -> float | None:
        return self.details.get("cost")

    @property
    def shares(self) -> int | None:
        """The old name of `result_of`."""
        return self.result_of

    @property
    def failures(self) -> int:
        """The old name of `interruptions`."""
        return self.interruptions

    @property
    def foreign(self) -> bool:
        """The old name of `prior`."""
        return self.prior

    @property
    def model_artifacts(self) -> str | None:
        return self.details.get("model_artifacts")


_UNFINISHED = frozenset({TrialStatus.Waiting, TrialStatus.Running})
STATUSES = {status.value: status for status in TrialStatus}
_TRIAL_FIELDS = {name: place for place, name in enumerate(attrs.fields_dict(Trial))}
_trial_values = attrgetter(*_TRIAL_FIELDS)


@attrs.define
class Report:
    """What a running trial has reported for one metric: how many values, and the last one."""

    count: int
    last: float
