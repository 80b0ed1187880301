"""A proxy between a driver and the emulator that answers some calls itself, with what no service would say."""

import http.client
import json
import random
import socket
import struct
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

JSON = "application/x-amz-json-1.1"
PAGE = b"<html><head><title>Sign in</title></head><body><p>Welcome to the hotel</p></body></html>"
_RESET = struct.pack("ii", 1, 0)
NOTHING = (200, {}, b"")


def _page(status):
    return lambda chance, answer: _written(status, {"Content-Type": "text/html", "ETag": '"1"'}, PAGE)


def _json(body, kind=JSON):
    return lambda chance, answer: _written(200, {"Content-Type": kind}, body)


def _redirect(status):
    return lambda chance, answer: _written(status, {"Location": "http://127.0.0.1:9/login"}, PAGE)


def _with_body(change):
    """The service's own answer and headers, but for its body."""
    return lambda chance, answer: _written(answer[0], answer[1], change(chance, answer[2]))


def _short(chance, answer):
    """The service's own headers, with less after them than they promise."""
    whole = _written(*answer)
    return whole[: len(whole) - 1 - len(answer[2]) // 2]


GARBAGE = {
    "random bytes": lambda chance, answer: chance.randbytes(200) + b"\r\n\r\n",
    "random status": lambda chance, answer: b"HTTP/1.1 xyz Hm\r\n\r\n",
    "random body": _with_body(lambda chance, body: chance.randbytes(max(9, len(body)))),
    "cut body": _with_body(lambda chance, body: body[: chance.randrange(1, max(2, len(body)))] or b"{"),
    "short body": _short,
    "page 200": _page(200),
    "page 302": _page(302),
    "page 400": _page(400),
    "page 403": _page(403),
    "page 404": _page(404),
    "page 502": _page(502),
    "a page in place of the body": _with_body(lambda chance, body: PAGE),
    "wrong type": lambda chance, answer: _written(answer[0], {"Content-Type": "text/html"}, answer[2]),
    "empty": lambda chance, answer: _written(*NOTHING),
    "empty JSON": _json(b""),
    "empty object": _json(b"{}", "application/json"),
    "list": _json(b"[]"),
    "null": _json(b"null"),
    "number": _json(b"17"),
    "text": _json(b'"Completed"'),
    "lists": _json(b'{"Results": [null], "events": [1], "TrainingJobArn": null, "TrainingJobStatus": "Completed"}'),
    "others": _json(b'{"Results": {"a": 1}, "events": "none", "TrainingJobName": 5, "LastModifiedTime": "soon"}'),
    "another object": _json(b'{"status": "ok", "jobs": []}'),
    "another error": lambda chance, answer: _written(403, {"Content-Type": "application/json"}, b'{"message": "no"}'),
    "zipped": lambda chance, answer: _written(200, {"Content-Type": JSON, "Content-Encoding": "gzip"}, b"not zipped"),
    "endless header": lambda chance, answer: b"HTTP/1.1 200 OK\r\nA: " + 70_000 * b"a" + b"\r\n\r\n",
    "redirect 301": _redirect(301),
    "redirect 307": _redirect(307),
    "redirect 308": _redirect(308),
    "closed": lambda chance, answer: b"",
    "reset": lambda chance, answer: None,
    "hung": lambda chance, answer: Ellipsis,
}
"""By name: a function from a random source and the service's answer to bytes; None resets, Ellipsis never answers."""


def error(code, message):
    """An error in SageMaker's own words."""
    return _written(400, {"Content-Type": JSON}, json.dumps({"__type": code, "message": message}).encode())


def _written(status, headers, body):
    headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body


def operation(handler):
    """The name of the operation that a request asks for."""
    if target := handler.headers.get("X-Amz-Target"):
        return target.rpartition(".")[2]
    verb, query = handler.command.title(), parse_qs(urlsplit(handler.path).query, keep_blank_values=True)
    if "list-type" in query:
        return "ListObjectsV2"
    return "CopyObject" if "x-amz-copy-source" in handler.headers else f"{verb}Object"


class Between:
    """The proxy. *garble* maps an operation's name to a kind of `GARBAGE`, None (the service's own answer) or bytes."""

    def __init__(self, upstream, seed=0):
        self.upstream = urlsplit(upstream)
        self.chance = random.Random(seed)
        self.garble = lambda operation: None
        self.reaches = lambda: True
        """Whether a garbled call reaches the service before."""
        self.hits = Counter()
        self.gone = Event()

    def garble_often(self):
        """Answer about half of the calls with garbage, but at most twice in a row for one operation."""
        row = Counter()

        def garble(operation):
            row[operation] += 1
            return self.chance.choice([*GARBAGE]) if row[operation] % 3 and self.chance.random() < 0.75 else None

        self.garble = garble
        self.reaches = lambda: self.chance.random() < 0.5

    @contextmanager
    def serving(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"between": self}))
        server.daemon_threads = True
        server.block_on_close = False
        server.handle_error = lambda *_: None
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            self.gone.set()
            server.shutdown()
            thread.join()
            server.server_close()

    def forward(self, command, path, headers, body):
        """The service's answer: its status, headers and body."""
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=30)
        try:
            connection.putrequest(command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    between: Between

    def _serve(self):
        body = self._body()
        name = operation(self)
        kind = self.between.garble(name)
        answer = NOTHING
        if kind is None or self.between.reaches() or kind in NEED_AN_ANSWER:
            answer = self.between.forward(self.command, self.path, self.headers, body)
        if kind is None:
            self.wfile.write(_written(*answer))
            return
        self.between.hits[name, kind] += 1
        self.close_connection = True
        told = kind if isinstance(kind, bytes) else GARBAGE[kind](self.between.chance, answer)
        if told is Ellipsis:
            self.between.gone.wait(30)
        elif told is None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()
        else:
            self.wfile.write(told)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def _body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        raise NotImplementedError("the driver sends whole bodies")

    def handle_expect_100(self):
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, *args):
        """Print nothing."""


NEED_AN_ANSWER = {"random body", "cut body", "short body", "wrong type", "a page in place of the body"}
"""The kinds that are the service's own answer in part."""
