"""Answer HTTP requests: check the caller, faults and permissions, then answer here or let moto answer."""

import traceback
from collections.abc import Callable
from http import HTTPStatus
from itertools import count

from byohpo_sagemaker_emulator.access import Access
from byohpo_sagemaker_emulator.aws import Moto, Request, Response
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.calls import Call, Incoming, error_code, json_response
from byohpo_sagemaker_emulator.errors import ConnectionLost, ServiceError
from byohpo_sagemaker_emulator.faults import listed
from byohpo_sagemaker_emulator.iam import any_role, simulate_principal_policy
from byohpo_sagemaker_emulator.job import ACCOUNT
from byohpo_sagemaker_emulator.keys import Keyring
from byohpo_sagemaker_emulator.limits import Rates
from byohpo_sagemaker_emulator.logs import GROUP
from byohpo_sagemaker_emulator.server import HOST
from byohpo_sagemaker_emulator.service import TrainingJobs
from byohpo_sagemaker_emulator.signatures import Claim

_FAULTY = frozenset({"sagemaker", "logs", "s3"})
_STRANGERS_KEPT = 1000
"""How many calls are recorded whose caller had no right to call."""


class Gateway:
    """Answer HTTP requests, and give the record of each call to *record*; of strangers' calls, only the first ones."""

    def __init__(
        self,
        book: Book,
        training_jobs: TrainingJobs,
        moto: Moto,
        rates: Rates,
        keyring: Keyring,
        access: Access,
        check_permission: Callable[[Incoming], None],
        record: Callable[[Call], None],
    ) -> None:
        self._book = book
        self._training_jobs = training_jobs
        self._moto = moto
        self._rates = rates
        self._keyring = keyring
        self._access = access
        self._check_permission = check_permission
        self._record = record
        self._strangers = count()

    def handle(self, request: Request) -> Response:
        """Answer a request and record it. Raises ConnectionLost if a fault closes the connection."""
        claim = Claim.of(request)
        call = stranger = Incoming.of_stranger(request, claim)
        outcome, time = "ok", self._book.clock.now()
        try:
            request = self._access.admit(request, claim, call)
            call = Incoming.of(request, claim)
            response = self._answer(request, call)
            if response.status >= HTTPStatus.BAD_REQUEST:
                outcome = error_code(response)
        except ServiceError as error:
            outcome = error.code
            response = call.refuse(error)
        except ConnectionLost as lost:
            outcome = lost.kind
            raise
        except Exception as error:  # noqa: BLE001 - a bug in the emulator, answered like one in the service
            traceback.print_exc()
            outcome = type(error).__name__
            response = call.refuse(ServiceError("InternalFailure", f"bug in byohpo-sagemaker-emulator: {error!r}", 500))
        finally:
            if call is not stranger or next(self._strangers) < _STRANGERS_KEPT:
                self._record(Call(call.service, call.operation, time, outcome, call.parameters))
        return response

    def _answer(self, request: Request, call: Incoming) -> Response:
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

    def _own_answer(self, call: Incoming, now: float) -> Response | None:
        """Answer a call about training jobs, their logs, or a role's permissions. None means that moto answers."""
        if call.service == "sagemaker" and self._training_jobs.answers(call.operation, call.parameters):
            answer = self._training_jobs.answer(call.operation, dict(call.parameters), call.region, now)
            self._book.settle()
            return json_response(answer)
        if call.service == "logs" and call.parameters.get("logGroupName") == GROUP:
            return self._logs(call)
        if call.operation == "SimulatePrincipalPolicy":
            return simulate_principal_policy(call.parameters, self._book.faults.denied)
        return None

    def _motos_answer(self, request: Request, call: Incoming) -> Response:
        response = self._moto.call(call.service, request, HOST)
        if call.service == "sts":
            return self._keyring.issue(response)
        if call.operation == "GetRole" and response.status == HTTPStatus.NOT_FOUND:
            arn = f"arn:aws:iam::{ACCOUNT}:role/{call.parameters.get('RoleName')}"
            return any_role(arn, trusted=not listed(arn, self._book.faults.roles_refused))
        return response

    def _fault(self, call: Incoming, now: float) -> str | None:
        """Raise the error of the fault that hits a call. Return `quota` and `timeout`, which act later."""
        if call.service not in _FAULTY:
            if self._book.faults.is_expired(now):
                raise call.expired()
            return None
        if call.service != "s3" and not self._rates.allow(call.operation, now):
            raise ServiceError("ThrottlingException", "Rate exceeded")
        fault = self._book.faults.of_call(call.operation, call.subject, now)
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

    def _logs(self, call: Incoming) -> Response | None:
        logs = self._book.logs
        answers = {
            "FilterLogEvents": logs.filter_log_events,
            "GetLogEvents": logs.get_log_events,
            "DescribeLogStreams": logs.describe_log_streams,
        }
        if call.operation not in answers:
            return None
        if not logs.exist:
            # AWS creates the group when the container of an account's first training job starts.
            raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
        return json_response(answers[call.operation](call.parameters))
