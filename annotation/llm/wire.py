"""How a turn and its reply look on the wire of an OpenAI-compatible endpoint (`/chat/completions`)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rsvqa.annotation.llm.structured import in_words, response_format
from rsvqa.annotation.llm.turns import RawReply, Turn
from rsvqa.annotation.plain_text import storable


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint takes for a model; found out by its 400s.

    Attributes:
        has_schemas: `response_format` with a JSON schema.
        tokens_name: how the bound of the reply is called; OpenAI's reasoning models take only the longer name.
        has_temperature: whether a temperature may be set.
    """

    has_schemas: bool = True
    tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    has_temperature: bool = True


class NotACompletionError(ValueError):
    """The endpoint answered 200 with something else than a chat completion."""


class ErrorBodyError(NotACompletionError):
    """The endpoint answered 200 with an error; `status` is the one that it names in the body, or None."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


def make_body(turn: Turn, dialect: Dialect) -> dict[str, Any]:
    """Return the JSON body of a turn."""
    request = turn.request
    body: dict[str, Any] = {
        "model": request.model,
        "messages": make_messages(turn, with_schema_in_words=not dialect.has_schemas),
        dialect.tokens_name: request.max_tokens,
    }
    if dialect.has_temperature:
        body["temperature"] = request.temperature
    if request.schema is not None and dialect.has_schemas:
        body["response_format"] = response_format(request.schema)
    return body | dict(request.extra_body or {})


def make_messages(turn: Turn, *, with_schema_in_words: bool) -> list[dict[str, Any]]:
    """Return the messages of a turn: system, user with the pictures first, and the correction of a second turn."""
    request = turn.request
    text = request.text
    if request.schema is not None and with_schema_in_words:
        text = f"{text}\n\n{in_words(request.schema)}"
    messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    messages.append({"role": "user", "content": _content(turn, text)})
    if turn.complaint:
        correction = f"This reply cannot be used: {turn.complaint}. Reply again, with the corrected JSON object alone."
        messages += [{"role": "assistant", "content": turn.bad_reply}, {"role": "user", "content": correction}]
    return messages


def _content(turn: Turn, text: str) -> str | list[dict[str, Any]]:
    if not turn.request.pictures:
        return text
    parts: list[dict[str, Any]] = []
    for picture in turn.request.pictures:
        url = f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url, "detail": picture.detail}})
    return [*parts, {"type": "text", "text": text}]


_CUT_OFF = ("length", "max_tokens", "model_length")
"""What servers call the end of a reply that ran into a bound."""

_BROKEN_OFF = ("error", "abort", "insufficient_system_resource", "network_error")
"""And that of one that they did not finish: OpenRouter's, SGLang's, DeepSeek's and Zhipu's words."""

_FILTERED = ("content_filter", "safety", "sensitive")
"""And that of one that they keep back."""


_SHOWN = 200
"""Characters of what is no completion that a message shows."""


def read_completion(completion: Any) -> RawReply:  # noqa: ANN401 - any JSON
    """Return the reply that a decoded chat completion holds.

    Raises:
        ErrorBodyError: it is an error.
        NotACompletionError: it is something else.
    """
    _raise_error_body(completion)
    try:
        choice = completion["choices"][0]
        _raise_broken_off(choice)
        message = choice["message"]
        text = _text_of(message.get("content") or "")
        refusal = str(message["refusal"]) if message.get("refusal") else None
        finish = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        found = " ".join(storable(str(completion)[:_SHOWN]).split())
        raise NotACompletionError(f"the reply is not a chat completion, it begins with {found!r}") from None
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    if not isinstance(text, str):
        raise NotACompletionError("the content of the reply is not text")
    if str(finish).lower().replace("-", "_") in _FILTERED:
        refusal = refusal or "the endpoint's content filter stopped it"
    return RawReply(
        text=storable(text),
        refusal=refusal if refusal is None else storable(refusal),
        ended=finish not in _CUT_OFF,
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
    )


def _raise_error_body(completion: Any) -> None:  # noqa: ANN401 - any JSON
    """Raise what gateways answer with 200: `{"error": {"message": …, "code": 502}}`, or vLLM's `"object": "error"`."""
    if not isinstance(completion, dict) or completion.get("choices"):
        return
    error = completion.get("error") or (completion if completion.get("object") == "error" else None)
    if not error:
        return
    raise _error_body(error)


def _raise_broken_off(choice: Mapping[str, Any]) -> None:
    """Raise what gateways put into a choice when the model behind them failed; what it holds of a text is no reply."""
    error, finish = choice.get("error"), choice.get("finish_reason")
    if error or finish in _BROKEN_OFF:
        raise _error_body(error or f"the reply was broken off ({finish})")


def _error_body(error: Any) -> ErrorBodyError:  # noqa: ANN401 - any JSON
    content = error if isinstance(error, dict) else {"message": error}
    code = str(content.get("code"))
    message = storable(str(content.get("message") or error))
    return ErrorBodyError(f"an error with status 200: {message}", int(code) if re.fullmatch(r"\d{3}", code) else None)


def _text_of(content: object) -> object:
    """Return the text of a message's content that is a list of parts; thoughts are left out."""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return content
    texts = [part.get("text") for part in content if part.get("type", "text") in ("text", "output_text")]
    return "".join(text for text in texts if isinstance(text, str))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def adapt(dialect: Dialect, turn: Turn, message: str, parameter: str | None, *, is_proven: bool) -> Dialect | None:
    """Return the dialect to try after a 400, or None when the 400 is not about one.

    Args:
        dialect: what was just refused.
        turn: what was sent.
        message: of the endpoint.
        parameter: which it names as wrong, where it does.
        is_proven: the endpoint has answered in this dialect before, so the 400 is about the request.
    """
    if is_proven:
        return None
    about = f"{parameter or ''} {message}"
    if "max_completion_tokens" in about and dialect.tokens_name == "max_tokens":
        return replace(dialect, tokens_name="max_completion_tokens")
    if "temperature" in about and dialect.has_temperature:
        return replace(dialect, has_temperature=False)
    if turn.request.schema is not None and dialect.has_schemas:
        # Servers word this in many ways, or name something else: whether it was the schema shows when it is left out.
        return replace(dialect, has_schemas=False)
    return None
