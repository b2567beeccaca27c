"""One turn to the endpoint and its reply back, with retries, limits and what the endpoint turns out to want.

tenacity retries, not the openai client: a stop cannot end the client's sleep, and it does not tell of lost sendings.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from rsvqa.annotation.llm.endpoint import Endpoint
from rsvqa.annotation.llm.failures import EndpointDownError
from rsvqa.annotation.llm.rate_limits import RateLimits
from rsvqa.annotation.llm.requests import FailureKind
from rsvqa.annotation.llm.turns import RawReply, Turn, one_line
from rsvqa.annotation.llm.wire import Dialect, ErrorBodyError, NotACompletionError, adapt, make_body, read_completion

if TYPE_CHECKING:
    from openai import APIStatusError

LONGEST_BACKOFF_S = 60.0

_CONTENT_TOO_LARGE = 413
_TOO_LARGE = re.compile(
    r"\b(?:image|picture|payload|entity|body)\b.{0,60}\btoo (?:large|big)\b"
    r"|\bimages?\b.{0,80}\bexceed|\bexceed\w{0,3}\b.{0,40}\bimage"
    r"|\bmaximum (?:context|model) length\b|\bcontext_length_exceeded\b",
    re.IGNORECASE,
)
"""How servers say that a picture is too large for them, beside the status, or that its tokens do not fit."""

_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")
"""Errors of the HTTP library after which the endpoint has not seen the request."""


class ClientSettings(BaseModel):
    """How an endpoint is used."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    concurrency: int = Field(default=8, ge=1, le=512)
    """Requests in flight."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Most requests per minute (default: no limit)."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Most tokens per minute (default: no limit)."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds without a sign of life from the endpoint."""
    retries: int = Field(default=5, ge=0)
    """Sendings after the first, on 429, 5xx, time-outs and broken connections."""
    backoff_s: float = Field(default=1.0, ge=0)
    """Bound of the first wait before a retry, seconds.

    It doubles with each retry, up to 60 s; the wait is drawn below the bound.
    """
    longest_wait_s: float = Field(default=300.0, ge=0)
    """Longest wait that the endpoint may ask for, seconds.

    One that asks for more counts as down.
    """
    stop_after: int = Field(default=20, ge=1)
    """Failures in a row, of whatever kind, after which the run ends."""
    retry_failed: bool = False
    """Ask refused requests and unusable replies of earlier runs again; they are paid for again."""


