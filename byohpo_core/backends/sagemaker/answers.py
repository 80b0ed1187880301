"""Tell AWS's own answers from those of a proxy, a sign-in page or a broken connection in between.

botocore reads an HTML page with status 200 as an answer without members: a list without jobs, or a stop that worked.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_JOB = ("TrainingJobName", "TrainingJobStatus", "LastModifiedTime")
_NEEDED: Mapping[str, Sequence[str]] = {
    "CreateTrainingJob": ["TrainingJobArn"],
    "DescribeTrainingJob": _JOB,
    "Search": [f"Results[].TrainingJob.{name}" for name in _JOB],
    "FilterLogEvents": [f"events[].{name}" for name in ("eventId", "logStreamName", "message", "timestamp")],
    "PutObject": ["ETag"],
    "GetObject": ["ETag"],
    "ListObjectsV2": ["Name", "Contents[].Key", "CommonPrefixes[].Prefix"],
    "CopyObject": ["CopyObjectResult.ETag"],
    "CreateMultipartUpload": ["UploadId"],
    "UploadPartCopy": ["CopyPartResult.ETag"],
    "CompleteMultipartUpload": ["ETag"],
}
"""What byohpo reads of an answer, by operation. `[]` stands for each entry of a list, which may be missing."""
_REQUEST_IDS = ("x-amz-request-id", "x-amzn-requestid")


class Garbled(Exception):
    """An answer that is not AWS's; the message says why."""


def listen(client: Any) -> None:
    """Make a boto3 client raise `Garbled` for answers that are not AWS's, before it acts on them."""

    def check(
        event_name: str, response_dict: Mapping[str, Any] | None, parsed_response: Mapping[str, Any] | None, **_: Any
    ) -> None:
        if response_dict is not None and parsed_response is not None:  # else there was no answer
            operation = client.meta.service_model.operation_model(event_name.rpartition(".")[2])
            if problem := _problem(operation, response_dict, parsed_response):
                raise Garbled(f"{problem} (HTTP status {response_dict['status_code']})")

    client.meta.events.register("response-received", check)


def _problem(operation: Any, response: Mapping[str, Any], parsed: Mapping[str, Any]) -> str | None:
    """Why this answer to an operation is not AWS's; None if it is."""
    headers, status = response["headers"], response["status_code"]
    identified = any(name in headers for name in _REQUEST_IDS)
    is_json = operation.service_model.metadata["protocol"] == "json"
    if status >= 300 and not is_json and status < 400 and not identified:  # noqa: PLR2004 - HTTP's redirects
        return "a redirect that is not from AWS"
    if status >= 300:  # noqa: PLR2004 - botocore reads everything from here on as an error
        code = parsed.get("Error", {}).get("Code")
        # Without an error code, botocore gives the HTTP status in its place.
        return None if isinstance(code, str) and code[:1].isalpha() else "an error without one of AWS's error codes"
    if is_json and (problem := _json_problem(operation, response, identified=identified)):
        return problem
    if not is_json and not identified:
        return "an answer without AWS's request id"
    missing = next((path for path in _NEEDED.get(operation.name, ()) if _lacks(parsed, path)), None)
    return f"an answer without {missing}" if missing else None


def _json_problem(operation: Any, response: Mapping[str, Any], *, identified: bool) -> str | None:
    kind = response["headers"].get("content-type", "")
    if "amz-json" not in kind:
        return f"an answer of type {kind!r}"
    if not response["body"]:
        return None if identified else "an empty answer"
    body = json.loads(response["body"])
    known = operation.output_shape.members.keys() if operation.output_shape else set()
    if not isinstance(body, dict) or (body and known.isdisjoint(body)):
        return "an answer of another form"
    return None


def _lacks(value: Any, path: str) -> bool:
    """Whether the value at *path* is missing."""
    name, _, rest = path.partition(".")
    found = value.get(name.removesuffix("[]")) if isinstance(value, Mapping) else None
    if name.endswith("[]"):
        return any(_lacks(entry, rest) for entry in found or ())
    return _lacks(found, rest) if rest else found is None
