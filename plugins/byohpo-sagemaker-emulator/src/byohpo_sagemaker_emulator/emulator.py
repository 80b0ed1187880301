"""The emulator: one address at which training jobs, S3, Logs, STS and IAM answer."""

import json
import re
import traceback
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import attrs

from byohpo_sagemaker_emulator.aws import Moto, Request, Response, Storage
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.clock import Clock, RealClock
from byohpo_sagemaker_emulator.containers import Containers
from byohpo_sagemaker_emulator.errors import ConnectionLost, ServiceError
from byohpo_sagemaker_emulator.faults import Faults, listed
from byohpo_sagemaker_emulator.iam import any_role, simulate_principal_policy
from byohpo_sagemaker_emulator.job import ACCOUNT, JobView
from byohpo_sagemaker_emulator.limits import Rates
from byohpo_sagemaker_emulator.logs import GROUP
from byohpo_sagemaker_emulator.server import HOST, Server
from byohpo_sagemaker_emulator.service import Quota, Runner, TrainingJobs
from byohpo_sagemaker_emulator.simulation import Function, Simulations

_REGION = "us-east-1"
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d+/([^/,]+)/([^/,]+)/aws4_request")
_FAULTY = frozenset({"sagemaker", "logs", "s3"})


_SESSION_LOCK = Lock()
"""A session may be used by many threads, but make clients in one at a time."""


@cache
def _session() -> Any:
    """One for all emulators, since to read a service's model takes half a second."""
    import boto3

    return boto3.session.Session("emulator", "emulator", "emulator", region_name=_REGION)


@attrs.frozen
class Call:
    """One request that arrived."""

    service: str
    operation: str
    time: float
    outcome: str
    """`ok`, the error's code, or the kind of fault that closed the connection."""
    parameters: Mapping[str, Any]


