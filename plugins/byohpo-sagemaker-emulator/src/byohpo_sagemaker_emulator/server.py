"""An HTTP/1.1 server on the loopback address. Connections stay open, which makes calls fast."""

import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import attrs

from byohpo_sagemaker_emulator.aws import Request, Response
from byohpo_sagemaker_emulator.errors import ConnectionLost

HOST = "127.0.0.1"
Application = Callable[[Request], Response]
_PIECE_BYTES = 2**20
_LINE_BYTES = 65536
_RESET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER that makes `close` send a reset."""
_OWN_HEADERS = frozenset({"content-length", "connection", "transfer-encoding", "date", "server"})


class Server:
    """Serve an application in threads until `close` is called. Port 0 takes a free port.

    *most_bytes* says of a request, before its body is read, how long the body may be.
    """

    def __init__(self, port: int, application: Application, most_bytes: Callable[[Request], int]) -> None:
        functions = {"application": staticmethod(application), "most_bytes": staticmethod(most_bytes)}
        handler = type("Handler", (_Handler,), functions)
        self._server = _ThreadingServer((HOST, port), handler)
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="emulator")
        self._thread.start()

    def close(self) -> None:
        """Stop listening and close all connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_connections()


class _ThreadingServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lock = Lock()
        self._connections: set[socket.socket] = set()

    def server_bind(self) -> None:
        # The parent class looks up the host name, which may be slow. SO_REUSEADDR allows a port that was just in use.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing when a client closes its connection."""

    def close_connections(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    application: Application
    most_bytes: Callable[[Request], int]
    server: _ThreadingServer

    def handle_expect_100(self) -> bool:
        """Send the answer at once: a client that uploads an object waits up to a second for it."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _serve(self) -> None:
        try:
            head = Request(self.command, self.path, self._headers(), b"", self.server.server_port)
            request = self._with_body(head)
        except ValueError:
            self.close_connection = True
            self._send(Response(400, [("Connection", "close")], b""))
            return
        try:
            response = self.application(request)
        except ConnectionLost as lost:
            if lost.kind == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close_connection = True
            return
        self._send(response)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815 - the names that http.server calls

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        self.send_header("Date", self.date_time_string())
        bodiless = self.command == "HEAD" or response.status in (204, 304)
        for name, value in response.headers:
            if name.lower() not in _OWN_HEADERS or (bodiless and name.lower() == "content-length"):
                self.send_header(name, value)
        if not bodiless:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if not bodiless:
            self.wfile.write(response.body)

    def _headers(self) -> dict[str, str]:
        """All headers. One that is given twice has both values, as in a signature."""
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            lower = name.lower()
            if "_" in name and not lower.startswith("x-amz-meta-"):
                continue  # moto could not tell it from the header with hyphens, which may be signed
            headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        return headers

    def _with_body(self, head: Request) -> Request:
        """The request with its body. One that is too long is read to its end, so that the client sees the answer."""
        most, length = self.most_bytes(head), 0
        pieces: list[bytes] = []
        for piece in self._pieces(head.headers):
            length += len(piece)
            if length <= most:
                pieces.append(piece)
            else:
                pieces.clear()
        return attrs.evolve(head, body=b"".join(pieces), is_whole=length <= most)

    def _pieces(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The body, piece by piece. Raises ValueError if it is not clear where it ends."""
        encoding = headers.get("transfer-encoding", "").lower()
        if not encoding:
            yield from self._read(_number(headers.get("content-length", "0"), 10))
            return
        if encoding != "chunked" or "content-length" in headers:
            raise ValueError("the length of the body is not clear")
        while size := _number(self._line().split(b";")[0].decode("latin-1").strip(), 16):
            yield from self._read(size)
            self._line()
        while self._line().strip():
            """Skip trailers."""

    def _read(self, size: int) -> Iterator[bytes]:
        while size and (piece := self.rfile.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece

    def _line(self) -> bytes:
        return self.rfile.readline(_LINE_BYTES)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent class names it so
        """Print nothing: `Emulator.calls` records every call."""


def _number(text: str, base: int) -> int:
    """Read a number as HTTP writes it: no sign, no underscore, no 0x."""
    if not re.fullmatch("[0-9a-fA-F]+", text):
        raise ValueError(f"{text!r} is not a length")
    return int(text, base)
