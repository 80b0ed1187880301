"""What the journal can say happened: the journal reader's manual.

A study is a sequence of events, numbered from 0. Each has a kind, the time at which it happened, and a JSON body whose
fields this file documents: one `TypedDict` and one function that writes it for each kind. Everything else that is known
of a study follows from its manifest and its events (`study/fold.py`). docs/journal.md shows how to read them elsewhere.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, NotRequired, TypedDict

import attrs

EVENT_VERSION = 1
"""The newest form of an event that this release writes and understands."""


class EventKind(StrEnum):
    """The twelve things that can happen."""

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
    """One thing that happened; `time` is in seconds on the backend's clock."""

    sequence: int
    kind: EventKind
    time: float
    body: Mapping[str, Any]
    version: int = EVENT_VERSION


class Happening(NamedTuple):
    """What an event says, before it has its place and its time in a journal."""

    kind: EventKind
    body: Mapping[str, Any]


class ProposalBody(TypedDict):
    """A proposal, inside other bodies: its tunable hyperparameters and the plugin's mark."""

    hyperparameters: Mapping[str, Any]
    key: NotRequired[Any]
    fidelity: NotRequired[float]
    resume_from: NotRequired[int]


class OpenedBody(TypedDict):
    """A driver begins or resumes: on which host, in which process."""

    host: str
    pid: int


def opened(host: str, pid: int) -> Happening:
    """A driver begins or resumes."""
    body: OpenedBody = {"host": host, "pid": pid}
    return Happening(EventKind.Opened, body)


class ImportedTrial(ProposalBody):
    """A trial of an earlier study, as it ended there."""

    plugin: str
    status: str
    job: str | None
    metrics: Mapping[str, float]
    reason: str | None
    started: float | None
    ended: float | None
    details: Mapping[str, Any]


class ImportedBody(TypedDict):
    """The results of an earlier study, by its id, are known from the beginning."""

    study: str
    trials: Sequence[ImportedTrial]


def imported(study: str, trials: Sequence[ImportedTrial]) -> Happening:
    """The results of an earlier study are known from the beginning."""
    body: ImportedBody = {"study": study, "trials": trials}
    return Happening(EventKind.Imported, body)


class AskedBody(TypedDict):
    """A plugin was asked for *count* proposals and gave some, possibly none. Each proposal is a new trial."""

    plugin: str
    count: int
    answer: Sequence[ProposalBody]


def asked(plugin: str, count: int, answer: Sequence[ProposalBody]) -> Happening:
    """A plugin was asked for *count* proposals and gave some, possibly none."""
    body: AskedBody = {"plugin": plugin, "count": count, "answer": answer}
    return Happening(EventKind.Asked, body)


class IntendedBody(TypedDict):
    """A job of this name is about to be created for this attempt of a trial. Only afterwards may it exist."""

    trial: int
    attempt: int
    job: str


def intended(trial: int, attempt: int, job: str) -> Happening:
    """A job is about to be created."""
    body: IntendedBody = {"trial": trial, "attempt": attempt, "job": job}
    return Happening(EventKind.Intended, body)


class LaunchedBody(TypedDict):
    """The backend has the jobs of these trials. It changes nothing: after a crash, the backend is asked."""

    trials: Sequence[int]


def launched(trials: Sequence[int]) -> Happening:
    """The backend has the jobs of these trials."""
    body: LaunchedBody = {"trials": trials}
    return Happening(EventKind.Launched, body)


class ReportedBody(TypedDict):
    """New points of a running job's curves: by metric, the index of the first and the values."""

    trial: int
    points: Mapping[str, Sequence[Any]]


def reported(trial: int, points: Mapping[str, Sequence[Any]]) -> Happening:
    """A running job has published values."""
    body: ReportedBody = {"trial": trial, "points": points}
    return Happening(EventKind.Reported, body)


class PrunedBody(TypedDict):
    """A plugin had a running trial's job asked to stop early."""

    trial: int
    plugin: str
    reason: str


def pruned(trial: int, plugin: str, reason: str) -> Happening:
    """A plugin stops a running trial early."""
    body: PrunedBody = {"trial": trial, "plugin": plugin, "reason": reason}
    return Happening(EventKind.Pruned, body)


class RetriedBody(TypedDict):
    """An attempt was lost and another follows. It counts towards `max_attempts` if *counted*."""

    trial: int
    reason: str
    counted: bool
    details: NotRequired[Mapping[str, Any]]


def retried(trial: int, reason: str, *, counted: bool, details: Mapping[str, Any]) -> Happening:
    """An attempt was lost and another follows."""
    body: RetriedBody = {"trial": trial, "reason": reason, "counted": counted}
    if details:
        body["details"] = dict(details)
    return Happening(EventKind.Retried, body)


class FinishedBody(TypedDict):
    """A trial is over. With *shares* its result is that other trial's. Times are those of the job."""

    trial: int
    status: str
    shares: NotRequired[int]
    metrics: NotRequired[Mapping[str, float]]
    started: NotRequired[float]
    ended: NotRequired[float]
    reason: NotRequired[str]
    details: NotRequired[Mapping[str, Any]]


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
) -> Happening:
    """A trial is over; what is None or empty is left out."""
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
    return Happening(EventKind.Finished, body)


class ObservedBody(TypedDict):
    """These trials were handed to the plugins, in this order."""

    trials: Sequence[int]


def observed(trials: Sequence[int]) -> Happening:
    """Trials are handed to the plugins."""
    body: ObservedBody = {"trials": trials}
    return Happening(EventKind.Observed, body)


class StoppedBody(TypedDict):
    """Nothing more is proposed, for a reason, or until a driver goes on where it is None. With *jobs* jobs stop too."""

    reason: str | None
    jobs: NotRequired[bool]


def stopped(reason: str | None, *, jobs: bool = False) -> Happening:
    """Nothing more is proposed."""
    body: StoppedBody = {"reason": reason}
    if jobs:
        body["jobs"] = True
    return Happening(EventKind.Stopped, body)


class EpochBody(TypedDict):
    """Plugins start afresh with this problem. Trials so far are prior to it: results, but not the plugins' own."""

    problem: Mapping[str, Any]
    plugins: Sequence[Mapping[str, Any]]


def epoch(problem: Mapping[str, Any], plugins: Sequence[Mapping[str, Any]]) -> Happening:
    """Plugins start afresh with this problem."""
    body: EpochBody = {"problem": problem, "plugins": plugins}
    return Happening(EventKind.Epoch, body)
