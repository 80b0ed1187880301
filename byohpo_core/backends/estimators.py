"""What a user gives to a tuner, as an estimator of its kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from byohpo_core.backendspecs import Estimator, _logger
from byohpo_core.errors import InvalidInput
from byohpo_core.importable import kept_name
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.plugins import BACKENDS, find


def as_estimator(given: Any) -> Estimator:
    """What the user gave, as an estimator: a function and a script's path may stand for themselves."""
    if isinstance(given, (str, Path)):
        from byohpo_core.backends.local.script import TrainingScript

        return TrainingScript(str(given))
    if hasattr(given, "connect") and hasattr(given, "describe"):
        estimator: Estimator = given
        return estimator
    if hasattr(given, "fit") or hasattr(given, "train") or isinstance(given, Mapping):
        from byohpo_core.backends.sagemaker.estimator import TrainingJob

        return TrainingJob(given)
    from byohpo_core.backends.function.function import PythonFunction

    return PythonFunction(given)


def restore_estimator(description: Mapping[str, Any], given: Estimator | None) -> Estimator:
    """The estimator that a manifest describes, found by its entry point."""
    kind: Any = find(description["kind"], BACKENDS).plugin
    if given is not None and not isinstance(given, kind):
        raise InvalidInput(f"the study tunes a {kind.__name__}, not a {type(given).__name__}")
    estimator: Estimator = kind.restore(description, given)
    for function in () if given is None else given.functions:
        before, now = description.get("function"), kept_name(function)
        if before not in (None, now):
            _logger.warning("the study has tuned the function %s, and goes on with %s", before, now)
    return estimator


def find_elsewhere(journal: Journal, name: str) -> EventLog | None:
    """Bring into the journal a study of SageMaker jobs that was driven on another machine; None without such jobs.

    Raises `UnknownStudy`, with the journal's own words first, where SageMaker cannot be asked.
    """
    from byohpo_core.backends.sagemaker.mirror import find_and_fetch

    return find_and_fetch(journal, name)
