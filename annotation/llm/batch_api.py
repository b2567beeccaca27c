"""The batch API: files of requests that the endpoint answers within a day, at a lower price.

A batch is noted with a token of ours before it is submitted, and carries the token: when the process dies in between,
the batch is found again by it. So nothing is submitted twice, whenever the process dies. The first request of each
model and schema goes the direct way: it tells at once, and not after hours, how the endpoint wants them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from rsvqa.annotation.llm.batch_files import PATH, BatchFileError, make_line, read_lines
from rsvqa.annotation.llm.budget import Budget
from rsvqa.annotation.llm.client import ChatClient
from rsvqa.annotation.llm.endpoint import Endpoint
from rsvqa.annotation.llm.failures import EndpointDownError, FailuresInARow
from rsvqa.annotation.llm.reply_store import OpenBatch, ReplyStore
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, FailureKind
from rsvqa.annotation.llm.sender import ClientSettings
from rsvqa.annotation.llm.turns import RawReply, Turn, advance, make_turn, one_line

if TYPE_CHECKING:
    from openai.types import Batch

T = TypeVar("T")

_TOKEN = "rsvqa"  # noqa: S105 - the name under which a batch carries our token
_ENDED = ("completed", "expired", "cancelled")


class BatchSettings(BaseModel):
    """How batches are made.

    Attributes:
        max_bytes, max_requests: of one batch; OpenAI takes 200 MB and 50,000.
        batches_at_once: submitted and not collected; their pictures stay in memory.
        poll_s: seconds between two looks at a batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=100_000_000, ge=1)
    max_requests: int = Field(default=50_000, ge=1)
    batches_at_once: int = Field(default=4, ge=1)
    poll_s: float = Field(default=30.0, gt=0)


@dataclass(slots=True)
class _Asked:
    """A request without an outcome; `is_sent` when this run has sent it."""

    first: Turn
    is_sent: bool = False


@dataclass(slots=True, kw_only=True)
class _Draft:
    """A batch in the making: lines by fingerprint."""

    turns: dict[str, Turn] = field(default_factory=dict)
    lines: dict[str, bytes] = field(default_factory=dict)
    num_bytes: int = 0
    is_full: bool = False

    def add(self, turn: Turn, line: bytes) -> None:
        self.turns[turn.fingerprint] = turn
        self.lines[turn.fingerprint] = line
        self.num_bytes += len(line)