class Emulator:
    """AWS as a training job sees it, on the loopback address while the context lasts; one at a time in a process.

    With *job*, a function from a CreateTrainingJob request to a `SimulatedJob`, nothing is run, and the clock may be a
    `VirtualClock`. Without, jobs run as processes in folders below *folder*.
    """

    _running: ClassVar[Lock] = Lock()

    def __init__(
        self,
        port: int = 0,
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        job: Function | None = None,
        folder: str | Path | None = None,
        calls_per_second: Mapping[str, float] | None = None,
        quota: Quota = None,
        stop_grace_seconds: float = 120.0,
    ) -> None:
        if job is None and clock is not None and not isinstance(clock, RealClock):
            raise ValueError(
                "processes take their own time: a virtual clock needs job=, a function that simulates them"
            )
        self.clock: Clock = clock or RealClock()
        self.faults = faults or Faults()
        self.calls: list[Call] = []
        self._port = port
        self._function = job
        self._folder = folder
        self._rates = Rates(calls_per_second or {})
        self._quota = quota
        self._grace = stop_grace_seconds
        self._book = Book(self.clock, self.faults)

    def __enter__(self) -> Self:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("an emulator is running in this process already: close it before you start another")
        try:
            self._moto = Moto()
            storage = Storage(self._moto)
            self._runner = self._make_runner(storage)
            self._training_jobs = TrainingJobs(self._book, self._runner, storage, self._quota)
            self._server = Server(self._port, self._handle)
        except BaseException:
            self._running.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._server.close()
            self._runner.close()
            self._moto.reset()
        finally:
            self._running.release()

    def _make_runner(self, storage: Storage) -> Runner:
        if self._function is None:
            folder = None if self._folder is None else Path(self._folder).resolve()
            return Containers(self._book, storage, folder, self._grace, lambda: self.environment)
        return Simulations(self._book, self._function)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send boto3, the SDKs and the AWS command here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_SESSION_TOKEN": "emulator",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of this emulator."""
        with _SESSION_LOCK:
            return _session().client(service, endpoint_url=self.url, **options)

    @property
    def quota(self) -> Quota:
        """Instances that jobs may have at once: in all types each, or by type."""
        return self._quota

    @quota.setter
    def quota(self, quota: Quota) -> None:
        self._quota = quota
        self._training_jobs.quota = quota

    @property
    def calls_per_second(self) -> Mapping[str, float]:
        """The rate of each operation, `*` for all others."""
        return self._rates.calls_per_second

    @calls_per_second.setter
    def calls_per_second(self, rates: Mapping[str, float]) -> None:
        self._rates = Rates(rates)

    @property
    def jobs(self) -> dict[str, JobView]:
        """Every job, as it is now."""
        with self._book.lock:
            self._book.settle()
            return {name: JobView.of(job) for name, job in self._book.jobs.items()}

    @property
    def peak_instances(self) -> int:
        """The most instances in use at once."""
        return self._book.instances.peak

    def _handle(self, request: Request) -> Response:
        """Answer a request, and record it."""
        call = _Incoming.of(request)
        outcome, time = "ok", self.clock.now()
        try:
            response = self._answer(request, call)
            if response.status >= HTTPStatus.BAD_REQUEST:
                outcome = _code(response)
        except ServiceError as error:
            outcome = error.code
            response = call.refuse(error)
        except ConnectionLost as lost:
            outcome = lost.kind
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of the emulator's own, which is to be seen
            traceback.print_exc()
            outcome = type(error).__name__
            response = call.refuse(ServiceError("InternalFailure", f"the emulator failed: {error!r}", 500))
        finally:
            self.calls.append(Call(call.service, call.operation, time, outcome, call.parameters))
        return response

    def _answer(self, request: Request, call: "_Incoming") -> Response:
        if "origin" in request.headers:
            # A page in a browser on this machine may reach this address, and must not start processes here.
            raise ServiceError("AccessDenied", "the emulator does not answer browsers", 403)
        with self._book.lock:
            now = self._book.settle()
            fault = self._fault(call, now)
            self._check_permission(call)
            if fault == "quota":
                raise self._training_jobs.limit(call.parameters)
            try:
                response = self._own_answer(call, now)
            except ServiceError:
                if fault == "timeout":
                    raise ConnectionLost(fault) from None
                raise
        if response is None:
            response = self._motos_answer(request, call)
        if fault == "timeout":
            raise ConnectionLost(fault)
        return response

    def _own_answer(self, call: "_Incoming", now: float) -> Response | None:
        """What is answered here: training jobs, their logs, and what moto lacks of IAM."""
        if call.service == "sagemaker" and self._training_jobs.answers(call.operation, call.parameters):
            answer = self._training_jobs.answer(call.operation, dict(call.parameters), call.region, now)
            self._book.settle()
            return _json(answer)
        if call.service == "logs" and call.parameters.get("logGroupName") == GROUP:
            return self._logs(call)
        if call.operation == "SimulatePrincipalPolicy":
            return simulate_principal_policy(call.parameters, self.faults.denied)
        return None

    def _motos_answer(self, request: Request, call: "_Incoming") -> Response:
        response = self._moto.call(request, HOST, self._server.port)
        if call.operation == "GetRole" and response.status == HTTPStatus.NOT_FOUND:
            arn = f"arn:aws:iam::{ACCOUNT}:role/{call.parameters.get('RoleName')}"
            return any_role(arn, trusted=not listed(arn, self.faults.roles_refused))
        return response

    def _fault(self, call: "_Incoming", now: float) -> str | None:
        """Raise the fault that strikes a call; give the one that strikes later."""
        if call.service not in _FAULTY:
            if self.faults.is_expired(now):
                raise call.expired()
            return None
        if call.service != "s3" and not self._rates.allow(call.operation, now):
            raise ServiceError("ThrottlingException", "Rate exceeded")
        fault = self.faults.of_call(call.operation, call.subject, now)
        if fault == "reset":
            raise ConnectionLost(fault)
        if fault == "expired":
            raise call.expired()
        if fault == "throttle":
            if call.service == "s3":
                raise ServiceError("SlowDown", "Please reduce your request rate.", 503)
            raise ServiceError("ThrottlingException", "Rate exceeded")
        if fault == "server_error":
            code = "InternalError" if call.service == "s3" else "InternalFailure"
            raise ServiceError(code, "We encountered an internal error. Please try again.", 500)
        return fault

    def _check_permission(self, call: "_Incoming") -> None:
        needed = [f"{call.service}:{call.operation}"]
        if call.operation == "CreateTrainingJob" and call.parameters.get("Tags"):
            needed.append("sagemaker:AddTags")
        action = next((action for action in needed if action in self.faults.denied), None)
        if action is None:
            return
        resource = "*"
        if call.service == "sagemaker":
            name = call.parameters.get("TrainingJobName", "*")
            resource = f"arn:aws:sagemaker:{call.region}:{ACCOUNT}:training-job/{name}"
        user = f"arn:aws:iam::{ACCOUNT}:user/emulator"
        message = (
            f"User: {user} is not authorized to perform: {action} on resource: {resource}"
            f" because no identity-based policy allows the {action} action"
        )
        if call.service == "s3":
            raise ServiceError("AccessDenied", message, 403)
        raise ServiceError("AccessDeniedException", message)

    def _logs(self, call: "_Incoming") -> Response | None:
        logs = self._book.logs
        answers = {
            "FilterLogEvents": logs.filter_log_events,
            "GetLogEvents": logs.get_log_events,
            "DescribeLogStreams": logs.describe_log_streams,
        }
        if call.operation not in answers:
            return None
        if not logs.exist:
            # As in an account that has never trained anything.
            raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
        return _json(answers[call.operation](call.parameters))


