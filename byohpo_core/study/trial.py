"""A configuration that was proposed, and what came of it."""

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
    """A configuration that a plugin wants tried."""

    hyperparameters: Mapping[str, Any]
    key: Any = None
    """The plugin's own JSON-able mark, handed back as `trial.proposal.key`."""
    fidelity: float | None = None
    """How much of a resource, such as epochs, the trial may use."""
    resume_from: int | None = None
    """The number of a trial whose checkpoint to continue."""

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
    """Where a trial stands. The last five are final."""

    Waiting = "Waiting"
    Running = "Running"
    Completed = "Completed"
    Failed = "Failed"
    Pruned = "Pruned"
    Stopped = "Stopped"
    Reused = "Reused"


@attrs.frozen
class Trial:
    """One configuration and what came of it."""

    number: int
    """From 0, consecutive in the order of the plugins' answers."""
    proposal: Proposal
    plugin: str
    """Who proposed it."""
    hyperparameters: Mapping[str, Any]
    """What the job is given, static ones included."""
    status: TrialStatus = TrialStatus.Waiting
    attempt: int = 0
    job_name: str | None = None
    values: tuple[float, ...] | None = None
    """One per objective, as reported; None while unknown and for failed trials."""
    losses: tuple[float, ...] | None = None
    """The values with the sign turned so that smaller is better; the last reported ones for a pruned trial."""
    metrics: Mapping[str, float] = MappingProxyType({})
    reason: str | None = None
    started: float | None = None
    ended: float | None = None
    details: Mapping[str, Any] = MappingProxyType({})
    """What the backend adds: `log`, `model_artifacts`, and `billable_seconds` and `cost` of all attempts together."""
    result_of: int | None = None
    """The number of the trial whose result this one reuses."""
    interruptions: int = 0
    """Attempts that the infrastructure failed."""
    prior: bool = False
    """A result from before the study's present epoch, or from another study."""

    def but(self, **changes: Any) -> "Trial":
        """This trial with some fields changed, as `attrs.evolve` makes it, in a quarter of the time."""
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
    """What a running trial has published of one metric."""

    count: int
    last: float
