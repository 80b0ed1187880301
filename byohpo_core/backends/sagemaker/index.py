"""Search SageMaker's index of training jobs, 100 per call. The index lags behind the jobs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws

_PAGE = 100
_LONGEST_VALUE = 1024
IN_PROGRESS = {"Name": "TrainingJobStatus", "Operator": "Equals", "Value": "InProgress"}
"""The search condition for jobs that run, or are about to."""


def tagged(tag: str, value: str) -> dict[str, str]:
    """The search condition for jobs with this tag."""
    return {"Name": f"Tags.{tag}", "Operator": "Equals", "Value": value}


def changed_since(time: float) -> dict[str, str]:
    """The search condition for jobs changed at this Unix time, in seconds, or later."""
    told = datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"Name": "LastModifiedTime", "Operator": "GreaterThanOrEqualTo", "Value": told}


def named(names: Iterable[str]) -> Iterator[dict[str, str]]:
    """The search conditions for jobs with these names: each for as many as fit into one condition."""
    listed = ""
    for name in names:
        if listed and len(listed) + 1 + len(name) > _LONGEST_VALUE:
            yield {"Name": "TrainingJobName", "Operator": "In", "Value": listed}
            listed = ""
        listed = f"{listed},{name}" if listed else name
    if listed:
        yield {"Name": "TrainingJobName", "Operator": "In", "Value": listed}


def search(aws: Aws, conditions: Sequence[Mapping[str, str]], operator: str = "And") -> Iterator[Mapping[str, Any]]:
    """The training jobs that meet all conditions or, if *operator* is Or, any of them, in turn; latest change first."""
    if operator == "Or":
        for condition in conditions:
            yield from search(aws, [condition])
        return
    request: dict[str, Any] = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": conditions, "Operator": "And"},
        "SortBy": "LastModifiedTime",
        "SortOrder": "Descending",
        "MaxResults": _PAGE,
    }
    # A policy can demand these, so that its user finds no other study's jobs (docs/sagemaker/iam.md).
    if tags := [{"Key": it["Name"], "Value": it["Value"]} for it in conditions if it["Name"].startswith("Tags.")]:
        request["VisibilityConditions"] = tags
    while True:
        page = aws.call("sagemaker", "search", **request)
        for result in page.get("Results", ()):
            yield result["TrainingJob"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]
