"""A server that hands requests on to another one of loopback, and changes them on the way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import NamedTuple
from urllib.parse import unquote

_AMAZONS = "AWS4-HMAC-SHA256 Credential=testing/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
"""moto looks for one, and not at it."""


_STATUS = {"ExpiredToken": 400, "AccessDenied": 403, "SlowDown": 503, "PermanentRedirect": 301}


_MOST_HANGING_S = 120.0


class Message(NamedTuple):
    """A request or a reply, names of headers in lower case.

    A reply with a header `cut` ends after so many bytes of its body; with `hangs`, the connection stays.
    """

    headers: dict[str, str]
    body: bytes
    status: int = 0


class Relay:
    """Hands on everything as it is."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answer(self, method: str, path: str, request: Message) -> Message:
        """Return the other server's reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, request.body, request.headers)
            reply = connection.getresponse()
            headers = {name.lower(): value for name, value in reply.getheaders()}
            return Message(headers, reply.read(), reply.status)
        finally:
            connection.close()


class OftenBusy(Relay):
    """A storage that says of every so-manyth request that it is too busy."""

    def __init__(self, port: int, every: int) -> None:
        super().__init__(port)
        self.refused = 0
        self._every = every
        self._count = count(1)

    def answer(self, method: str, path: str, request: Message) -> Message:
        """Refuse, or hand on."""
        if next(self._count) % self._every:
            return super().answer(method, path, request)
        self.refused += 1
        return Message({"content-type": "application/xml"}, b"<Error><Code>SlowDown</Code></Error>", 503)


class Refusing(Relay):
    """A storage that refuses some of what is asked of a kind, as S3 does with keys that have expired by default.

    Attributes:
        asked: how much of the kind was asked for.
    """

    def __init__(
        self, port: int, is_meant: Callable[[str, str], bool], refused: range, *, code: str = "ExpiredToken"
    ) -> None:
        super().__init__(port)
        self.asked = 0
        self._is_meant = is_meant
        self._refused = refused
        self._code = code

    def answer(self, method: str, path: str, request: Message) -> Message:
        """Refuse, or hand on."""
        if self._is_meant(method, path):
            self.asked += 1
            if self.asked in self._refused:
                text = f"<?xml version='1.0'?><Error><Code>{self._code}</Code><Message>said so</Message></Error>"
                return Message({"content-type": "application/xml"}, text.encode(), _STATUS[self._code])
        return super().answer(method, path, request)


class Cutting(Refusing):
    """A storage that ends in the middle of some of what is asked of a kind, or goes on for ever without a word."""

    def __init__(self, port: int, is_meant: Callable[[str, str], bool], refused: range, *, hangs: bool = False) -> None:
        super().__init__(port, is_meant, refused)
        self._hangs = hangs

    def answer(self, method: str, path: str, request: Message) -> Message:
        """Hand on, in part."""
        reply = Relay.answer(self, method, path, request)
        if self._is_meant(method, path):
            self.asked += 1
            if self.asked in self._refused:
                reply.headers["cut"] = str(len(reply.body) // 2)
                if self._hangs:
                    reply.headers["hangs"] = "yes"
        return reply


class AsGoogle(Relay):
    """What Google's XML API has otherwise than Amazon's: numbered generations, which conditions speak of."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._tags = {0: ""}

    def answer(self, method: str, path: str, request: Message) -> Message:
        """Translate the condition, hand on, and number the version."""
        place, _, query = path.partition("?")
        request.headers["authorization"] = _AMAZONS
        wanted = request.headers.pop("x-goog-if-generation-match", None)
        if wanted == "0":
            request.headers["if-none-match"] = "*"
        elif wanted is not None:
            request.headers["if-match"] = self._tags[int(wanted)]
        reply = super().answer(method, unquote(place) + (f"?{query}" if query else ""), request)
        if tag := reply.headers.get("etag"):
            generation = next((number for number, known in self._tags.items() if known == tag), len(self._tags))
            self._tags[generation] = tag
            reply.headers["x-goog-generation"] = str(generation)
        return reply


@contextmanager
def serve(relay: Relay) -> Iterator[str]:
    """Run a relay; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            headers.pop("expect", None)
            body = self._chunks() if headers.pop("transfer-encoding", None) else self._read(headers)
            headers["content-length"] = str(len(body))
            reply = relay.answer(self.command, self.path, Message(headers, body))
            cut = int(reply.headers.pop("cut")) if "cut" in reply.headers else None
            hangs = reply.headers.pop("hangs", None) is not None
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            length = reply.headers.get("content-length") if self.command == "HEAD" else str(len(reply.body))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True
                if hangs:
                    ended.wait(_MOST_HANGING_S)

        def _read(self, headers: dict[str, str]) -> bytes:
            return self.rfile.read(int(headers.get("content-length", 0)))

        def _chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass  # trailers
            return body

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815  names of the base class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
