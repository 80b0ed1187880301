"""Turn what a user gives to a tuner into an estimator, and find each kind of estimator by its entry point."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from byohpo_core.backendspecs import Estimator, Follow
from byohpo_core.errors import MALFORMED, ByohpoError, InvalidInput, unreadable
from byohpo_core.importable import kept_name
from byohpo_core.journal.log import EventLog, StudyRecord
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.finding import BACKENDS, find


def as_estimator(given: Any) -> Estimator:
    """Return an estimator as it is; make one from a function, a script's path, an SDK object or a request."""
    return given if isinstance(given, Estimator) else estimator_class(_kind(given))(given)


def _kind(given: Any) -> str:
    if isinstance(given, (str, os.PathLike)):
        return "local"
    if isinstance(given, Mapping) or hasattr(given, "fit") or hasattr(given, "train"):
        return "sagemaker"
    return "function"


def estimator_class(kind: str) -> Any:
    """The estimator class of this kind; raises `UnknownPlugin` if none is installed."""
    return find(kind, BACKENDS).plugin


def restore_estimator(description: Mapping[str, Any], given: Estimator | None) -> Estimator:
    """Rebuild the estimator that a manifest describes.

    The user's estimator *given*, if any, supplies what only this process has, such as a function. Raises `InvalidInput`
    if it is of another kind.
    """
    _check_kind(description["kind"], given)
    estimator: Estimator = estimator_class(description["kind"]).restore(description, given)
    for function in () if given is None else given.functions:
        before, now = description.get("function"), kept_name(function)
        if before not in (None, now):
            _logger.warning("the study tuned the function %s until now and continues with %s", before, now)
    return estimator


def estimator_to_stop(description: Mapping[str, Any], given: Estimator | None) -> Estimator:
    """Rebuild the estimator that a manifest describes, without importing what it names; its jobs are only stopped."""
    _check_kind(description["kind"], given)
    estimator: Estimator = estimator_class(description["kind"]).to_stop(description, given)
    return estimator


def _check_kind(kind: str, given: Estimator | None) -> None:
    if given is not None and given.kind != kind:
        raise InvalidInput(f"the study's estimator is of kind {kind!r}, but the given one is of kind {given.kind!r}")


@contextmanager
def reading(study_id: str) -> Iterator[None]:
    """A context for a backend's code that reads the description in a study's manifest.

    Raises `JournalError`, in one line, if the description is not as that code writes it.
    """
    try:
        yield
    except ByohpoError:
        raise
    except MALFORMED as error:
        raise unreadable(f"the backend in the manifest of study {study_id!r}", error) from error


def follow_study(record: StudyRecord, given: Estimator | None, mirror: str | None) -> Follow | None:
    """Return what reads the news of a study from where other machines write; None if its kind has no such place."""
    with reading(record.id):
        description = record.manifest["backend"]
        kind = estimator_class(description["kind"])
        mine = given if given is not None and given.kind == description["kind"] else None
        following: Follow | None = kind.follow(description, given=mine, mirror=mirror)
    return following


def fetch_study(journal: Journal, name: str, given: Estimator | None, mirror: str | None) -> EventLog | None:
    """Copy a study that another machine has driven into the journal; None if its mirror is not found.

    Looks for a mirror of SageMaker jobs, unless the estimator *given* is of another kind.
    """
    kind = "sagemaker" if given is None else given.kind
    fetched: EventLog | None = estimator_class(kind).fetch(journal, name, given=given, mirror=mirror)
    return fetched
