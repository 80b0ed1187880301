"""The events of a journal: the reference for everyone who reads one.

A study is a sequence of events, numbered from 0. Each has a kind, a time, and a JSON body. For each kind, this file has
a `TypedDict` that documents the body's fields and a function that makes the event. The whole state of a study follows
from its manifest and its events (`study/fold.py`). docs/journal.md shows how to read events from other programs.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, NotRequired, TypeAlias, TypedDict

import attrs

EVENT_VERSION = 1
"""The newest event version that this release reads and writes."""


class EventKind(StrEnum):
    """The twelve kinds of events."""

    Opened = "opened"
    Imported = "imported"
    Asked = "asked"
    Intended = "intended"
    Launched = "launched"
    Reported = "reported"
    Pruned = "pruned"
    Retried = "retried"
    Finished = "finished"
    Observed = "observed"
    Stopped = "stopped"
    Epoch = "epoch"


@attrs.frozen
class Event:
    """One entry of a journal. `time` is in seconds on the backend's clock."""

    sequence: int
    kind: EventKind
    time: float
    body: Mapping[str, Any]
    version: int = EVENT_VERSION


Happening: TypeAlias = tuple[EventKind, Mapping[str, Any]]
"""What an event says: its kind and its body, before it has its place and its time in a journal."""

Measured: TypeAlias = Annotated[float, "a number; it may be NaN or infinite, which all other numbers are not"]
Points: TypeAlias = Annotated[Sequence[Any], "the index of the first new value, and a list of the new values"]
Details: TypeAlias = Annotated[Mapping[str, Any], "what a backend adds; `cost`, if it is there, is a number"]


class ProposalBody(TypedDict):
    """A proposal inside another body: the tunable hyperparameters and what else `Proposal` holds."""

    hyperparameters: Mapping[str, Any]
    key: NotRequired[Any]
    fidelity: NotRequired[float]
    resume_from: NotRequired[int]


class OpenedBody(TypedDict):
    """A driver started or resumed the study, on this host and in this process."""

    host: str
    pid: int


def opened(host: str, pid: int) -> Happening:
    """Make the event: a driver starts or resumes the study."""
    body: OpenedBody = {"host": host, "pid": pid}
    return EventKind.Opened, body


class ImportedTrial(ProposalBody):
    """A trial of an earlier study, in its final state there."""

    plugin: str
    status: str
    job: str | None
    metrics: Mapping[str, Measured]
    reason: str | None
    started: float | None
    ended: float | None
    details: Details


class ImportedBody(TypedDict):
    """Trials of an earlier study were imported when this study was created. `study` is the id of the earlier study."""

    study: str
    trials: Sequence[ImportedTrial]


def imported(study: str, trials: Sequence[ImportedTrial]) -> Happening:
    """Make the event: trials are imported from an earlier study."""
    body: ImportedBody = {"study": study, "trials": trials}
    return EventKind.Imported, body


class AskedBody(TypedDict):
    """A plugin was asked for *count* proposals and returned some, possibly none. Each proposal is a new trial."""

    plugin: str
    count: int
    answer: Sequence[ProposalBody]


def asked(plugin: str, count: int, answer: Sequence[ProposalBody]) -> Happening:
    """Make the event: a plugin answered a request for *count* proposals."""
    body: AskedBody = {"plugin": plugin, "count": count, "answer": answer}
    return EventKind.Asked, body


class IntendedBody(TypedDict):
    """A job of this name is about to be created for this attempt of a trial. Before this event it cannot exist."""

    trial: int
    attempt: int
    job: str


def intended(trial: int, attempt: int, job: str) -> Happening:
    """Make the event: a job is about to be created."""
    body: IntendedBody = {"trial": trial, "attempt": attempt, "job": job}
    return EventKind.Intended, body


class LaunchedBody(TypedDict):
    """The backend has created the jobs of these trials. It changes no state: after a crash the backend is asked."""

    trials: Sequence[int]


def launched(trials: Sequence[int]) -> Happening:
    """Make the event: the backend has created the jobs of these trials."""
    body: LaunchedBody = {"trials": trials}
    return EventKind.Launched, body


class ReportedBody(TypedDict):
    """A running job reported values. `points` has, by metric, the index of the first new value and the new values."""

    trial: int
    points: Mapping[str, Points]


def reported(trial: int, points: Mapping[str, Sequence[Any]]) -> Happening:
    """Make the event: a running job reported new values."""
    body: ReportedBody = {"trial": trial, "points": points}
    return EventKind.Reported, body


