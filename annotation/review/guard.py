"""What stands before the server: nobody gets past it without the token, from another site, or with a trick in the path.

The token is the first part of every address, so there is no cookie that another program on the same host could be sent,
and no other site can guess where a request would have to go. Host and origin are checked besides: a page of another
site whose name has been made to point here (DNS rebinding) still calls itself by its own name.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from rsvqa.annotation.errors import RsvqaError

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 256_000
"""Far above any decision: a caption has at most 8,000 characters."""
MIN_PASSWORD_CHARS = 12

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_PATH = re.compile(rb"/[A-Za-z0-9_\-./]*")
_SECURITY_HEADERS = (
    (
        b"content-security-policy",
        # the hash is that of nothing: an empty style element keeps OpenSeadragon from adding one of its own
        b"default-src 'none'; script-src 'self'; "
        b"style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)


class AccessError(RsvqaError):
    """The server may not be opened like this; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in.

    Attributes:
        host: address that the server listens on.
        port: of the server.
        password: asked for besides the token; None on loopback only. Never shown.
        token: first part of every address. Never shown but in the printed address.

    Raises:
        AccessError: for a host beyond loopback without a password, or with a short one.
    """

    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def __post_init__(self) -> None:
        if self.password is None and not is_loopback(self.host):
            raise AccessError(
                f"`host` {self.host} opens the review to the network, to see and to change by whoever has its address: "
                "it needs `password` too (or RSVQA_REVIEW_PASSWORD)"
            )
        if self.password is not None and len(self.password) < MIN_PASSWORD_CHARS:
            raise AccessError(f"`password` has {len(self.password)} characters; expected {MIN_PASSWORD_CHARS} or more")

    @property
    def url(self) -> str:
        """The address to open."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{self.token}/"

    def knows_host(self, header: str) -> bool:
        """Return whether a request calls this server by a name that is its own."""
        # a browser leaves out the port that is usual
        name, _, port = (header if re.search(r":\d+$", header) else f"{header}:80").rpartition(":")
        if port != str(self.port):
            return False
        if name in _LOOPBACK_NAMES or name.strip("[]") == self.host.lower():
            return True
        # listening on every address, it has many; a literal one cannot have been made to point here by a name server
        return _is_unspecified(self.host) and (_is_address(name.strip("[]")) or name == socket.gethostname().lower())

    def knows_password(self, header: str) -> bool:
        """Return whether an Authorization header (Basic, RFC 7617) holds the password; the user's name is free."""
        if self.password is None:
            return True
        scheme, _, encoded = header.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
        return scheme.lower() == "basic" and secrets.compare_digest(given, self.password.encode())


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


class Guard:
    """Lets requests through to `app` that have a right to it, with the token taken off their path."""

    def __init__(self, app: App, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401, 403 or 404 and nothing else."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status = self._refusal(scope)
            if status:
                await _refuse(send, status)
            else:
                await self._app(self._inner(scope), receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: AsgiScope) -> int | None:
        """Return the status with which a request is refused, or None when it may pass."""
        headers = _Headers(scope["headers"])
        if not self._access.knows_host(headers.only("host").lower()) or not _is_same_site(headers):
            return 403
        if not self._knows_path(scope["raw_path"]) or scope["query_string"]:
            return 404
        if not self._access.knows_password(headers.only("authorization")):
            return 401
        return None if _is_plain_request(scope["method"], headers) else 403

    def _knows_path(self, path: bytes) -> bool:
        if not _PATH.fullmatch(path) or b".." in path or b"//" in path or b"/." in path:
            return False
        return secrets.compare_digest(path.split(b"/")[1], self._access.token.encode()) and path.count(b"/") > 1

    def _inner(self, scope: AsgiScope) -> AsgiScope:
        prefix = len(self._access.token) + 1
        return {**scope, "path": scope["path"][prefix:], "raw_path": scope["raw_path"][prefix:]}


class _Headers:
    """Request headers by name."""

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def only(self, name: str) -> str:
        """Return the value of a header; empty when it is missing, not ASCII, or there more than once."""
        values = [value for key, value in self._pairs if key.lower() == name.encode()]
        return values[0].decode("ascii", "ignore") if len(values) == 1 and values[0].isascii() else ""

    def has(self, name: str) -> bool:
        """Return whether a header is there."""
        return any(key.lower() == name.encode() for key, _ in self._pairs)


def _is_same_site(headers: _Headers) -> bool:
    """Return whether a request comes from the page itself or was typed in, as far as the browser tells."""
    if headers.has("origin") and headers.only("origin").lower() != f"http://{headers.only('host').lower()}":
        return False
    return not headers.has("sec-fetch-site") or headers.only("sec-fetch-site") in ("same-origin", "none")


def _is_plain_request(method: str, headers: _Headers) -> bool:
    """Return whether it is a GET, or a POST of JSON of a stated, moderate length."""
    if method == "GET":
        return True
    length = headers.only("content-length")
    return (
        method == "POST"
        and headers.only("content-type").partition(";")[0].strip() == "application/json"
        and not headers.has("transfer-encoding")
        and length.isdigit()
        and int(length) <= MAX_BODY_BYTES
    )


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_SECURITY_HEADERS]}
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int) -> None:
    challenge = [(b"www-authenticate", b'Basic realm="rsvqa review", charset="UTF-8"')] if status == 401 else []
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store"), *challenge, *_SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
