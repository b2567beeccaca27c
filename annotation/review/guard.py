"""What stands before the server: nobody gets past it without the token, from another site, or with a trick in the path.

The token is the first part of every address, so there is no cookie that another program on the same host could be sent,
and no other site can guess where a request would have to go. Host and origin are checked besides: a page of another
site whose name has been made to point here (DNS rebinding) still calls itself by its own name.

Starlette has no middleware for this: its TrustedHostMiddleware looks neither at the port nor at the origin.
"""

from __future__ import annotations

import re
import secrets

from fastapi import Response
from fastapi.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rsvqa.annotation.review.access import Access

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

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 401, 403 or 404 and nothing else."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status = self._refusal(scope)
            if status:
                await _refused(status)(scope, receive, _with_headers(send))
            else:
                await self._app(self._inner(scope), receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> int | None:
        """Return the status with which a request is refused, or None when it may pass."""
        headers = Headers(scope=scope)
        if not self._access.knows_host(_only(headers, "host").lower()) or not _is_same_site(headers):
            return 403
        if not self._knows_path(scope["raw_path"]) or scope["query_string"]:
            return 404
        if not self._access.knows_password(_only(headers, "authorization")):
            return 401
        return None if _is_plain_request(scope["method"], headers) else 403

    def _knows_path(self, path: bytes) -> bool:
        if not _PATH.fullmatch(path) or b".." in path or b"//" in path or b"/." in path:
            return False
        return secrets.compare_digest(path.split(b"/")[1], self._access.token.encode()) and path.count(b"/") > 1

    def _inner(self, scope: Scope) -> Scope:
        prefix = len(self._access.token) + 1
        return {**scope, "path": scope["path"][prefix:], "raw_path": scope["raw_path"][prefix:]}


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
