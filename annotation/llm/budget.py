"""What a job may cost, what it will cost, and what it did cost.

The bound is on the job, not on one start of it: replies that an earlier start has paid for count too, so that a job
that is started again and again does not spend its budget again and again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.prices import Prices, PricesError, read_prices
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.tokens import input_tokens, text_tokens
from rsvqa.annotation.llm.turns import RawReply, Turn, advance, make_turn


class BudgetSpentError(RsvqaError):
    """The next request would go beyond what the job may cost; all replies so far are kept."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """One model.

    Attributes:
        model: as asked for.
        paid: replies of this run.
        stored: replies that an earlier run has paid for.
        input_tokens, output_tokens: of both, as reported; estimated where the endpoint does not report.
        cost, stored_cost: US dollars of `paid` and of `stored`; None without a price.
    """

    model: str
    paid: int
    stored: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    stored_cost: float | None


@dataclass(slots=True)
class _Tally:
    """Replies of one model, in whole numbers, so that the sum does not depend on the order in which they came."""

    replies: int = 0
    read: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What requests will cost at most, before anything is sent.

    Attributes:
        requests: to be sent; repairs of bad replies come on top.
        stored: for nothing: already answered, or the same as one before.
        input_tokens: estimated.
        output_tokens: if every reply is as long as it may be.
        cost: US dollars, with these numbers; None when a model has no price.
        unpriced: models without a price, sorted.
    """

    requests: int
    stored: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    unpriced: tuple[str, ...]


class Budget:
    """Counts what a job costs and stops it at its bounds; safe to use from many threads.

    What is in flight is counted with its estimate, replies as long as they may be. The cost goes beyond `max_cost` only
    as far as an endpoint counts more tokens of input than estimated, or bills sendings whose replies did not arrive.

    Args:
        max_cost: US dollars; None for no bound.
        max_requests: replies; None for no bound.
        prices: None for the table that comes with rsvqa.
        batch: prices of the batch API.
    """

    def __init__(
        self,
        *,
        max_cost: float | None = None,
        max_requests: int | None = None,
        prices: Prices | None = None,
        batch: bool = False,
    ) -> None:
        self.prices = read_prices() if prices is None else prices
        self.batch = batch
        self._max_cost = max_cost
        self._max_requests = max_requests
        self._paid: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._stored: defaultdict[str, _Tally] = defaultdict(_Tally)
        self._counted: set[str] = set()
        self._reserved: dict[str, float] = {}
        self._changed = threading.Condition()

    def reserve(self, turn: Turn) -> int:
        """Set aside what a turn may cost, waiting while others may free enough; return its estimated input tokens.

        Raises:
            BudgetSpentError: it does not fit.
            PricesError: the cost is bounded and the model has no price.
        """
        tokens, cost = self._most(turn)
        with self._changed:
            while not self._set_aside(turn, cost):
                self._changed.wait()
        return tokens

    def try_reserve(self, turn: Turn) -> bool:
        """As `reserve`, but tell that it does not fit now instead of waiting."""
        _, cost = self._most(turn)
        with self._changed:
            return self._set_aside(turn, cost)

    def cancel(self, turn: Turn) -> None:
        """Free what was set aside: there is no reply."""
        with self._changed:
            self._reserved.pop(turn.fingerprint, None)
            self._changed.notify_all()

    def count(self, turn: Turn, reply: RawReply) -> None:
        """Count a reply, once whatever the number of requests that it answers.

        It was paid for in this run if its cost was set aside, and else in an earlier one.
        """
        with self._changed:
            tallies = self._stored if self._reserved.pop(turn.fingerprint, None) is None else self._paid
            if turn.fingerprint not in self._counted:
                self._counted.add(turn.fingerprint)
                tally = tallies[turn.request.model]
                tally.replies += 1
                tally.read += input_tokens(turn, self.prices) if reply.input_tokens is None else reply.input_tokens
                tally.written += text_tokens(reply.text) if reply.output_tokens is None else reply.output_tokens
            self._changed.notify_all()

    def bill(self) -> list[BillLine]:
        """Return what the job has cost, one line per model, sorted by name."""
        with self._changed:
            return [self._line(model) for model in sorted({*self._paid, *self._stored})]

    def _line(self, model: str) -> BillLine:
        paid, stored = self._paid[model], self._stored[model]
        return BillLine(
            model=model,
            paid=paid.replies,
            stored=stored.replies,
            input_tokens=paid.read + stored.read,
            output_tokens=paid.written + stored.written,
            cost=self._cost(model, paid.read, paid.written),
            stored_cost=self._cost(model, stored.read, stored.written),
        )

    def _most(self, turn: Turn) -> tuple[int, float]:
        """Return the estimated input tokens and the highest cost of a turn."""
        tokens = input_tokens(turn, self.prices)
        cost = self._cost(turn.request.model, tokens, turn.request.max_tokens)
        if cost is None and self._max_cost is not None:
            model = turn.request.model
            raise PricesError(f"no price for {model}, so its cost cannot be bounded: add it to a table of prices")
        return tokens, cost or 0.0

    def _set_aside(self, turn: Turn, cost: float) -> bool:
        fits = self._fits(cost)
        if fits:
            self._reserved[turn.fingerprint] = cost
        elif not self._reserved:
            raise BudgetSpentError(self._spent_message())
        return fits

    def _cost(self, model: str, read: int, written: int) -> float | None:
        price = self.prices.find(model)
        return None if price is None else price.cost(read, written, batch=self.batch)

    def _fits(self, cost: float) -> bool:
        requests = len(self._counted) + len(self._reserved) + 1
        return (self._max_requests is None or requests <= self._max_requests) and (
            self._max_cost is None or self._spent() + sum(self._reserved.values()) + cost <= self._max_cost
        )

    def _spent(self) -> float:
        tallies = [*self._paid.items(), *self._stored.items()]
        return sum(self._cost(model, tally.read, tally.written) or 0.0 for model, tally in tallies)

    def _spent_message(self) -> str:
        bounds = [
            *([] if self._max_cost is None else [f"${self._max_cost:g}"]),
            *([] if self._max_requests is None else [f"{self._max_requests} requests"]),
        ]
        return (
            f"the budget of {' and '.join(bounds)} is used up: {len(self._counted)} replies cost ${self._spent():.2f}, "
            "and the next one does not fit; all replies are kept: start again with a larger budget to go on"
        )


def estimate(
    requests: Iterable[ChatRequest],
    find: Callable[[Turn], RawReply | None],
    prices: Prices,
    *,
    batch: bool = False,
) -> Estimate:
    """Return what requests will cost at most; nothing is sent. `find` gives stored replies."""
    stored = sent = read = written = 0
    cost = 0.0
    unpriced: set[str] = set()
    seen: set[str] = set()
    for request in requests:
        turn = advance(make_turn(request), find)
        if not isinstance(turn, Turn) or turn.fingerprint in seen:
            stored += 1
            continue
        seen.add(turn.fingerprint)
        tokens = input_tokens(turn, prices)
        sent, read, written = sent + 1, read + tokens, written + request.max_tokens
        price = prices.find(request.model)
        if price is None:
            unpriced.add(request.model)
        else:
            cost += price.cost(tokens, request.max_tokens, batch=batch)
    return Estimate(sent, stored, read, written, None if unpriced else cost, tuple(sorted(unpriced)))