@attrs.frozen
class _Incoming:
    """A request, understood as a call of an operation."""

    service: str
    operation: str
    region: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, request: Request) -> "_Incoming":
        signed = _CREDENTIAL.search(request.headers.get("authorization", "")) or _CREDENTIAL.search(
            unquote(request.query).replace("X-Amz-Credential=", "Credential=")
        )
        region, service = (signed[2], signed[3]) if signed else (_REGION, "s3")
        target = request.headers.get("x-amz-target")
        if target:
            parameters = _loads(request.body)
            return cls(service, target.rpartition(".")[2], region, parameters)
        form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        if form and service != "s3":
            values = {name: texts[0] for name, texts in parse_qs(request.body.decode()).items()}
            return cls(service, values.pop("Action", ""), region, values)
        if service == "s3":
            bucket, _, key = unquote(request.path).lstrip("/").partition("/")
            place = {name: value for name, value in (("Bucket", bucket), ("Key", key)) if value}
            return cls("s3", _s3_operation(request, key), region, place)
        return cls(service, f"{request.method} {request.path}", region, {})

    @property
    def subject(self) -> str:
        """What the call is about, so that one that is repeated can be known."""
        about = self.parameters
        return str(about.get("TrainingJobName") or (about.get("Bucket", ""), about.get("Key", "")))

    def expired(self) -> ServiceError:
        if self.service == "s3":
            return ServiceError("ExpiredToken", "The provided token has expired.")
        if self.service in ("iam", "sts"):
            return ServiceError("ExpiredToken", "The security token included in the request is expired", 403)
        return ServiceError("ExpiredTokenException", "The security token included in the request is expired")

    def refuse(self, error: ServiceError) -> Response:
        """An error in the form of the service's protocol."""
        if self.service == "s3":
            told = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
        elif self.service in ("iam", "sts"):
            told = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
                f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>"
            )
        else:
            answer = {"__type": error.code, "message": error.message}
            return attrs.evolve(_json(answer), status=error.status)
        return Response(error.status, [("Content-Type", "application/xml")], told.encode())


_S3_VERBS = {"GET": "Get", "PUT": "Put", "POST": "Post", "DELETE": "Delete", "HEAD": "Head"}


def _s3_operation(request: Request, key: str) -> str:
    """The name of an S3 call, for the record."""
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
    except ValueError:
        parameters = None
    return parameters if isinstance(parameters, dict) else {}


def _json(answer: Mapping[str, Any]) -> Response:
    return Response(200, [("Content-Type", "application/x-amz-json-1.1")], json.dumps(answer).encode())


def _code(response: Response) -> str:
    """The code in an error that moto made."""
    found = re.search(rb'<Code>(.*?)</Code>|"__type": ?"(?:[^"#]*#)?([^"]*)"', response.body)
    return (found[1] or found[2]).decode() if found else str(response.status)
