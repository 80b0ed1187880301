"""Signature version 4: what a request says about who signed it, and whether that is true.

Sources: "AWS Signature Version 4 for API requests" (IAM user guide) and "Authenticating Requests (AWS Signature
Version 4)" (S3 API reference).
"""

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import attrs

from byohpo_sagemaker_emulator.aws import Request

UNSIGNED = "UNSIGNED-PAYLOAD"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})"
)
_CREDENTIAL = re.compile(r"([^/\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request", re.ASCII)
_MOMENT = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SKEW_SECONDS = 15 * 60
_LONGEST_SECONDS = 7 * 86_400
_UNRESERVED = "-_.~"


class BadSignature(Exception):
    """A request is not signed as it should be. Each service has its own code for a *kind*."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@attrs.frozen
class Claim:
    """What a request says about its signature. Nothing of it is checked yet."""

    key_id: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: str
    """When it was signed, such as 20260102T030405Z."""
    seconds: int | None
    """How long a presigned URL is valid. None if the signature is in the header."""
    token: str | None

    @classmethod
    def of(cls, request: Request) -> "Claim | None":
        """Read the Authorization header or the parameters of a presigned URL. None if there is not exactly one."""
        presigned: dict[str, str] = {}
        for name, value in parse_qsl(request.query, keep_blank_values=True):
            if name.startswith("X-Amz-") and presigned.setdefault(name, value) != value:
                return None
        header = request.headers.get("authorization")
        if header is not None and "X-Amz-Signature" not in presigned:
            return _in_header(request, header)
        if header is None and presigned.get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256":
            return _in_query(presigned)
        return None

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"

    def check_moment(self, now: float) -> None:
        """Raise BadSignature if the request was signed too long before or after *now*."""
        try:
            signed = datetime.strptime(self.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise BadSignature("malformed", f"{self.moment!r} is not a date of the form YYYYMMDD'T'HHMMSS'Z'") from None
        if self.day != self.moment[:8]:
            raise BadSignature("malformed", "The date in the credential scope is not that of the request.")
        until = signed + _SKEW_SECONDS if self.seconds is None else signed + self.seconds
        if now > until:
            kind = "skewed" if self.seconds is None else "lapsed"
            raise BadSignature(kind, f"Signature expired: {self.moment} is too long before {_shown(now)}")
        if signed > now + _SKEW_SECONDS:
            raise BadSignature("skewed", f"Signature not yet current: {self.moment} is too long after {_shown(now)}")


def _in_header(request: Request, header: str) -> Claim | None:
    found = _AUTHORIZATION.fullmatch(header.strip())
    if found is None:
        return None
    moment = request.headers.get("x-amz-date", "")
    return _claim(found[1], found[2], found[3], moment, None, request.headers.get("x-amz-security-token"))


def _in_query(presigned: dict[str, str]) -> Claim | None:
    seconds = presigned.get("X-Amz-Expires", "")
    if not re.fullmatch(r"[0-9]{1,6}", seconds) or not 0 < int(seconds) <= _LONGEST_SECONDS:
        return None
    credential, headers, signature, moment = (
        presigned.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature", "Date")
    )
    return _claim(credential, headers, signature, moment, int(seconds), presigned.get("X-Amz-Security-Token"))


def _claim(
    credential: str, headers: str, signature: str, moment: str, seconds: int | None, token: str | None
) -> Claim | None:
    found = _CREDENTIAL.fullmatch(credential)
    if found is None or not _MOMENT.fullmatch(moment):
        return None
    key_id, day, region, service = found.groups()
    return Claim(key_id, day, region, service, tuple(headers.split(";")), signature, moment, seconds, token or None)


class Signer:
    """Computes signatures with the key and the scope of a claim."""

    def __init__(self, claim: Claim, secret: str) -> None:
        key = f"AWS4{secret}".encode()
        for part in claim.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key
        self._claim = claim

    def check(self, request: Request, payload: str) -> None:
        """Raise BadSignature unless the claim's signature is that of the request with a hash of its body."""
        canonical = canonical_request(request, self._claim, payload)
        if not self.matches("AWS4-HMAC-SHA256", [sha256(canonical).hexdigest()], self._claim.signature):
            raise BadSignature(
                "mismatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
                " Access Key and signing method. Consult the service documentation for details.",
            )

    def matches(self, algorithm: str, lines: Iterable[str], signature: str) -> bool:
        """Whether *signature* is that of *lines*, in the scope of the claim."""
        text = "\n".join([algorithm, self._claim.moment, self._claim.scope, *lines])
        computed = hmac.new(self._key, text.encode(), sha256).hexdigest()
        return hmac.compare_digest(computed.encode(), signature.encode())


def canonical_request(request: Request, claim: Claim, payload: str) -> bytes:
    """The text of a request that a signature is computed from."""
    headers = [name.encode() + b":" + _trimmed(request.headers.get(name, "")) for name in claim.signed_headers]
    parts = [
        request.method.encode(),
        _canonical_path(request, claim.service),
        _canonical_query(request.query),
        *headers,
        b"",
        ";".join(claim.signed_headers).encode(),
        payload.encode(),
    ]
    return b"\n".join(parts)


def check_signed_headers(request: Request, claim: Claim) -> None:
    """Raise BadSignature if a header that decides what a request does is not covered by the signature."""
    deciding = {name for name in request.headers if name == "host" or name.startswith("x-amz-")}
    if unsigned := sorted(deciding.difference(claim.signed_headers)):
        raise BadSignature(
            "mismatch", f"There were headers present in the request which were not signed: {', '.join(unsigned)}"
        )


def _canonical_path(request: Request, service: str) -> bytes:
    if service == "s3":  # the one service whose path is encoded once only
        return quote(unquote_to_bytes(request.path), safe=f"/{_UNRESERVED}").encode()
    return quote(request.path, safe=f"/{_UNRESERVED}").encode()


def _canonical_query(query: str) -> bytes:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded if name != "X-Amz-Signature").encode()


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)


def _trimmed(value: str) -> bytes:
    # http.server decodes headers as Latin-1, whatever their bytes mean.
    return b" ".join(value.encode("latin-1", "replace").split())


def _shown(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y%m%dT%H%M%SZ")
