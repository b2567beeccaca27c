"""What a job may cost, will cost and did cost."""

from __future__ import annotations

import threading

import pytest

from rsvqa.annotation.llm.budget import BillLine, Budget, BudgetSpentError, Estimate, estimate
from rsvqa.annotation.llm.prices import ModelPrice, Prices, PricesError
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.turns import RawReply, Turn, make_turn

PRICES = Prices(models={"m": ModelPrice(input=1_000_000, output=2_000_000, batch_share=0.5)})
"""A dollar a token of input, two a token of output."""


def turn(number: int, model: str = "m") -> Turn:
    """Return a turn of 8 + 2 = 10 tokens of input and at most 5 of output: at most 20 dollars."""
    return make_turn(
        ChatRequest(
            key="k", model=model, text=f"question{number % 10}"[-8:], system="", max_tokens=5, temperature=number
        )
    )


def pay(budget: Budget, number: int, read: int | None, written: int | None) -> None:
    budget.reserve(turn(number))
    budget.count(
        turn(number), RawReply(text="x" * 8, refusal=None, ended=True, input_tokens=read, output_tokens=written)
    )


def test_the_bill_counts_what_the_endpoint_reports() -> None:
    budget = Budget(prices=PRICES)
    pay(budget, 1, 7, 3)
    pay(budget, 2, None, None)  # estimated: 10 and 8 / 4 = 2
    budget.count(
        turn(3), RawReply(text="A", refusal=None, ended=True, input_tokens=4, output_tokens=1)
    )  # nothing was set aside: it was paid for before
    budget.count(
        turn(3), RawReply(text="A", refusal=None, ended=True, input_tokens=4, output_tokens=1)
    )  # the same reply for another request
    # paid: 7 + 2 × 3 and 10 + 2 × 2; stored: 4 + 2 × 1
    assert budget.bill() == [BillLine("m", 2, 1, 7 + 10 + 4, 3 + 2 + 1, 27.0, 6.0)]


def test_a_reply_that_was_set_aside_is_paid_now_whoever_counts_it_first() -> None:
    budget = Budget(prices=PRICES)
    budget.reserve(turn(1))
    reply = RawReply(text="A", refusal=None, ended=True, input_tokens=4, output_tokens=1)
    budget.count(turn(1), reply)
    budget.count(turn(1), reply)
    assert [(line.paid, line.stored) for line in budget.bill()] == [(1, 0)]


def test_without_a_price_tokens_are_counted_and_the_cost_is_unknown() -> None:
    budget = Budget(prices=PRICES)
    budget.reserve(turn(1, "other"))
    budget.count(turn(1, "other"), RawReply(text="A", refusal=None, ended=True, input_tokens=4, output_tokens=1))
    assert budget.bill() == [BillLine("other", 1, 0, 4, 1, None, None)]


def test_batches_cost_their_share() -> None:
    budget = Budget(prices=PRICES, batch=True)
    pay(budget, 1, 7, 3)
    assert budget.bill()[0].cost == 6.5


def test_the_cost_stays_below_its_bound() -> None:
    budget = Budget(max_cost=45, prices=PRICES)
    pay(budget, 1, 10, 5)  # 20
    pay(budget, 2, 10, 5)  # 40
    message = r"the budget of \$45 is used up: 2 replies cost \$40\.00, and the next one does not fit"
    with pytest.raises(BudgetSpentError, match=message):
        budget.reserve(turn(3))


def test_replies_of_an_earlier_run_count_too() -> None:
    budget = Budget(max_cost=45, max_requests=9, prices=PRICES)
    budget.count(turn(1), RawReply(text="A", refusal=None, ended=True, input_tokens=10, output_tokens=10))  # 30
    with pytest.raises(BudgetSpentError, match=r"\$45 and 9 requests is used up: 1 replies cost \$30\.00"):
        budget.reserve(turn(2))


def test_the_number_of_requests_is_bounded() -> None:
    budget = Budget(max_requests=2)
    pay(budget, 1, 1, 1)
    pay(budget, 2, 1, 1)
    with pytest.raises(BudgetSpentError, match="the budget of 2 requests is used up"):
        budget.reserve(turn(3))


def test_what_is_in_flight_is_waited_for_before_the_budget_counts_as_spent() -> None:
    budget = Budget(max_cost=30, prices=PRICES)
    budget.reserve(turn(1))  # may cost 20
    assert not budget.try_reserve(turn(2))
    settling = threading.Timer(
        0.05,
        lambda: budget.count(turn(1), RawReply(text="A", refusal=None, ended=True, input_tokens=4, output_tokens=1)),
    )  # costs 6
    settling.start()
    assert budget.reserve(turn(2)) == 10  # 6 + 20 fit
    settling.join()


def test_what_failed_is_free_again() -> None:
    budget = Budget(max_cost=30, prices=PRICES)
    budget.reserve(turn(1))
    budget.cancel(turn(1))
    assert budget.try_reserve(turn(2))


def test_a_bounded_cost_needs_a_price() -> None:
    with pytest.raises(PricesError, match="no price for other, so its cost cannot be bounded"):
        Budget(max_cost=1, prices=PRICES).reserve(turn(1, "other"))


def test_the_estimate_counts_what_is_not_stored_as_long_as_it_may_be() -> None:
    requests = [turn(number).request for number in (0, 1, 2, 3, 1)]
    stored = {turn(0).fingerprint: RawReply(text="A")}
    found = estimate(requests, lambda wanted: stored.get(wanted.fingerprint), PRICES)
    # three times 10 tokens of input and 5 of output
    assert found == Estimate(3, 2, 30, 15, 60.0, ())
    assert estimate(requests, lambda _turn: None, PRICES, batch=True).cost == 40.0


def test_an_estimate_without_all_prices_has_no_cost() -> None:
    found = estimate([turn(1).request, turn(1, "b").request, turn(1, "a").request], lambda _turn: None, PRICES)
    assert (found.cost, found.unpriced) == (None, ("a", "b"))
