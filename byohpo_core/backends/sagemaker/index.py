"""The service's index of training jobs, a hundred of them a call; it lags behind the jobs themselves."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws

_PAGE = 100


def tagged(tag: str, value: str) -> dict[str, str]:
    """The condition that a job has this tag."""
    return {"Name": f"Tags.{tag}", "Operator": "Equals", "Value": value}


def changed_since(time: float) -> dict[str, str]:
    """The condition that a job has changed at this time (seconds since 1970) or later."""
    told = datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"Name": "LastModifiedTime", "Operator": "GreaterThanOrEqualTo", "Value": told}


def search(aws: Aws, conditions: Sequence[Mapping[str, str]], operator: str = "And") -> Iterator[Mapping[str, Any]]:
    """The training jobs that meet all the conditions or, by the *operator* Or, one; the newest change first."""
    request: dict[str, Any] = {
        "Resource": "TrainingJob",
        "SearchExpression": {"Filters": conditions, "Operator": operator},
        "SortBy": "LastModifiedTime",
        "SortOrder": "Descending",
        "MaxResults": _PAGE,
    }
    while True:
        page = aws.call("sagemaker", "search", **request)
        for result in page.get("Results", ()):
            yield result["TrainingJob"]
        if not page.get("NextToken"):
            return
        request["NextToken"] = page["NextToken"]
