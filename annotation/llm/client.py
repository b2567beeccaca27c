"""The one client for OpenAI-compatible chat endpoints: what it is asked it asks once, keeps, and gives back.

A thread a request in flight: each stores its reply itself before anybody else sees it, so that what may be lost when
the process dies are only the replies that had not arrived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import replace

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.budget import Budget
from rsvqa.annotation.llm.endpoint import Endpoint, EndpointError
from rsvqa.annotation.llm.failures import EndpointDownError, FailuresInARow
from rsvqa.annotation.llm.reply_store import ReplyStore, TurnClaim
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, StoredFailure
from rsvqa.annotation.llm.sender import ClientSettings, Sender, SendingFailedError, StoppedError
from rsvqa.annotation.llm.turns import RawReply, Turn, advance, make_turn, one_line, second_turn
from rsvqa.annotation.llm.wire import Dialect

__all__ = ["ChatClient", "ClientSettings", "Endpoint", "EndpointDownError", "EndpointError"]

_CLAIM_POLL_S = 0.05
"""Seconds between two looks at whether the reply that another thread or process waits for has come."""


class BatchOpenError(RsvqaError):
    """A request is in a batch that is not collected; asking it here as well would be paid for twice."""


class ChatClient:
    """Asks an endpoint; one client serves many calls of `ask`, one after the other or at once.

    Args:
        endpoint: where to.
        settings: limits, retries, when to give up.
        store: of replies; None for one that ends with the client.
        budget: what the requests may cost; None only counts. Its bill is there while and after asking.

    Raises:
        EndpointError: no key where one is needed.
        MissingExtraError: the `llm` extra is not installed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: ClientSettings | None = None,
        store: ReplyStore | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.settings = settings or ClientSettings()
        self.budget = budget or Budget()
        self._endpoint = endpoint
        self._owns_store = store is None
        self._store = ReplyStore() if store is None else store
        self._retried: set[str] = set()
        self._sender = Sender(endpoint, self.settings, note_lost=lambda turn: self._store.note_lost(turn.fingerprint))

    def __enter__(self) -> ChatClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def dialect(self, turn: Turn) -> Dialect | None:
        """Return what the endpoint takes for such a turn; None before the first one was answered."""
        return self._sender.dialect(turn)

    def close(self) -> None:
        """Close the connections; a store that was passed in stays open."""
        self._sender.close()
        if self._owns_store:
            self._store.close()

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        """Yield the outcome of each request as it comes, in no certain order.

        Requests are pulled when a place is free, so at most `concurrency` of them are in memory. When the asking ends
        early, what is on its way is waited for and kept.

        Raises:
            EndpointDownError: `stop_after` failures in a row, or the endpoint said that it will answer no request. The
                outcomes that there were have been yielded; requests without an outcome are free to be asked again.
            BudgetSpentError: the next request would go beyond the budget; likewise.
            PricesError: the budget bounds the cost of a model that has no price.
            BatchOpenError: a request is in a batch that is not collected.
            ReplyStoreError: replies cannot be kept.
        """
        stop = threading.Event()
        failures = FailuresInARow(self.settings.stop_after, self._endpoint.host)
        trouble: RsvqaError | None = None
        with closing(self._outcomes(requests, stop)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, RsvqaError):
                    trouble = trouble or outcome
                else:
                    yield outcome
                    trouble = trouble or failures.judge(outcome)
                if trouble is not None:
                    stop.set()
        if trouble is not None:
            raise trouble

    def _outcomes(
        self, requests: Iterable[ChatRequest], stop: threading.Event
    ) -> Generator[ChatReply | ChatFailure | RsvqaError]:
        """Yield outcomes and errors until the requests end, or once `stop` is set until nothing is in flight."""
        source = iter(requests)
        in_flight: list[Future[ChatReply | ChatFailure]] = []
        with ThreadPoolExecutor(self.settings.concurrency, thread_name_prefix="chat") as pool, _set_at_end(stop):
            while True:
                request = None if stop.is_set() else next(source, None)
                if request is not None:
                    in_flight.append(pool.submit(self._settle, request, stop))
                elif not in_flight:
                    return
                if request is None or len(in_flight) >= self.settings.concurrency:
                    wait(in_flight, return_when=FIRST_COMPLETED)
                done = [future for future in in_flight if future.done()]
                in_flight = [future for future in in_flight if future not in done]
                for future in done:
                    yield from _result(future)

    def _settle(self, request: ChatRequest, stop: threading.Event) -> ChatReply | ChatFailure:
        """Ask until the request has an outcome; runs in a thread of its own."""
        first = make_turn(request)
        started: float | None = None
        while True:
            step = advance(first, self._find)
            if isinstance(step, ChatFailure) and started is None and self._is_to_be_retried(first):
                started = time.monotonic()
                self._forget(first, step)
                continue
            if not isinstance(step, Turn):
                return _timed(step, started)
            claim = self._store.claim(step.fingerprint)
            if claim is TurnClaim.OURS:
                started = started or time.monotonic()
                failure = self._send(step, stop)
                if failure is not None:
                    return failure
            elif claim is TurnClaim.IN_BATCH:
                raise BatchOpenError(
                    "a batch holds requests of this job: run it with `batch_api` until it is collected"
                )
            elif claim is TurnClaim.TAKEN and stop.wait(_CLAIM_POLL_S):
                raise StoppedError

    def _is_to_be_retried(self, first: Turn) -> bool:
        """Return whether what failed in an earlier run is asked again; once per run."""
        is_first_time = first.fingerprint not in self._retried
        self._retried.add(first.fingerprint)
        return self.settings.retry_failed and is_first_time

    def _forget(self, first: Turn, failure: ChatFailure) -> None:
        """Make a request that came to nothing in an earlier run one that was never sent, both its turns."""
        reply = self._store.find(first.fingerprint)
        second = None if reply is None else second_turn(first, reply)
        for turn in (first, second):
            if turn is not None:
                self._store.forget(turn, failure)

    def _find(self, turn: Turn) -> RawReply | None:
        reply = self._store.find(turn.fingerprint)
        if reply is not None:
            self.budget.count(turn, reply)
        return reply

    def _send(self, turn: Turn, stop: threading.Event) -> ChatFailure | None:
        """Send a claimed turn and keep what comes of it; the claim ends in every case."""
        try:
            if stop.is_set():
                raise StoppedError
            tokens = self.budget.reserve(turn)
            reply = self._sender.send(turn, tokens, stop)
        except SendingFailedError as error:
            failure = ChatFailure(turn.request.key, error.kind, one_line(str(error)))
            self._store.put_failure(turn, failure)
            return failure
        except BaseException:
            self._store.release(turn.fingerprint)
            raise
        else:
            self._store.put(turn, reply)
            self.budget.count(turn, reply)
            return None
        finally:
            self.budget.cancel(turn)


@contextmanager
def _set_at_end(event: threading.Event) -> Iterator[None]:
    """Set an event when the block ends, however it ends: threads stop retrying and need not be waited for long."""
    try:
        yield
    finally:
        event.set()


def _timed(outcome: ChatReply | ChatFailure, started: float | None) -> ChatReply | ChatFailure:
    """Return an outcome read from the store as what it is: asked for now, if a sending has `started`."""
    if isinstance(outcome, ChatFailure):
        is_new = started is not None
        return outcome if is_new else StoredFailure(outcome.key, outcome.kind, outcome.message)
    if started is None:
        return outcome
    return replace(outcome, is_stored=False, seconds=time.monotonic() - started)


def _result(future: Future[ChatReply | ChatFailure]) -> Iterator[ChatReply | ChatFailure | RsvqaError]:
    """Yield what came of a request; nothing when it was stopped."""
    try:
        yield future.result()
    except StoppedError:
        return
    except RsvqaError as error:
        yield error
