"""Work ahead in a thread, so far and no further: the next images are decoded while the model works."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """An iterator over `source`, which a thread of its own draws from as long as the context is open.

    Args:
        source: drawn from in one thread, in order.
        cost: of an item, e.g. its bytes.
        max_waiting_cost: the thread makes no further item while those that wait cost this much or more. So at most
            this much and one item more wait, and one is being made.
        max_waiting: the same for the number of items.

    Errors of `source` come out where its item would have.
    """

    def __init__(
        self, source: Iterable[T], *, cost: Callable[[T], int], max_waiting_cost: int, max_waiting: int = 32
    ) -> None:
        self._source = source
        self._cost = cost
        self._max_cost = max_waiting_cost
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._waiting_cost = 0
        self._is_over = False
        self._is_stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; waits for the item that is being made."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._waiting and not self._is_over:
                self._changed.wait()
            if not self._waiting:
                if self._error is not None:
                    raise self._error
                raise StopIteration
            item = self._waiting.popleft()
            self._waiting_cost -= self._cost(item)
            self._changed.notify_all()
            return item

    def _work(self) -> None:
        try:
            for item in self._source:
                if not self._offer(item):
                    return
        except BaseException as error:  # noqa: BLE001  raised again in the thread that waits for the item
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _offer(self, item: T) -> bool:
        """Let an item wait, then hold until there is room for another; False when nobody wants more."""
        with self._changed:
            self._waiting.append(item)
            self._waiting_cost += self._cost(item)
            self._changed.notify_all()
            while not self._is_stopped and (
                self._waiting_cost >= self._max_cost or len(self._waiting) >= self._max_waiting
            ):
                self._changed.wait()
            return not self._is_stopped