class SendingFailedError(Exception):
    """A turn got no reply, and no retry is left or would help; inside the client only."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


class StoppedError(Exception):
    """The client stops, and the turn was not answered; inside the client only."""


class _PassingError(Exception):
    """A sending failed in a way that a retry may cure."""


class _BadRequestError(Exception):
    """The endpoint answered 400 or 422; `parameter` is what it names as wrong."""

    def __init__(self, message: str, parameter: str | None) -> None:
        super().__init__(message)
        self.parameter = parameter


class Sender:
    """Sends turns; safe to use from many threads.

    Args:
        endpoint: where to.
        settings: limits and retries.
        note_lost: called when a turn went out and nothing came back, so that it may have been paid for.
    """

    def __init__(self, endpoint: Endpoint, settings: ClientSettings, note_lost: Callable[[Turn], None]) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._note_lost = note_lost
        self._client = endpoint.connect(settings.timeout_s)
        self._limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)
        self._dialects: dict[tuple[str, type[BaseModel] | None], Dialect] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def dialect(self, turn: Turn) -> Dialect | None:
        """Return what the endpoint takes for such a turn; None before the first one was answered."""
        return self._dialects.get((turn.request.model, turn.request.schema))

    def send(self, turn: Turn, tokens: int, stop: threading.Event) -> RawReply:
        """Return the reply to a turn.

        Args:
            turn: what to send.
            tokens: its input, estimated, for the limit on tokens.
            stop: when set, waiting ends; what is on its way is still waited for.

        Raises:
            SendingFailedError: rejected, or still unreachable after the last retry.
            EndpointDownError: no request will be answered: wrong key, unknown model, no credit.
            StoppedError: `stop` was set while waiting.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        retrying = Retrying(
            stop=stop_after_attempt(self._settings.retries + 1),
            wait=wait_random_exponential(self._settings.backoff_s, max=LONGEST_BACKOFF_S),
            sleep=lambda seconds: _sleep(seconds, stop),
            retry=retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            reply: RawReply = retrying(self._attempt, turn, tokens, stop)
        except _PassingError as error:
            tries = self._settings.retries + 1
            raise SendingFailedError("unreachable", f"no answer after {tries} tries: {error}") from None
        except _BadRequestError as error:
            raise _rejected(turn, str(error)) from None
        return reply

    def _attempt(self, turn: Turn, tokens: int, stop: threading.Event) -> RawReply:
        """Send a turn once, in the dialect that the endpoint takes."""
        self._limits.acquire(tokens, lambda seconds: _sleep(seconds, stop))
        key = (turn.request.model, turn.request.schema)
        dialect: Dialect = self._dialects.get(key, Dialect())
        while True:
            try:
                reply = self._post(turn, dialect)
            except _BadRequestError as error:
                # another thread may have found meanwhile what the endpoint takes: only the refused dialect counts
                proven = self._dialects.get(key)
                if proven is not None and proven != dialect:
                    dialect = proven
                    continue
                other = adapt(dialect, turn, str(error), error.parameter, is_proven=proven == dialect)
                if other is None:
                    raise
                dialect = other
            else:
                self._dialects[key] = dialect
                self._limits.correct((reply.input_tokens or tokens) + (reply.output_tokens or 0) - tokens)
                return reply

    def _post(self, turn: Turn, dialect: Dialect) -> RawReply:
        from openai import APIConnectionError, APIStatusError

        body = make_body(turn, dialect)
        try:
            # not `chat.completions.create`: its walk through the body takes a third of the time of a sending, and it
            # believes whatever the endpoint says
            reply = read_completion(self._client.post("/chat/completions", cast_to=object, body=body))
        except APIStatusError as error:
            raise self._read_status(error, turn) from None
        except APIConnectionError as error:
            if type(error.__cause__).__name__ not in _NOT_SENT:
                self._note_lost(turn)
            cause = f" ({error.__cause__})" if str(error.__cause__ or "") else ""
            raise _PassingError(self._clean(f"{self._endpoint.host}: {error}{cause}")) from None
        except ErrorBodyError as error:
            raise self._judge_error(f"{self._endpoint.host}: {error}", error.status, turn) from None
        except (NotACompletionError, ValueError, RecursionError) as error:
            self._note_lost(turn)
            raise _PassingError(self._clean(f"{self._endpoint.host}: {_no_completion(error)}")) from None
        return self._endpoint.clean(reply)

    def _read_status(self, error: APIStatusError, turn: Turn) -> Exception:
        """Return what a status other than 2xx means."""
        status = error.status_code
        said = str(error.body or "")[:200] if error.message == f"Error code: {status}" else ""  # no message was found
        message = self._clean(f"{self._endpoint.host}: {status}: {error.message} {said}")
        if status in (401, 404) or error.code == "insufficient_quota":
            return EndpointDownError(f"{message}; all replies so far are kept", status)
        if status in (400, 422):
            return _BadRequestError(message, error.param)
        if _is_final(status) or _is_about_size(turn, message, status):
            return self._judge_error(message, status, turn)
        wait_s = retry_after_s(error.response.headers)
        if wait_s is not None and wait_s > self._settings.longest_wait_s:
            return EndpointDownError(
                f"{message}; it asks to wait {wait_s:.0f} s: start again later, all replies are kept", status
            )
        if wait_s is not None:
            self._limits.hold(wait_s)  # the retry waits for it as all others do
        return _PassingError(message)

    def _judge_error(self, message: str, status: int | None, turn: Turn) -> Exception:
        """Return what an error means, whichever status it came with: final, about the pictures' size, or passing."""
        message = self._clean(message)
        if _is_final(status) or _is_about_size(turn, message, status):
            return _rejected(turn, message, status)
        return _PassingError(message)

    def _clean(self, message: str) -> str:
        return one_line(self._endpoint.hide_key(message))


def _no_completion(error: Exception) -> str:
    """Return what is wrong with a body that came with 200."""
    if isinstance(error, json.JSONDecodeError):
        return f"the reply is not JSON, it begins with {error.doc[:200]!r}" if error.doc else "the reply is empty"
    return str(error)


def _rejected(turn: Turn, message: str, status: int | None = None) -> SendingFailedError:
    return SendingFailedError("too_large" if _is_about_size(turn, message, status) else "rejected", message)


def _is_about_size(turn: Turn, message: str, status: int | None) -> bool:
    """Return whether smaller pictures may help, be it said with a status of the client's, the server's, or with 200."""
    return bool(turn.request.pictures) and (status == _CONTENT_TOO_LARGE or _TOO_LARGE.search(message) is not None)


def _is_final(status: int | None) -> bool:
    """Return whether a retry would get the same answer."""
    return status is not None and 400 <= status < 500 and status not in (408, 409, 429)


def _sleep(seconds: float, stop: threading.Event) -> None:
    if stop.wait(seconds):
        raise StoppedError


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for; None without one, or when it makes no sense."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
