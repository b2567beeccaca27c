"""Where requests go, and the secret that lets them in."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.llm.turns import RawReply

if TYPE_CHECKING:
    from openai import OpenAI

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent where no key is set: servers of one's own ask for none, but the client library wants one."""

SHORTEST_SECRET = 8
"""Characters. Servers of one's own are often given "x" or "EMPTY"; to cut those out of replies would spoil them."""

CONNECT_S = 10.0
"""Longest wait for a connection: a machine that is off should not take as long to find out as a long answer."""


def checked_url(url: str) -> str:
    """Return the address of an endpoint, or refuse it; the message repeats nothing that may be secret.

    Raises:
        ValueError: it is no address, or holds a secret, which would end in logs.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected an address like http://127.0.0.1:8000/v1, got {_host(url)!r}")
    if parts.username or parts.password or parts.query:
        raise ValueError(
            f"the address of {parts.hostname} must hold no user, password or query, which would end in logs: "
            "set OPENAI_API_KEY in the environment"
        )
    return url


BaseUrl = Annotated[str, AfterValidator(checked_url)]
"""Type of a setting that names an endpoint."""


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"


class EndpointError(RsvqaError):
    """An endpoint cannot be used as it is given."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint. It holds no secret: the key is read from the environment when a request is made.

    Attributes:
        base_url: up to and with the version, as in `http://127.0.0.1:8000/v1`.
        key_variable: the environment variable that holds the key.
    """

    base_url: str = OPENAI_URL
    key_variable: str = "OPENAI_API_KEY"

    def __post_init__(self) -> None:
        """Refuse what is no address, or one with a secret in it."""
        try:
            checked_url(self.base_url)
        except ValueError as error:
            raise EndpointError(f"`base_url`: {error}") from None

    @property
    def host(self) -> str:
        """The address without anything that may be secret, for messages."""
        return _host(self.base_url)

    def hide_key(self, text: str) -> str:
        """Return a text without the key: some endpoints repeat it in their errors."""
        key = self._key()
        return text.replace(key, "***") if len(key) >= SHORTEST_SECRET else text

    def clean(self, reply: RawReply) -> RawReply:
        """Return a reply without the key."""
        refusal = None if reply.refusal is None else self.hide_key(reply.refusal)
        return replace(reply, text=self.hide_key(reply.text), refusal=refusal)

    def connect(self, timeout_s: float) -> OpenAI:
        """Return a client of the openai package that does not retry by itself.

        Raises:
            EndpointError: OpenAI's own endpoint without a key, or a key that no request can carry.
            MissingExtraError: the `llm` extra is not installed.
        """
        require_extra("llm", "annotate")
        from openai import OpenAI, Timeout

        key = self._key()
        if not key and self.base_url == OPENAI_URL:
            raise EndpointError(f"{self.host} needs a key: set the environment variable {self.key_variable}")
        if not (key.isascii() and key.isprintable()):  # its own error would show the key
            raise EndpointError(
                f"the environment variable {self.key_variable} holds a character that no key has (a line break, or a "
                "letter beyond ASCII): set it to the key alone"
            )
        timeout = Timeout(timeout_s, connect=min(timeout_s, CONNECT_S))
        return OpenAI(api_key=key or NO_KEY, base_url=self.base_url, timeout=timeout, max_retries=0)

    def _key(self) -> str:
        return os.environ.get(self.key_variable, "").strip()
