"""The Search operation for training jobs, with an index by tag and by status."""

import base64
import calendar
import json
import re
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from byohpo_sagemaker_emulator.errors import invalid
from byohpo_sagemaker_emulator.job import Job, State
from byohpo_sagemaker_emulator.validation import service_model

_Entry = tuple[float, int, Job, State]
"""Time of the last change, order of creation, and the job with the state that Search shows."""
_Test = Callable[[Job, State], bool]
_TIMES = ("CreationTime", "LastModifiedTime", "TrainingStartTime", "TrainingEndTime")
_NUMBERS = ("TrainingTimeInSeconds", "BillableTimeInSeconds")
_MOST_CONDITIONS = 50
_MOST_RESULTS = 10
"""Size of a page when the request does not set MaxResults."""


class Index:
    """The jobs that Search shows, sorted by the time of their last change."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, str], list[_Entry]] = {}
        self._entries: dict[str, tuple[_Entry, list[tuple[str, str]]]] = {}

    def put(self, job: Job, state: State) -> None:
        """Add a job in a state, in place of an older state."""
        self.remove(job)
        entry = (state.modified, job.order, job, state)
        keys = [("", ""), ("TrainingJobStatus", state.status), *((f"Tags.{key}", tag) for key, tag in job.tags.items())]
        for key in keys:
            entries = self._lists.setdefault(key, [])
            if entries and entry[:2] < entries[-1][:2]:
                insort(entries, entry, key=lambda other: other[:2])
            else:
                entries.append(entry)
        self._entries[job.name] = entry, keys

    def remove(self, job: Job) -> None:
        """Remove a job, if it is there."""
        entry, keys = self._entries.pop(job.name, (None, ()))
        for key in keys:
            if entry is None:
                break
            entries = self._lists[key]
            del entries[bisect_left(entries, entry[:2], key=lambda other: other[:2])]
            if not entries:
                del self._lists[key]

    def named(self, name: str) -> list[_Entry]:
        """The job with this name, in a list of at most one entry."""
        return [self._entries[name][0]] if name in self._entries else []

    def under(self, key: tuple[str, str]) -> list[_Entry]:
        """The jobs with a tag or a status, the latest change last. `("", "")` gives all jobs."""
        return self._lists.get(key, [])


def _size(expression: Mapping[str, Any]) -> int:
    inner = expression.get("SubExpressions") or ()
    return len(expression.get("Filters") or ()) + len(inner) + sum(map(_size, inner))


def search(index: Index, parameters: Mapping[str, Any]) -> tuple[list[tuple[Job, State]], str | None]:
    """One page of the jobs that match, and the token of the next page.

    Raises ServiceError if the expression or the token is invalid.
    """
    expression = parameters.get("SearchExpression") or {}
    if _size(expression) > _MOST_CONDITIONS:
        raise invalid(f"The SearchExpression has more than {_MOST_CONDITIONS} filters and subexpressions.")
    matches = _expression(expression)
    descending = parameters.get("SortOrder", "Descending") == "Descending"
    sort_by = parameters.get("SortBy", "LastModifiedTime")
    most = parameters.get("MaxResults", _MOST_RESULTS)
    token = _read_token(parameters.get("NextToken"))
    entries, low, high = _candidates(index, expression)
    if sort_by != "LastModifiedTime":
        return _sorted_page(entries[low:high], matches, sort_by, descending, most, token)
    # A token is a position in the order of changes. A job that changes between two pages moves to the end.
    if token is not None:
        place = bisect_left(entries, (token[0], token[1]), key=lambda entry: entry[:2])
        low, high = (low, min(high, place)) if descending else (max(low, place), high)
    page: list[_Entry] = []
    for position in range(high - 1, low - 1, -1) if descending else range(low, high):
        entry = entries[position]
        if not matches(entry[2], entry[3]):
            continue
        if len(page) == most:
            last = page[-1] if descending else entry
            return [found[2:] for found in page], _write_token([last[0], last[1]])
        page.append(entry)
    return [found[2:] for found in page], None


def _sorted_page(
    entries: Iterable[_Entry], matches: _Test, sort_by: str, descending: bool, most: int, token: list[Any] | None
) -> tuple[list[tuple[Job, State]], str | None]:
    read = _property(sort_by)
    found = [entry[2:] for entry in entries if matches(entry[2], entry[3])]
    having = [pair for pair in found if read(*pair) is not None]
    lacking = [pair for pair in found if read(*pair) is None]
    having.sort(key=lambda pair: read(*pair), reverse=descending)
    first = token[0] if token else 0
    found = having + lacking
    return found[first : first + most], _write_token([first + most]) if len(found) > first + most else None


def _candidates(index: Index, expression: Mapping[str, Any]) -> tuple[list[_Entry], int, int]:
    """The shortest list of the index that contains all matches, and the first and end position to look at.

    The list is chosen by the filters on name, status and tags, the positions by those on LastModifiedTime.
    """
    entries = index.under(("", ""))
    low, high = 0, None
    if expression.get("Operator", "And") == "Or":
        return entries, 0, len(entries)
    filters = expression.get("Filters") or ()
    for filter_ in filters:
        name, value = filter_["Name"], filter_.get("Value", "")
        if filter_.get("Operator", "Equals") == "Equals":
            if name == "TrainingJobName":
                narrower = index.named(value)
            elif name == "TrainingJobStatus" or name.startswith("Tags."):
                narrower = index.under((name, value))
            else:
                continue
            if len(narrower) < len(entries):
                entries = narrower
    for filter_ in filters:
        if filter_["Name"] == "LastModifiedTime":
            operator = filter_.get("Operator", "Equals")
            if operator in ("GreaterThan", "GreaterThanOrEqualTo"):
                low = max(low, bisect_left(entries, (_time(filter_.get("Value", "")), -1), key=lambda entry: entry[:2]))
            elif operator in ("LessThan", "LessThanOrEqualTo"):
                end = bisect_left(entries, (_time(filter_.get("Value", "")) + 1, -1), key=lambda entry: entry[:2])
                high = end if high is None else min(high, end)
    return entries, low, len(entries) if high is None else high


def _expression(expression: Mapping[str, Any]) -> _Test:
    if expression.get("NestedFilters"):
        raise invalid("NestedFilters are not supported for the resource TrainingJob by the emulator.")
    tests = [_filter(one) for one in expression.get("Filters") or ()]
    tests += [_expression(one) for one in expression.get("SubExpressions") or ()]
    if tests and expression.get("Operator", "And") == "Or":
        return lambda job, state: any(test(job, state) for test in tests)
    return lambda job, state: all(test(job, state) for test in tests)


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Equals": lambda left, right: left == right,
    "NotEquals": lambda left, right: left != right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


def _filter(condition: Mapping[str, Any]) -> _Test:
    name, value = condition["Name"], condition.get("Value")
    operator: str = condition.get("Operator", "Equals")
    read = _property(name)
    if operator == "Exists":
        return lambda job, state: read(job, state) is not None
    if operator == "NotExists":
        return lambda job, state: read(job, state) is None
    if value is None:
        raise invalid(f"The filter on {name} needs a Value for the operator {operator}.")
    kind = _kind(name)
    if operator in ("Contains", "In"):
        if kind != "text":
            raise invalid(f"The operator {operator} is only supported for text properties, and {name} is none.")
        if operator == "Contains":
            return lambda job, state: value in (read(job, state) or "")
        values = frozenset(value.split(","))
        return lambda job, state: read(job, state) in values
    compare = _COMPARISONS[operator]
    if kind == "text" and operator in ("Equals", "NotEquals"):
        return lambda job, state: bool(compare(read(job, state), value))
    if kind == "text" and not name.startswith("HyperParameters."):
        raise invalid(f"The operator {operator} is not supported for text properties such as {name}.")
    wanted = _time(value) if kind == "time" else _number(value, name)

    def test(job: Job, state: State) -> bool:
        found = read(job, state)
        if found is None:
            return operator == "NotEquals"
        if kind == "time" and operator in ("Equals", "NotEquals"):
            found = float(int(found))  # because times in filters are whole seconds
        elif isinstance(found, str):
            try:
                found = float(found.strip('"'))
            except ValueError:
                return operator == "NotEquals"
        return bool(compare(found, wanted))

    return test


def _kind(name: str) -> str:
    if name in _TIMES:
        return "time"
    if name in _NUMBERS or name.startswith("Metrics.") or name.endswith(("Count", "InSeconds", "InGB")):
        return "number"
    return "text"


def _property(name: str) -> Callable[[Job, State], Any]:
    """The function that reads a property from a job.

    A property is a tag, a hyperparameter, a metric, or a member of Describe's answer; dots lead to inner members.
    """
    prefix, _, rest = name.partition(".")
    if prefix == "Tags" and rest:
        return lambda job, _: job.tags.get(rest)
    if prefix == "HyperParameters" and rest:
        return lambda job, _: (job.request.get("HyperParameters") or {}).get(rest)
    if prefix == "Metrics" and rest:
        return lambda _, state: next((metric.value for metric in state.metrics if metric.name == rest), None)
    if name in _OF_STATE:
        return _OF_STATE[name]
    if prefix not in _properties():
        raise invalid(f"The property {name} is invalid for the resource TrainingJob.")
    return lambda job, _: _inner(job.request, name.split("."))


_OF_STATE: dict[str, Callable[[Job, State], Any]] = {
    "TrainingJobName": lambda job, _: job.name,
    "TrainingJobArn": lambda job, _: job.arn,
    "TrainingJobStatus": lambda _, state: state.status,
    "SecondaryStatus": lambda _, state: state.secondary_status,
    "CreationTime": lambda job, _: job.created,
    "LastModifiedTime": lambda _, state: state.modified,
    "TrainingStartTime": lambda _, state: state.started,
    "TrainingEndTime": lambda _, state: state.ended,
    "FailureReason": lambda _, state: state.reason,
    "TrainingTimeInSeconds": lambda _, state: state.seconds if state.is_over else None,
    "BillableTimeInSeconds": lambda _, state: state.billable_seconds if state.is_over else None,
    "ModelArtifacts.S3ModelArtifacts": lambda _, state: state.model or None,
}


@cache
def _properties() -> frozenset[str]:
    return frozenset(service_model().shape_for("TrainingJob").members)


def _inner(value: Any, path: list[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _number(value: str, name: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise invalid(f"The value {value} of {name} must be a number.") from None


def _time(value: str) -> float:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?", value):
        raise invalid(f"The value {value} must be an ISO 8601 date-time string, as in 2026-01-31T23:59:59.")
    return calendar.timegm(time.strptime(value.removesuffix("Z"), "%Y-%m-%dT%H:%M:%S"))


def _write_token(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read_token(token: str | None) -> list[Any] | None:
    if not token:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        place = None
    if not isinstance(place, list):
        raise invalid("The provided NextToken is invalid.")
    return place
