"""Lines of the files that the batch API takes and gives, https://platform.openai.com/docs/guides/batch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from rsvqa.annotation.llm.requests import FailureKind
from rsvqa.annotation.llm.turns import RawReply, Turn, one_line
from rsvqa.annotation.llm.wire import Dialect, NotACompletionError, make_body, read_completion

PATH: Final = "/v1/chat/completions"


class BatchFileError(ValueError):
    """A file that the endpoint gave is not lines of JSON with a fingerprint each."""


def make_line(turn: Turn, dialect: Dialect) -> bytes:
    """Return the line that asks a turn; it is known by its fingerprint."""
    line = {"custom_id": turn.fingerprint, "method": "POST", "url": PATH, "body": make_body(turn, dialect)}
    return json.dumps(line).encode() + b"\n"


def read_lines(content: bytes) -> Iterable[tuple[str, RawReply | tuple[FailureKind, str]]]:
    """Yield by fingerprint the reply, or the kind and message of the failure, that each line of a result holds.

    Raises:
        BatchFileError: a line is not of the form.
    """
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            entry = json.loads(line)
            fingerprint, response = str(entry["custom_id"]), entry.get("response") or {}
            status, body = int(response.get("status_code") or 0), response.get("body")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BatchFileError(f"line {number} of the batch's result is not of the form: {error!r}") from None
        yield fingerprint, _read_body(status, body, entry.get("error"))


def _read_body(status: int, body: object, error: object) -> RawReply | tuple[FailureKind, str]:
    if status == 200:
        try:
            return read_completion(body)
        except NotACompletionError as trouble:
            return "unreachable", str(trouble)
    reason = error or (body.get("error") if isinstance(body, dict) else body)
    message = reason.get("message") if isinstance(reason, dict) else reason
    # 408, 429 and 5xx pass; everything else in the 400s comes again when it is asked again
    kind: FailureKind = "rejected" if 400 <= status < 500 and status not in (408, 409, 429) else "unreachable"
    return kind, one_line(f"batch: {status or 'no status'}: {message}")
