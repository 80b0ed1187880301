"""What a user gives to a tuner, as an estimator of its kind. Every kind is found by its entry point."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from byohpo_core.backendspecs import Estimator
from byohpo_core.errors import InvalidInput
from byohpo_core.importable import kept_name
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.plugins.finding import BACKENDS, find

_logger = logging.getLogger("byohpo")


def as_estimator(given: Any) -> Estimator:
    """What the user gave, as an estimator: a function, a script's path or an SDK's object stands for itself."""
    return given if isinstance(given, Estimator) else estimator_class(_kind(given))(given)


def _kind(given: Any) -> str:
    if isinstance(given, (str, os.PathLike)):
        return "local"
    if isinstance(given, Mapping) or hasattr(given, "fit") or hasattr(given, "train"):
        return "sagemaker"
    return "function"


def estimator_class(kind: str) -> Any:
    """The class of a kind of estimators; raises `UnknownPlugin` if none is installed."""
    return find(kind, BACKENDS).plugin


def restore_estimator(description: Mapping[str, Any], given: Estimator | None) -> Estimator:
    """The estimator that a manifest describes, with what only this process has taken from the one *given*."""
    kind = description["kind"]
    if given is not None and given.kind != kind:
        raise InvalidInput(f"the study's estimator is of the kind {kind!r}, not {given.kind!r}")
    estimator: Estimator = estimator_class(kind).restore(description, given)
    for function in () if given is None else given.functions:
        before, now = description.get("function"), kept_name(function)
        if before not in (None, now):
            _logger.warning("the study has tuned the function %s, and goes on with %s", before, now)
    return estimator


def fetch_study(journal: Journal, name: str, given: Estimator | None, mirror: str | None) -> EventLog | None:
    """Bring a study into the journal that another machine has driven, by its estimator or the place of its mirror.

    Only SageMaker's jobs have mirrors, unless the estimator given knows others.
    """
    kind = "sagemaker" if given is None else given.kind
    fetched: EventLog | None = estimator_class(kind).fetch(journal, name, given=given, mirror=mirror)
    return fetched
