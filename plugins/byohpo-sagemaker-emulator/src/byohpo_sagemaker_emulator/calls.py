"""Calls: parse an HTTP request into an operation, format errors for its protocol, and record it."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import attrs

from byohpo_sagemaker_emulator.aws import Request, Response
from byohpo_sagemaker_emulator.errors import ServiceError
from byohpo_sagemaker_emulator.signatures import Claim

REGION = "us-east-1"
_SHOWN = 100
"""The most characters of an operation that a stranger names."""


@attrs.frozen
class Call:
    """The record of one request. `time` is in seconds since 1970."""

    service: str
    operation: str
    time: float
    outcome: str
    """`ok`, the code of the error, or the kind of the fault that closed the connection."""
    parameters: Mapping[str, Any]
    """Empty if the caller had no right to call."""


@attrs.frozen
class Incoming:
    """A request, parsed into the service, operation, region and parameters of a call."""

    service: str
    operation: str
    region: str
    parameters: Mapping[str, Any]
    protocol: str
    """How its service writes errors: `json`, `query` (XML of IAM and STS) or `rest` (XML of S3)."""

    @classmethod
    def of(cls, request: Request, claim: Claim | None) -> "Incoming":
        """Parse a request to the service that its signature is for, or to the likely one if it has no signature."""
        region, service = (claim.region, claim.service) if claim else (REGION, _guess(request))
        target = request.headers.get("x-amz-target")
        if target and service not in ("s3", "iam", "sts"):
            return cls(service, target.rpartition(".")[2], region, _loads(request.body), "json")
        if service != "s3" and (_is_form(request) or "Action=" in request.query):
            form = request.body.decode(errors="replace") if _is_form(request) else request.query
            values = {name: texts[0] for name, texts in parse_qs(form).items()}
            return cls(service, values.pop("Action", ""), region, values, "query")
        if service == "s3":
            bucket, _, key = unquote(request.path).lstrip("/").partition("/")
            place = {name: value for name, value in (("Bucket", bucket), ("Key", key)) if value}
            return cls("s3", _s3_operation(request, key), region, place, "rest")
        return cls(service, f"{request.method} {request.path}", region, {}, "json")

    @classmethod
    def of_stranger(cls, request: Request, claim: Claim | None) -> "Incoming":
        """What is kept of a request until its caller is known: little, and nothing of its body is parsed."""
        call = cls.of(attrs.evolve(request, body=b""), claim)
        return attrs.evolve(call, operation=call.operation[:_SHOWN], parameters={})

    @property
    def subject(self) -> str:
        """The job or the object that the call is about. A repeated call has the same one."""
        about = self.parameters
        return str(about.get("TrainingJobName") or (about.get("Bucket", ""), about.get("Key", "")))

    def expired(self) -> ServiceError:
        """The error that this service returns for expired credentials."""
        if self.service == "s3":
            return ServiceError("ExpiredToken", "The provided token has expired.")
        if self.service in ("iam", "sts"):
            return ServiceError("ExpiredToken", "The security token included in the request is expired", 403)
        return ServiceError("ExpiredTokenException", "The security token included in the request is expired")

    def refuse(self, error: ServiceError) -> Response:
        """Format an error for the protocol of this service."""
        if self.protocol == "rest":
            told = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
        elif self.protocol == "query":
            told = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
                f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
            )
        else:
            answer = {"__type": error.code, "message": error.message}
            return attrs.evolve(json_response(answer), status=error.status)
        return Response(error.status, [("Content-Type", "application/xml")], told.encode())


def _guess(request: Request) -> str:
    """The service that a request without a signature is probably meant for."""
    target = request.headers.get("x-amz-target")
    if target:
        return "logs" if target.startswith("Logs") else "sagemaker"
    return "sts" if _is_form(request) or "Action=" in request.query else "s3"


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


_S3_VERBS = {"GET": "Get", "PUT": "Put", "POST": "Post", "DELETE": "Delete", "HEAD": "Head"}


def _s3_operation(request: Request, key: str) -> str:
    """The operation of an S3 request."""
    verb = _S3_VERBS.get(request.method, request.method)
    query = parse_qs(request.query, keep_blank_values=True)
    if "uploads" in query:
        return "CreateMultipartUpload" if verb == "Post" else "ListMultipartUploads"
    if "uploadId" in query:
        return {"Put": "UploadPart", "Post": "CompleteMultipartUpload", "Delete": "AbortMultipartUpload"}.get(
            verb, verb
        )
    if key:
        return "CopyObject" if "x-amz-copy-source" in request.headers else f"{verb}Object"
    if "delete" in query:
        return "DeleteObjects"
    if verb == "Get" and request.path.strip("/"):
        return "ListObjectsV2" if "list-type" in query else f"GetBucket{next(iter(query), '').title()}"
    if verb == "Get":
        return "ListBuckets"
    return {"Put": "CreateBucket", "Delete": "DeleteBucket", "Head": "HeadBucket"}.get(verb, verb)


def _loads(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        parameters = None
    return parameters if isinstance(parameters, dict) else {}


def json_response(answer: Mapping[str, Any]) -> Response:
    """Format an answer as JSON, with status 200."""
    return Response(200, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(answer).encode())


def error_code(response: Response) -> str:
    """The error code in a response from moto, or its HTTP status if it has none."""
    found = re.search(rb'<Code>(.*?)</Code>|"__type": ?"(?:[^"#]*#)?([^"]*)"', response.body)
    return (found[1] or found[2]).decode() if found else str(response.status)
