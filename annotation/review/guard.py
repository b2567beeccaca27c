"""What stands before the server: nobody gets past it without the token, from another site, or with a trick in the path.

The token is the first part of every address, so there is no cookie that another program on the same host could be sent,
and no other site can guess where a request would have to go. Host and origin are checked besides: a page of another
site whose name has been made to point here (DNS rebinding) still calls itself by its own name.

Starlette has no middleware for this: its TrustedHostMiddleware looks neither at the port nor at the origin.
"""

from __future__ import annotations

import re

from fastapi import Response
from fastapi.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsvqa.annotation.review.access import Access
from rsvqa.annotation.review.attempts import Attempts, NoEntry

MAX_BODY_BYTES = 256_000
"""Far above any decision: a caption has at most 8,000 characters."""

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


class Guard:
    """Lets requests through to `app` that have a right to it, with the token taken off their path."""

    def __init__(self, app: ASGIApp, access: Access, attempts: Attempts) -> None:
        self._app = app
        self._access = access
        self._attempts = attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401, 403 or 404 and nothing else."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            found = await self._attempts.slowed(_address(scope), lambda: self._let_in(scope))
            if isinstance(found, NoEntry):
                await _refused(found.status)(scope, receive, _with_headers(send))
            else:
                await self._app(found, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _let_in(self, scope: Scope) -> Scope | NoEntry:
        """Return a request as the application sees it, or why it is refused."""
        headers = Headers(scope=scope)
        if not self._access.knows_host(_only(headers, "host").lower()) or not _is_same_site(headers):
            return NoEntry(403)
        path: bytes = scope["raw_path"]
        if not _is_plain_path(path) or scope["query_string"]:
            return NoEntry(404)
        token = path.split(b"/")[1]
        visitor = self._access.visitor(token.decode())
        if visitor is None:
            return NoEntry(404, is_guess=True)
        if not self._access.knows_password(_only(headers, "authorization")):
            return NoEntry(401, is_guess="authorization" in headers)  # a browser asks once before it knows that it must
        if not _is_plain_request(scope["method"], headers):
            return NoEntry(403)
        inner = {"path": scope["path"][len(token) + 1 :], "raw_path": path[len(token) + 1 :]}
        return {**scope, **inner, VISITOR: visitor}


VISITOR = "rsvqa.visitor"
"""Key under which the application finds in a scope who sends the request, a `Visitor`."""


def _is_plain_path(path: bytes) -> bool:
    """Return whether a path has a first part, and no trick in it."""
    has_tricks = b".." in path or b"//" in path or b"/." in path
    return _PATH.fullmatch(path) is not None and not has_tricks and path.count(b"/") > 1


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def _only(headers: Headers, name: str) -> str:
    """Return the value of a header; empty when it is missing, not ASCII, or there more than once."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 and values[0].isascii() else ""


def _is_same_site(headers: Headers) -> bool:
    """Return whether a request comes from the page itself or was typed in, as far as the browser tells."""
    if "origin" in headers and _only(headers, "origin").lower() != f"http://{_only(headers, 'host').lower()}":
        return False
    return "sec-fetch-site" not in headers or _only(headers, "sec-fetch-site") in ("same-origin", "none")


def _is_plain_request(method: str, headers: Headers) -> bool:
    """Return whether it is a GET, or a POST of JSON of a stated, moderate length."""
    if method == "GET":
        return True
    length = _only(headers, "content-length")
    return (
        method == "POST"
        and _only(headers, "content-type").partition(";")[0].strip() == "application/json"
        and "transfer-encoding" not in headers
        and length.isdigit()
        and int(length) <= MAX_BODY_BYTES
    )


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_SECURITY_HEADERS]}
        await send(message)

    return send_with_headers


def _refused(status: int) -> Response:
    challenge = {"www-authenticate": 'Basic realm="rsvqa review", charset="UTF-8"'} if status == 401 else {}
    return Response(status_code=status, headers={"cache-control": "no-store", **challenge})
