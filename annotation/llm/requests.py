"""What is asked of a chat endpoint and what comes back, free of any provider's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

Detail = Literal["auto", "low", "high"]


@dataclass(frozen=True, slots=True)
class RequestPicture:
    """An encoded image of a request; `detail` is the endpoint's image detail."""

    data: bytes
    media_type: str = "image/jpeg"
    detail: Detail = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request; all but `key` is what the reply depends on.

    Attributes:
        key: the caller's name for it, given back with the outcome.
        model: as the endpoint calls it.
        text: the user's turn, after the pictures.
        system: the system's turn; none when empty.
        pictures: before the text, in order.
        max_tokens: bound of the reply.
        temperature: 0 is greedy.
        schema: the reply must be JSON of this model; None for plain text.
        extra_body: more of the request's JSON, as the endpoint knows it.
    """

    key: str
    model: str
    text: str
    system: str = ""
    pictures: tuple[RequestPicture, ...] = ()
    max_tokens: int = 1_024
    temperature: float = 0.0
    schema: type[BaseModel] | None = None
    extra_body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """A reply.

    Attributes:
        key: of the request.
        text: as it was written.
        parsed: validated against the request's schema; None without one.
        ended: False when the reply ran into `max_tokens`.
        input_tokens, output_tokens: as the endpoint counts them; None when it does not say.
        seconds: from the first sending to the reply, retries included; 0 for a stored one.
        reply_hash: of request and text, hexadecimal: names the reply in provenance.
        is_stored: it was not asked for now but had been before.
    """

    key: str
    text: str
    parsed: BaseModel | None = None
    ended: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    reply_hash: str = ""
    is_stored: bool = False


FailureKind = Literal["refused", "invalid", "rejected", "too_large", "unreachable"]
"""The model refused; its reply is not of the schema, also when asked again; the endpoint rejected the request (4xx), or
its pictures as too large; no answer after all retries."""


@dataclass(frozen=True, slots=True)
class ChatFailure:
    """A request that got no usable reply; `message` is one line and holds no secret."""

    key: str
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True)
class UnaskedFailure(ChatFailure):
    """A request that this run does not send and that no earlier one got a reply for."""


@dataclass(frozen=True, slots=True)
class StoredFailure(ChatFailure):
    """A failure that follows from replies of an earlier run: it says nothing of the endpoint as it is now."""
