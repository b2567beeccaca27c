"""Replies as JSON of a schema: how it is asked for, and how a reply is read.

A reply is read with care rather than with luck: fences, trailing commas, a thinking part, a sentence around the object
and brackets that the model forgot to close are put right; a reply that holds two objects, or that was cut off, is not.

Written by hand because repairing libraries guess: json_repair (0.64) makes 12 of a number that was cut off, takes the
last of two objects, and a text without its end for whole.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from rsvqa.annotation.plain_text import storable

Model = TypeVar("Model", bound=BaseModel)

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}

_STRICT_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const", "$ref", "$defs"),
        *("description", "title", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("multipleOf", "minItems", "maxItems"),
    }
)
"""What strict schemas may hold, https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas"; what
is left out of the schema that is sent (`minLength`, `default` …) is still checked in the reply."""


class UnreadableReplyError(Exception):
    """A reply is not JSON of the schema; the message is written for the model that is asked again."""


def response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the `response_format` that makes an endpoint write JSON of a schema and nothing else."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", schema.__name__)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": strict_schema(schema)}}


@cache
def schema_text(schema: type[BaseModel]) -> str:
    """Return the JSON schema of a model as canonical JSON."""
    return json.dumps(schema.model_json_schema(), ensure_ascii=False, sort_keys=True)


@cache
def strict_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a model in the subset that strict endpoints accept.

    Every property is required and no other allowed, at all levels; keywords outside the subset are left out.
    """
    strict: dict[str, Any] = _made_strict(schema.model_json_schema())
    return strict


def _made_strict(node: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        return [_made_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key in _STRICT_KEYWORDS}
    for group in ("properties", "$defs"):  # their keys are names, not keywords
        if group in kept:
            kept[group] = {name: _made_strict(value) for name, value in kept[group].items()}
    for key in ("items", "anyOf"):
        if key in kept:
            kept[key] = _made_strict(kept[key])
    if "properties" in kept:
        kept |= {"additionalProperties": False, "required": list(kept["properties"])}
    return {"$ref": kept["$ref"]} if "$ref" in kept else kept  # no keyword may stand beside a reference


def in_words(schema: type[BaseModel]) -> str:
    """Return the sentence that asks for JSON of a schema where the endpoint cannot be told."""
    wanted = "Reply with one JSON object and nothing else. It must be valid against this JSON schema:"
    return f"{wanted}\n{schema_text(schema)}"


def read_reply(text: str, schema: type[Model], *, ended: bool) -> Model:
    """Return the object that a reply holds.

    Args:
        text: the reply.
        schema: what it must be.
        ended: False when the reply ran into its bound of tokens; then open brackets are not closed, for what came
            after them is missing.

    Raises:
        UnreadableReplyError: no object, more than one, or not of the schema.
    """
    found = _read_object(text, ended=ended)
    try:
        # half a character may also stand there as an escape, "\ud83d", which is text only now
        return schema.model_validate_json(storable(json.dumps(found, ensure_ascii=False)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the object"
        raise UnreadableReplyError(f"{place}: {first['msg']}") from None


def _read_object(text: str, *, ended: bool) -> dict[str, Any]:
    body = _without_thinking(text)
    start = body.find("{")
    if start < 0:
        raise UnreadableReplyError("there is no JSON object in it")
    tidy, end = _tidy_object(body, start, ended=ended)
    if "{" in body[end:]:
        raise UnreadableReplyError("there is more than one JSON object in it")
    try:
        found: dict[str, Any] = json.loads(
            tidy, strict=False, object_pairs_hook=_without_doubles, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise UnreadableReplyError(f"it is not valid JSON: {error.msg}, at character {error.pos}") from None
    except (RecursionError, ValueError):  # a number of thousands of digits
        raise UnreadableReplyError("it is nested too deeply, or has a number that is too long") from None
    return found


def _without_thinking(text: str) -> str:
    """Return the reply after a leading `<think>` part, and without a closing fence."""
    body = text.lstrip()
    if body.startswith("<think>"):
        _, end, body = body.partition("</think>")
        if not end:
            raise UnreadableReplyError("it ends while still thinking")
    return body.rstrip().removesuffix("```").rstrip()


def _tidy_object(body: str, start: int, *, ended: bool) -> tuple[str, int]:
    """Return the object that opens at `start` without trailing commas and with its brackets closed, and where it ends.

    One pass, so that the time grows with the length and not faster.
    """
    tidy: list[str] = []
    closers: list[str] = []
    position = start
    while position < len(body):
        char = body[position]
        length = 1
        if char == '"':
            length = _string_length(body, position)
        elif char in _CLOSERS:
            closers.append(_CLOSERS[char])
        elif char in "}]":
            _drop_trailing_comma(tidy)
            if closers.pop() != char:
                raise UnreadableReplyError("its brackets do not match")
        tidy.append(body[position : position + length])
        position += length
        if not closers:
            return "".join(tidy), position
    if not ended:
        raise UnreadableReplyError("it was cut off; be shorter")
    return _close("".join(tidy), closers), position


def _string_length(body: str, start: int) -> int:
    """Return the length of the JSON string that opens at `start`, with its quotes."""
    match = _STRING.match(body, start)
    if match is None:
        raise UnreadableReplyError("it ends inside a string; be shorter")
    return match.end() - start


def _drop_trailing_comma(tidy: list[str]) -> None:
    last = len(tidy) - 1
    while last >= 0 and tidy[last].isspace():
        last -= 1
    if last >= 0 and tidy[last] == ",":
        del tidy[last]


def _close(tidy: str, closers: list[str]) -> str:
    """Return an object that its writer ended without closing it, closed, if its last value is certainly whole.

    A number is not: 12 may have been meant to be 120.
    """
    tidy = tidy.rstrip().removesuffix(",").rstrip()
    if not tidy.endswith(('"', "}", "]", "true", "false", "null")):
        raise UnreadableReplyError("it ends in the middle")
    return tidy + "".join(reversed(closers))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableReplyError("it has the same property twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableReplyError(f"{name} is not a JSON number")
