"""Who may call: programs on this machine that address the emulator, sign with its keys, and want a service it has."""

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus

import attrs

from byohpo_sagemaker_emulator.aws import SERVED, Request
from byohpo_sagemaker_emulator.calls import Incoming
from byohpo_sagemaker_emulator.errors import ServiceError
from byohpo_sagemaker_emulator.keys import Keyring
from byohpo_sagemaker_emulator.payloads import declared, opened
from byohpo_sagemaker_emulator.signatures import BadSignature, Claim, Signer, check_signed_headers

_logger = logging.getLogger("byohpo_sagemaker_emulator")
_HOST = re.compile(r"(?:127\.0\.0\.1|\[::1\]|(?:([a-z0-9._-]+)\.)?localhost)(?::[0-9]{1,5})?", re.IGNORECASE)
_CODES = {
    "missing": ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"),
    "malformed": ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
    "unknown": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
    "token": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"),
    "expired": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "skewed": ("InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    "lapsed": ("InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"),
    "mismatch": ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
    "body": ("InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"),
}
"""For each kind of bad signature, its code in the protocols json (SageMaker, Logs), query (IAM, STS) and rest (S3)."""
_CALLERS_FAULT = frozenset({"malformed", "expired", "body"})
_CALL_BYTES = 16 * 2**20
"""The longest text in the services' models has 10 MiB."""
_OBJECT_BYTES = 5 * 2**30
"""The longest object that S3 takes in one call, and the longest part."""
_READING = ("Get", "List", "Simulate")


class Access:
    """Lets requests in, or refuses them. *hint* gives the line that a caller needs to get the right keys."""

    def __init__(self, keyring: Keyring, hint: Callable[[], str]) -> None:
        self._keyring = keyring
        self._hint = hint
        self._told: set[str] = set()

    def most_bytes(self, request: Request) -> int:
        """How long a body may be, from what comes before it: only a caller with keys may send a long one, to S3."""
        claim = Claim.of(request)
        try:
            _check_sender(request)
            if claim is not None and claim.service == "s3":
                self._check(request, claim)
                return _OBJECT_BYTES
        except (BadSignature, ServiceError):
            pass  # told by `admit`
        return _CALL_BYTES

    def admit(self, request: Request, claim: Claim | None, call: Incoming) -> Request:
        """The request with its body verified and decoded. Raises ServiceError if the caller may not make it."""
        bucket = _check_sender(request)
        if not request.is_whole and call.service != "s3":  # its signature covers the body
            raise ServiceError("RequestEntityTooLargeException", f"a call has at most {_CALL_BYTES} bytes", 413)
        try:
            verified = self._verify(request, claim)
        except BadSignature as bad:
            raise self._refusal(bad, call) from None
        _check_operation(request, call)
        return _path_style(verified, bucket) if call.service == "s3" else verified

    def _verify(self, request: Request, claim: Claim | None) -> Request:
        if claim is None:
            if "authorization" in request.headers or "X-Amz-" in request.query:
                raise BadSignature(
                    "malformed", "The signature must be AWS4-HMAC-SHA256, in the Authorization header or in the query."
                )
            raise BadSignature("missing", "Missing Authentication Token")
        signer, payload = self._check(request, claim)
        if not request.is_whole:
            raise ServiceError("EntityTooLarge", f"an object or a part has at most {_OBJECT_BYTES} bytes")
        return opened(request, claim, payload, signer)

    def _check(self, request: Request, claim: Claim) -> tuple[Signer, str]:
        """Check the signature of a request. Return its signer, and what it declares of the body."""
        key = self._keyring.find(claim.key_id, claim.token)
        if key is None:
            kind = "token" if self._keyring.knows(claim.key_id) else "unknown"
            raise BadSignature(kind, "The security token included in the request is invalid.")
        now = time.time()
        claim.check_moment(now)
        check_signed_headers(request, claim)
        signer = Signer(claim, key.secret)
        payload = declared(request, claim)
        signer.check(request, payload)
        if now > key.expires:
            raise BadSignature("expired", "The security token included in the request is expired")
        return signer, payload

    def _refusal(self, bad: BadSignature, call: Incoming) -> ServiceError:
        code = _CODES[bad.kind][("json", "query", "rest").index(call.protocol)]
        if code not in self._told:  # once, so that a caller who tries again and again does not fill the log
            self._told.add(code)
            _logger.warning("refused a call with %s. These are this emulator's keys: %s", code, self._hint())
        return ServiceError(code, bad.message, 400 if bad.kind in _CALLERS_FAULT else 403)


def _check_sender(request: Request) -> str | None:
    """Refuse web pages, which can reach this address from a browser here. Return the bucket in the host's name."""
    host = _HOST.fullmatch(request.headers.get("host", ""))
    if host is None or not request.target.startswith("/"):
        raise _denied("serves only the hosts 127.0.0.1, [::1], localhost and *.localhost")
    if "origin" in request.headers:
        raise _denied("refuses requests from browsers (with an Origin header)")
    if request.headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin"):
        raise _denied("refuses requests from other sites (Sec-Fetch-Site)")
    return host[1]


def _check_operation(request: Request, call: Incoming) -> None:
    if call.service not in SERVED:
        names = ", ".join(SERVED.values())
        message = f"the emulator does not serve {call.service}; it serves {names}"
        raise ServiceError("InvalidAction" if call.protocol == "query" else "UnknownOperationException", message)
    if call.service in ("iam", "sts") and "x-amz-target" in request.headers:
        # Moto would take the operation from it if there is no Action.
        raise ServiceError("InvalidAction", f"{call.service} has its operation in Action: leave out X-Amz-Target")
    if call.service == "s3" or request.method == "POST":
        return
    # A GET must not change anything. SageMaker and Logs know POST only.
    reads = request.method == "GET" and not request.body and call.operation.startswith(_READING)
    if call.service not in ("iam", "sts") or not reads:
        raise ServiceError("MethodNotAllowed", f"{call.service} needs POST for this", HTTPStatus.METHOD_NOT_ALLOWED)


def _path_style(request: Request, bucket: str | None) -> Request:
    """The request with its bucket in the path, where everything behind this point looks for it."""
    if bucket is None or bucket == "s3":
        return request
    headers = {**request.headers, "host": f"127.0.0.1:{request.port}"}
    return attrs.evolve(request, target=f"/{bucket}{request.target}", headers=headers)


def _denied(reason: str) -> ServiceError:
    return ServiceError("AccessDenied", f"the emulator {reason}", 403)
