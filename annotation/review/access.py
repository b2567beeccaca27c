"""Who may come in to a review: host, token and password, and whether a request names them.

Nothing here needs the web server, so a review can be applied and exchanged without the extra `review`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field
from typing import Protocol

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.review.people import Visitor

MIN_PASSWORD_CHARS = 12

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class AccessError(RsvqaError):
    """The server may not be opened like this; the message says what is missing."""


class Entrance(Protocol):
    """Knows people by their tokens."""

    def find(self, token: str) -> Visitor | None:
        """Return whose token it is; None when it is nobody's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in.

    Attributes:
        host: address that the server listens on.
        port: of the server.
        password: asked for besides the token; None on loopback only. Never shown.
        token: first part of every address. Never shown but in the printed address.
        people: who have links of their own, by which alone one comes in then; None where nobody has.

    Raises:
        AccessError: for a host beyond loopback without a password, or with a short one.
    """

    host: str
    port: int
    password: str | None = field(default=None, repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    people: Entrance | None = field(default=None, repr=False)

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
        """The address to open; where people have links, what all of them begin with."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + ("" if self.people else f"{self.token}/")

    def visitor(self, token: str) -> Visitor | None:
        """Return whom a token lets in; None for nobody."""
        if self.people:
            return self.people.find(token)
        # one person on his own machine is his own lead; who shares a password types a name that proves nothing
        everyone = Visitor(role="lead" if self.password is None else "annotator")
        return everyone if secrets.compare_digest(token.encode(), self.token.encode()) else None

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
