"""What is sent to an endpoint once, by what it is known, and what became of a request given the replies so far.

A request is one turn, or two: a reply that is not of the schema is shown to the model with what is wrong with it, once.
Both turns are known by a fingerprint of everything that the reply depends on, so that each is paid for once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.annotation.llm.structured import UnreadableReplyError, read_reply, schema_text
from rsvqa.annotation.plain_text import storable

MESSAGE_LENGTH = 300
"""Characters of a failure's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """A reply as the endpoint gave it; it has been paid for.

    Attributes:
        text: empty when the model refused.
        refusal: why the model refused; None when it did not.
        ended: False when it ran into the bound of tokens.
        input_tokens, output_tokens: as the endpoint counts them; None when it does not say.
    """

    text: str
    refusal: str | None = None
    ended: bool = True
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One sending.

    Attributes:
        request: what is asked.
        bad_reply, complaint: on the second turn, what came first and what is wrong with it; else empty.
        document: canonical JSON of all that the reply depends on, pictures by their hashes.
        fingerprint: SHA-256 of the document, hexadecimal.
    """

    request: ChatRequest
    bad_reply: str
    complaint: str
    document: str
    fingerprint: str


def make_turn(request: ChatRequest, *, bad_reply: str = "", complaint: str = "") -> Turn:
    """Return the first turn of a request, or with a bad reply and a complaint the second."""
    content: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "system": request.system,
        "text": request.text,
        "pictures": [[sha256(p.data).hexdigest(), p.media_type, p.detail] for p in request.pictures],
        "schema": None if request.schema is None else schema_text(request.schema),
    }
    if request.extra_body:
        content["extra_body"] = dict(request.extra_body)
    if complaint:
        content |= {"bad_reply": bad_reply, "complaint": complaint}
    document = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Turn(request, bad_reply, complaint, document, sha256(document.encode()).hexdigest())


def advance(first: Turn, find: Callable[[Turn], RawReply | None]) -> ChatReply | ChatFailure | Turn:
    """Return the outcome of a request if the replies that `find` knows settle it, else what to send next.

    A reply has `is_stored` set and no seconds; its tokens are the sum of both turns.
    """
    reply = find(first)
    if reply is None:
        return first
    second = second_turn(first, reply)
    if second is None:
        return read_outcome(first, reply)
    better = find(second)
    if better is None:
        return second
    try:
        return read_outcome(second, better, earlier=reply)
    except UnreadableReplyError as error:
        message = one_line(f"not of the schema, also when asked again: {error}")
        return ChatFailure(first.request.key, "invalid", message)


def second_turn(first: Turn, reply: RawReply) -> Turn | None:
    """Return what follows the first reply when it is not of the schema; None when it is, or is a refusal."""
    try:
        read_outcome(first, reply)
    except UnreadableReplyError as error:
        return make_turn(first.request, bad_reply=reply.text, complaint=str(error))
    return None


def read_outcome(turn: Turn, reply: RawReply, earlier: RawReply | None = None) -> ChatReply | ChatFailure:
    """Return what a reply means to the one who asked; `earlier` is the reply to the first turn.

    Raises:
        UnreadableReplyError: it is not of the schema.
    """
    request = turn.request
    if reply.refusal is not None:
        return ChatFailure(request.key, "refused", one_line(f"the model refused: {reply.refusal}"))
    parsed = None if request.schema is None else read_reply(reply.text, request.schema, ended=reply.ended)
    return ChatReply(
        key=request.key,
        text=reply.text,
        parsed=parsed,
        ended=reply.ended,
        input_tokens=_sum(reply.input_tokens, earlier.input_tokens if earlier else 0),
        output_tokens=_sum(reply.output_tokens, earlier.output_tokens if earlier else 0),
        reply_hash=sha256(f"{turn.fingerprint}\n{reply.text}".encode()).hexdigest(),
        is_stored=True,
    )


def one_line(message: str) -> str:
    """Return a message without line breaks and what no file can hold, at most `MESSAGE_LENGTH` characters."""
    line = " ".join(storable(message).split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


def _sum(tokens: int | None, earlier: int | None) -> int | None:
    return None if tokens is None else tokens + (earlier or 0)