class BatchClient:
    """As `ChatClient`, by way of batches; the bill takes the batch price for everything.

    Args:
        endpoint: where to.
        settings: for the requests that go the direct way, and for retries.
        batches: size and number of batches.
        store: of replies and of open batches; without a file nothing can be collected after a restart.
        budget: made with `batch=True`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: ClientSettings | None = None,
        batches: BatchSettings | None = None,
        *,
        store: ReplyStore,
        budget: Budget | None = None,
    ) -> None:
        self.settings = settings or ClientSettings()
        self.budget = budget or Budget(batch=True)
        self._batches = batches or BatchSettings()
        self._endpoint = endpoint
        self._store = store
        self._direct = ChatClient(endpoint, self.settings, store, self.budget)
        self._api = endpoint.connect(self.settings.timeout_s)
        self._submitted: dict[str, Turn] = {}
        self._failed: dict[str, tuple[FailureKind, str]] = {}
        self._failures = FailuresInARow(self.settings.stop_after, endpoint.host)

    def __enter__(self) -> BatchClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; batches go on, and the next run collects them."""
        self._direct.close()
        self._api.close()

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        """Yield the outcome of each request when its batch is collected; batches of an earlier run are collected too.

        A reply's `seconds` are 0. Ending early leaves batches to the next run.

        Raises:
            EndpointDownError: the endpoint does not take batches now; what was submitted is collected by the next run.
            BudgetSpentError, PricesError, ReplyStoreError: as `ChatClient.ask`.
        """
        source = (_Asked(make_turn(request)) for request in requests)
        waiting: list[_Asked] = []
        is_exhausted = False
        while waiting or not is_exhausted:
            draft = _Draft(is_full=self._num_open() >= self._batches.batches_at_once)
            looked_at, waiting = waiting, []
            for asked in looked_at:
                yield from self._look_at(asked, draft, waiting)
            while not draft.is_full and not is_exhausted:
                asked_next = next(source, None)
                is_exhausted = asked_next is None
                if asked_next is not None:
                    yield from self._look_at(asked_next, draft, waiting)
            self._submit(draft)
            if waiting or not is_exhausted:
                self._await_change()

    def _look_at(self, asked: _Asked, draft: _Draft, waiting: list[_Asked]) -> Iterator[ChatReply | ChatFailure]:
        """Yield the outcome of a request if it has one; else it waits, its turn in the draft if there is room."""
        step = advance(asked.first, self._find)
        if isinstance(step, ChatReply):
            yield replace(step, is_stored=not asked.is_sent)
        elif isinstance(step, ChatFailure):
            yield step
        elif step.fingerprint in self._failed:
            kind, message = self._failed[step.fingerprint]
            yield ChatFailure(step.request.key, kind, message)
        elif step.fingerprint in draft.turns or self._store.is_in_batch(step.fingerprint):
            waiting.append(asked)
        elif self._direct.dialect(step) is None:
            yield from self._ask_directly(step.request)
        else:
            asked.is_sent = self._draw_up(step, draft) or asked.is_sent
            waiting.append(asked)

    def _ask_directly(self, request: ChatRequest) -> Iterator[ChatReply | ChatFailure]:
        for outcome in self._direct.ask([request]):
            yield outcome
            trouble = self._failures.judge(outcome)
            if trouble is not None:
                raise trouble

    def _draw_up(self, turn: Turn, draft: _Draft) -> bool:
        """Put a turn into the draft; False when it is full or the budget has no room before others are settled."""
        if draft.is_full:
            return False
        dialect = self._direct.dialect(turn)
        assert dialect is not None
        line = make_line(turn, dialect)
        if len(line) > self._batches.max_bytes:
            message = f"{len(line):,} bytes are more than a batch may have ({self._batches.max_bytes:,})"
            self._failed[turn.fingerprint] = ("rejected", message)
            return False
        too_big = draft.num_bytes + len(line) > self._batches.max_bytes
        draft.is_full = too_big or len(draft.turns) >= self._batches.max_requests or not self.budget.try_reserve(turn)
        if not draft.is_full:
            draft.add(turn, line)
        return not draft.is_full

    def _find(self, turn: Turn) -> RawReply | None:
        reply = self._store.find(turn.fingerprint)
        if reply is not None:
            self.budget.count(turn, reply)
        return reply

    def _num_open(self) -> int:
        return len(self._store.open_batches())

    def _submit(self, draft: _Draft) -> None:
        """Send a draft on its way."""
        if not draft.turns:
            return
        token = uuid4().hex
        ours = self._store.begin_batch(token, draft.turns.values())
        for turn in ours:
            self._submitted[turn.fingerprint] = turn
        for turn in draft.turns.values():
            if turn.fingerprint not in self._submitted:  # another process was faster
                self.budget.cancel(turn)
        if not ours:
            self._store.drop_batch(token)
            return
        self._create(token, b"".join(draft.lines[turn.fingerprint] for turn in ours))

    def _create(self, token: str, content: bytes) -> None:
        retrying = self._api.with_options(max_retries=self.settings.retries)
        try:
            uploaded = self._call(lambda: retrying.files.create(file=(f"{token}.jsonl", content), purpose="batch"))
        except EndpointDownError:
            self._store.drop_batch(token)
            raise
        try:
            batch = self._call(
                lambda: self._api.batches.create(
                    input_file_id=uploaded.id,
                    endpoint=PATH,
                    completion_window="24h",
                    metadata={_TOKEN: token},
                )
            )
        except EndpointDownError as error:
            if error.status is not None and error.status < 500:
                self._store.drop_batch(token)
            else:  # the batch may be there: whoever is next looks for its token
                self._store.leave_batch(token)
            raise
        self._store.name_batch(token, batch.id)

    def _await_change(self) -> None:
        """Wait until a batch is collected, by this process or another; only once if none is open."""
        before = self._store.open_batches()
        self._collect_ended(before)
        while before and self._store.open_batches() == before:
            time.sleep(self._batches.poll_s)
            self._collect_ended(before)
        if not before:
            time.sleep(self._batches.poll_s)

    def _collect_ended(self, batches: list[OpenBatch]) -> None:
        for row in batches:
            if row.is_being_submitted:
                continue
            batch = self._retrieve(row)
            if batch is None:
                self._drop(row.token)
            elif batch.status == "failed":
                self._drop(row.token)
                raise EndpointDownError(f"{self._endpoint.host}: batch {batch.id} was not accepted: {_reasons(batch)}")
            elif batch.status in _ENDED:
                self._collect(row.token, batch)

    def _retrieve(self, row: OpenBatch) -> Batch | None:
        """Return the endpoint's state of a batch; None when it never came to be."""
        api = self._api.with_options(max_retries=self.settings.retries)
        if row.batch_id is not None:
            return self._call(lambda: api.batches.retrieve(str(row.batch_id)))
        mine = [b for b in self._call(lambda: list(api.batches.list(limit=100))) if _token_of(b) == row.token]
        if mine:
            self._store.name_batch(row.token, mine[0].id)
        return mine[0] if mine else None

    def _collect(self, token: str, batch: Batch) -> None:
        """Keep what an ended batch brought; what it did not answer counts as unreachable."""
        replies: dict[str, RawReply] = {}
        failures: dict[str, tuple[FailureKind, str]] = {}
        for file_id in (batch.output_file_id, batch.error_file_id):
            for fingerprint, result in self._lines(file_id):
                if isinstance(result, RawReply):
                    replies[fingerprint] = self._endpoint.clean(result)
                else:
                    failures[fingerprint] = (result[0], self._endpoint.hide_key(result[1]))
        for fingerprint in self._store.turns_of_batch(token):
            if fingerprint not in replies:
                failures.setdefault(fingerprint, ("unreachable", f"the batch is {batch.status}, without an answer"))
        self._store.collect_batch(token, replies, failures)
        self._failed |= failures
        self._settle(replies, failures)

    def _lines(self, file_id: str | None) -> Iterable[tuple[str, RawReply | tuple[FailureKind, str]]]:
        if file_id is None:
            return []
        api = self._api.with_options(max_retries=self.settings.retries)
        content = self._call(lambda: api.files.content(file_id).content)
        try:
            return list(read_lines(content))
        except BatchFileError as error:
            raise EndpointDownError(f"{self._endpoint.host}: file {file_id}: {error}") from None

    def _settle(self, replies: dict[str, RawReply], failures: Iterable[str]) -> None:
        """Bring what this run has submitted to the bill."""
        for fingerprint, reply in replies.items():
            turn = self._submitted.pop(fingerprint, None)
            if turn is not None:
                self.budget.count(turn, reply)
        for fingerprint in failures:
            turn = self._submitted.pop(fingerprint, None)
            if turn is not None:
                self.budget.cancel(turn)

    def _drop(self, token: str) -> None:
        fingerprints = self._store.turns_of_batch(token)
        self._store.drop_batch(token)
        self._settle({}, fingerprints)

    def _call(self, function: Callable[[], T]) -> T:
        """Return what the library returns; its errors become ours."""
        from openai import APIStatusError, OpenAIError

        try:
            return function()
        except OpenAIError as error:
            status = error.status_code if isinstance(error, APIStatusError) else None
            message = one_line(self._endpoint.hide_key(f"{self._endpoint.host}: {error}"))
            raise EndpointDownError(f"{message}; batches on their way are collected by the next run", status) from None


def _token_of(batch: Batch) -> str | None:
    return (batch.metadata or {}).get(_TOKEN)


def _reasons(batch: Batch) -> str:
    data = (batch.errors.data if batch.errors else None) or []
    return one_line("; ".join(error.message or error.code or "" for error in data)) or "no reason given"