class PrunedBody(TypedDict):
    """A plugin stopped a running trial early: its job is asked to stop."""

    trial: int
    plugin: str
    reason: str


def pruned(trial: int, plugin: str, reason: str) -> Happening:
    """Make the event: a plugin stops a running trial early."""
    body: PrunedBody = {"trial": trial, "plugin": plugin, "reason": reason}
    return EventKind.Pruned, body


class RetriedBody(TypedDict):
    """An attempt was lost and another follows. If *counted*, the lost one counts towards `max_attempts`.

    *not_before* is given if the infrastructure has failed: the next attempt starts at that time or later.
    """

    trial: int
    reason: str
    counted: bool
    not_before: NotRequired[float]
    details: NotRequired[Details]


def retried(
    trial: int, reason: str, *, counted: bool, details: Mapping[str, Any], not_before: float | None = None
) -> Happening:
    """Make the event: an attempt was lost and another follows."""
    body: RetriedBody = {"trial": trial, "reason": reason, "counted": counted}
    if not_before is not None:
        body["not_before"] = not_before
    if details:
        body["details"] = dict(details)
    return EventKind.Retried, body


class FinishedBody(TypedDict):
    """A trial ended. If *shares* is given, it reuses the result of that trial. Times are those of the job.

    *lost* is true if the infrastructure has failed the last of its attempts.
    """

    trial: int
    status: str
    shares: NotRequired[int]
    metrics: NotRequired[Mapping[str, Measured]]
    started: NotRequired[float]
    ended: NotRequired[float]
    reason: NotRequired[str]
    details: NotRequired[Details]
    lost: NotRequired[bool]


def finished(
    trial: int,
    status: str,
    *,
    shares: int | None = None,
    metrics: Mapping[str, float] | None = None,
    started: float | None = None,
    ended: float | None = None,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
    lost: bool = False,
) -> Happening:
    """Make the event: a trial ended. Fields that are None, empty or false are left out."""
    body: FinishedBody = {"trial": trial, "status": status}
    if shares is not None:
        body["shares"] = shares
    if metrics:
        body["metrics"] = {name: float(value) for name, value in metrics.items()}
    if started is not None:
        body["started"] = started
    if ended is not None:
        body["ended"] = ended
    if reason is not None:
        body["reason"] = reason
    if details:
        body["details"] = dict(details)
    if lost:
        body["lost"] = True
    return EventKind.Finished, body


class ObservedBody(TypedDict):
    """The plugins received these trials, in this order."""

    trials: Sequence[int]


def observed(trials: Sequence[int]) -> Happening:
    """Make the event: the plugins receive these trials."""
    body: ObservedBody = {"trials": trials}
    return EventKind.Observed, body


class StoppedBody(TypedDict):
    """Nothing more is proposed. With *reason* None, the next driver continues. With *jobs*, running jobs stop too."""

    reason: str | None
    jobs: NotRequired[bool]


def stopped(reason: str | None, *, jobs: bool = False) -> Happening:
    """Make the event: nothing more is proposed."""
    body: StoppedBody = {"reason": reason}
    if jobs:
        body["jobs"] = True
    return EventKind.Stopped, body


class EpochBody(TypedDict):
    """New plugins start with this problem. They receive the earlier trials as prior results, not as their own."""

    problem: Mapping[str, Any]
    plugins: Sequence[Mapping[str, Any]]


def epoch(problem: Mapping[str, Any], plugins: Sequence[Mapping[str, Any]]) -> Happening:
    """Make the event: new plugins start with this problem."""
    body: EpochBody = {"problem": problem, "plugins": plugins}
    return EventKind.Epoch, body


BODIES: Mapping[EventKind, Any] = {
    EventKind.Opened: OpenedBody,
    EventKind.Imported: ImportedBody,
    EventKind.Asked: AskedBody,
    EventKind.Intended: IntendedBody,
    EventKind.Launched: LaunchedBody,
    EventKind.Reported: ReportedBody,
    EventKind.Pruned: PrunedBody,
    EventKind.Retried: RetriedBody,
    EventKind.Finished: FinishedBody,
    EventKind.Observed: ObservedBody,
    EventKind.Stopped: StoppedBody,
    EventKind.Epoch: EpochBody,
}
"""The type of each kind's body. `study/bodies.py` checks by it what is read."""
