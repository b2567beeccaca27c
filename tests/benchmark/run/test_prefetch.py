"""Work ahead: in order, so far and no further, and errors where their item would have been."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from rsvqa.benchmark.run.prefetch import Prefetcher


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "did not happen within 10 s"
        time.sleep(0.001)


def test_items_come_in_order() -> None:
    with Prefetcher(range(100), cost=lambda _: 1, max_waiting_cost=3) as items:
        assert list(items) == list(range(100))


@pytest.mark.parametrize(
    ("max_cost", "max_waiting", "made"),
    [
        (25, 32, 3),  # 10 + 10 is below 25, 10 + 10 + 10 is not
        (20, 32, 2),
        (1, 32, 1),  # one that is larger than all that may wait, waits alone
        (10**9, 4, 4),
    ],
)
def test_no_more_is_made_than_may_wait(max_cost: int, max_waiting: int, made: int) -> None:
    drawn = []

    def source() -> Iterator[int]:
        for number in range(50):
            drawn.append(number)
            yield number

    with Prefetcher(source(), cost=lambda _: 10, max_waiting_cost=max_cost, max_waiting=max_waiting) as items:
        wait_until(lambda: len(drawn) == made)
        time.sleep(0.05)
        assert len(drawn) == made
        assert next(items) == 0
        wait_until(lambda: len(drawn) == made + 1)


def test_an_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with Prefetcher(source(), cost=lambda _: 1, max_waiting_cost=9) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="disk"):
            next(items)


def test_leaving_early_ends_the_thread() -> None:
    with Prefetcher(iter(int, 1), cost=lambda _: 1, max_waiting_cost=2) as items:
        next(items)
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}
