"""Limits a minute, with a clock that only waiting moves."""

from __future__ import annotations

import pytest

from rsvqa.annotation.llm.rate_limits import RateLimits


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def starts(limits: RateLimits, clock: Clock, tokens: list[int]) -> list[float]:
    """Return when each request went through, in seconds."""
    times = []
    for amount in tokens:
        limits.acquire(amount, clock.wait)
        times.append(clock.now - 100)
    return times


def test_without_limits_nothing_waits() -> None:
    clock = Clock()
    assert starts(RateLimits(clock=clock), clock, [10**9] * 3) == [0, 0, 0]


def test_requests_are_spaced_after_a_burst_of_one_second() -> None:
    clock = Clock()
    # 120 a minute is one every 0.5 s; the first two are the second's worth, and one more is let through
    assert starts(RateLimits(120, clock=clock), clock, [0] * 6) == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5])


def test_a_request_beyond_the_limit_of_tokens_goes_and_the_next_one_pays_for_it() -> None:
    clock = Clock()
    # 600 a minute: 1,200 tokens are two minutes' worth, less the second that may go at once
    assert starts(RateLimits(None, 600, clock=clock), clock, [1_200, 10, 10]) == pytest.approx([0, 119, 120])


def test_the_estimate_is_corrected() -> None:
    clock = Clock()
    limits = RateLimits(None, 600, clock=clock)
    limits.acquire(1_200, clock.wait)
    limits.correct(-1_100)  # it was 100, which are 10 s
    assert starts(limits, clock, [10]) == pytest.approx([9])


def test_the_endpoint_can_hold_everything() -> None:
    clock = Clock()
    limits = RateLimits(clock=clock)
    limits.hold(7)
    limits.hold(3)  # the longer one counts
    assert starts(limits, clock, [1, 1]) == [7, 7]


def test_over_a_long_time_the_limit_is_kept() -> None:
    clock = Clock()
    times = starts(RateLimits(90, 3_000, clock=clock), clock, [40] * 400)
    # tokens are tighter: 3,000 / 40 = 75 a minute, and at most one second's worth and one request more
    for start in (0.0, 33.3, 150.0):
        assert sum(start <= time < start + 60 for time in times) <= 75 + 2
    assert times[-1] == pytest.approx(400 / 75 * 60, rel=0.01)


def test_an_interrupted_wait_uses_nothing() -> None:
    clock = Clock()
    limits = RateLimits(60, clock=clock)
    starts(limits, clock, [0, 0])

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        limits.acquire(0, interrupt)
    assert starts(limits, clock, [0]) == pytest.approx([1])
