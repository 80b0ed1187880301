"""What the journal can say happened."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs


class EventKind(StrEnum):
    """What the journal can say happened. The body's fields stand behind each."""

    Opened = "opened"  # host, pid: a driver begins or resumes
    Imported = "imported"  # study, trials: the results of an earlier study, known from the beginning
    Asked = "asked"  # plugin, count, answer: proposals, possibly none
    Intended = "intended"  # trial, attempt, job
    Launched = "launched"  # trials: the backend has their jobs; for reporters and readers, the state knows it before
    Reported = "reported"  # trial, points: {metric: [index of the first, values]}
    Pruned = "pruned"  # trial, plugin, reason: the job was asked to stop early
    Retried = "retried"  # trial, reason, counted, details: an attempt was lost, another follows
    Finished = "finished"  # trial, status, metrics, reason, started, ended, details, shares
    Observed = "observed"  # trials: handed to the plugins, in this order
    Stopped = "stopped"  # reason (None: until a driver goes on), jobs (they are to stop too): nothing more is proposed
    Epoch = "epoch"  # problem, plugins: plugins start afresh, earlier trials are foreign to them


EVENT_VERSION = 1
"""The newest form of an event that this release writes and understands."""


@attrs.frozen
class Event:
    """One thing that happened; `time` is in seconds on the backend's clock."""

    sequence: int
    kind: EventKind
    time: float
    body: Mapping[str, Any]
    version: int = EVENT_VERSION
