"""The services that moto provides: S3, IAM, STS and what the emulator does not know of SageMaker and Logs."""

import io
from collections.abc import Iterator, Mapping
from threading import RLock
from typing import Any
from urllib.parse import unquote

import attrs

from byohpo_sagemaker_emulator.job import ACCOUNT

Headers = list[tuple[str, str]]
SERVED = {"sagemaker": "SageMaker", "s3": "S3", "logs": "CloudWatch Logs", "sts": "STS", "iam": "IAM"}
"""The services that the emulator serves, by the name that requests are signed for. No others can be reached."""


@attrs.frozen
class Request:
    """One HTTP request with its body."""

    method: str
    target: str
    """Path and query, still percent-encoded."""
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes
    port: int
    """The port that received it."""
    is_whole: bool = True
    """False if the body was too long; nothing of it is kept."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@attrs.frozen
class Response:
    """One HTTP response."""

    status: int
    headers: Headers
    body: bytes


class Moto:
    """Moto's WSGI applications. They get one request at a time, because most of its services are not thread-safe.

    There is one for each service in `SERVED`. Moto's dispatcher is not used: it looks for a service in paths and bodies
    too, and so finds moto's own interface, which shows and deletes everything.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        self._applications: dict[str, Any] = {}
        self._create: Any = create_backend_app
        self.lock = RLock()
        self.reset()

    def reset(self) -> None:
        """Delete all of moto's state, in every service."""
        from moto.moto_api._internal.models import moto_api_backend

        with self.lock:
            moto_api_backend.reset()

    def call(self, service: str, request: Request, host: str) -> Response:
        """Let moto answer a request to a service in `SERVED`."""
        status: list[str] = []
        headers: Headers = []

        def start_response(line: str, given: Headers, _: object = None) -> None:
            status.append(line)
            headers.extend(given)

        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(request.path, "latin-1"),
            "QUERY_STRING": request.query,
            "RAW_URI": request.target,
            "REQUEST_URI": request.target,
            "SERVER_NAME": host,
            "SERVER_PORT": str(request.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()},
        }
        if "content-type" in request.headers:
            environ["CONTENT_TYPE"] = request.headers["content-type"]
        with self.lock:
            if service not in self._applications:
                self._applications[service] = self._create(service)
            answer = self._applications[service](environ, start_response)
            try:
                body = b"".join(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
        return Response(int(status[0].split()[0]), headers, body)


class Storage:
    """Direct access to the objects in moto's S3, without HTTP. URIs have the form `s3://bucket/key`."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto

    @property
    def _buckets(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"].buckets

    def has_bucket(self, uri: str) -> bool:
        """Whether the bucket of *uri* exists."""
        with self._moto.lock:
            return split_uri(uri)[0] in self._buckets

    def has_objects(self, uri: str) -> bool:
        """Whether any object exists under the prefix *uri*."""
        bucket, prefix = split_uri(uri)
        with self._moto.lock:
            return bucket in self._buckets and any(key.startswith(prefix) for key in self._buckets[bucket].keys)

    def read(self, uri: str) -> Iterator[tuple[str, bytes]]:
        """Yield every object under the prefix *uri*: its path relative to the prefix, and its content."""
        bucket, prefix = split_uri(uri)
        with self._moto.lock:
            keys = self._buckets[bucket].keys if bucket in self._buckets else {}
            found = [(key, item.value) for key, item in keys.items() if key.startswith(prefix)]
        for key, content in found:
            inside = key.startswith(f"{prefix.rstrip('/')}/") or not prefix
            yield key.removeprefix(prefix).lstrip("/") if inside else key[prefix.rfind("/") + 1 :], content

    def write(self, uri: str, content: bytes) -> None:
        """Write one object."""
        from moto.s3.models import s3_backends

        bucket, key = split_uri(uri)
        with self._moto.lock:
            s3_backends[ACCOUNT]["aws"].put_object(bucket, key, content)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
