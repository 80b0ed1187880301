"""The body of a signed request: its hash, and the chunks of S3's encoding aws-chunked.

Source: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers" (S3 API reference).
"""

import hmac
import re
from hashlib import sha256

import attrs

from byohpo_sagemaker_emulator.aws import Request
from byohpo_sagemaker_emulator.signatures import UNSIGNED, BadSignature, Claim, Signer

_EMPTY = sha256(b"").hexdigest()
_MODES = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
}
"""For each chunked payload: whether chunks are signed, and whether a trailer follows them."""
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_OF_ENCODING = frozenset({"content-encoding", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"})


def declared(request: Request, claim: Claim) -> str:
    """The hash of the body that a signature covers, or the word that stands for it.

    Raises BadSignature for a word that is not allowed: only S3 takes bodies that are not covered.
    """
    given = request.headers.get("x-amz-content-sha256")
    if given is None:
        return UNSIGNED if claim.service == "s3" and claim.seconds is not None else sha256(request.body).hexdigest()
    words = {UNSIGNED, *_MODES} if claim.service == "s3" else set()
    if given not in words and not re.fullmatch("[0-9a-f]{64}", given):
        raise BadSignature(
            "body", "x-amz-content-sha256 must be a valid sha256 value or, for S3, UNSIGNED-PAYLOAD or STREAMING-..."
        )
    return given


def opened(request: Request, claim: Claim, payload: str, signer: Signer) -> Request:
    """The request with its body checked against what was *declared*, and without the encoding aws-chunked."""
    if payload in _MODES:
        return _unchunked(request, claim, payload, signer)
    if payload != UNSIGNED and not hmac.compare_digest(sha256(request.body).hexdigest(), payload):
        raise BadSignature("body", "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return request


def _unchunked(request: Request, claim: Claim, mode: str, signer: Signer) -> Request:
    signed, trailed = _MODES[mode]
    chunks, rest, last = _chunks(request.body, claim, signer if signed else None)
    content = b"".join(chunks)
    if request.headers.get("x-amz-decoded-content-length", "") != str(len(content)):
        raise BadSignature("body", "The body is not as long as x-amz-decoded-content-length says.")
    trailers = _trailers(rest) if trailed else {}
    if trailed:
        signature = trailers.pop("x-amz-trailer-signature", "")
        text = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        lines = [last, sha256(text.encode()).hexdigest()]
        if signed and not signer.matches("AWS4-HMAC-SHA256-TRAILER", lines, signature):
            raise BadSignature("mismatch", "The signature of the trailer does not match.")
        announced = {name.strip().lower() for name in request.headers.get("x-amz-trailer", "").split(",")}
        if not trailers.keys() <= announced:
            raise BadSignature("body", "The trailer contains headers that x-amz-trailer does not announce.")
    elif rest.strip():
        raise BadSignature("body", "There is something behind the last chunk.")
    headers = {name: value for name, value in request.headers.items() if name not in _OF_ENCODING}
    encodings = [one.strip() for one in request.headers.get("content-encoding", "").split(",")]
    if others := ",".join(one for one in encodings if one and one != "aws-chunked"):
        headers["content-encoding"] = others
    return attrs.evolve(request, body=content, headers=headers | trailers)


def _chunks(body: bytes, claim: Claim, signer: Signer | None) -> tuple[list[bytes], bytes, str]:
    """The chunks of a body, what follows the last one, and its signature. *signer* is None if they are not signed."""
    chunks: list[bytes] = []
    position, previous = 0, claim.signature
    while True:
        end = body.find(b"\r\n", position)
        found = _CHUNK.fullmatch(body, position, end) if end >= 0 else None
        if found is None:
            raise BadSignature("body", "The chunks of the body cannot be read.")
        start = end + 2
        size = int(found[1], 16)
        content = body[start : start + size]
        if signer is not None:
            signature = (found[2] or b"").decode()
            lines = [previous, _EMPTY, sha256(content).hexdigest()]
            if not signer.matches("AWS4-HMAC-SHA256-PAYLOAD", lines, signature):
                raise BadSignature("mismatch", "The signature of a chunk does not match.")
            previous = signature
        position = start + size
        if size == 0:
            return chunks, body[position:], previous
        if body[position : position + 2] != b"\r\n":
            raise BadSignature("body", "The chunks of the body cannot be read.")
        chunks.append(content)
        position += 2


def _trailers(rest: bytes) -> dict[str, str]:
    lines = [line.strip() for line in rest.decode("latin-1").split("\n")]
    pairs = [line.partition(":") for line in lines if line]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
