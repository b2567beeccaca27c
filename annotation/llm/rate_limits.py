"""Limits on requests and tokens per minute, shared by all threads of a client.

The libraries for it (limits 5, pyrate-limiter 4) take neither what a request really used nor Retry-After afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST_S = 1.0
"""Seconds' worth of the limit that may go at once after a quiet time; endpoints measure over about a second."""


class _Meter:
    """One limit, as the time at which what was let through so far is used up (generic cell rate algorithm)."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_each = 60.0 / per_minute
        self._used_up_at = 0.0

    def delay(self, now: float) -> float:
        return self._used_up_at - BURST_S - now

    def use(self, amount: float, now: float) -> None:
        self._used_up_at = max(self._used_up_at, now) + amount * self._seconds_each


class RateLimits:
    """Says how long a request has to wait; safe to use from many threads.

    A request bigger than the whole limit of tokens goes alone and the next ones wait for it. Over a long time no more
    than the limit goes through, in any one minute at most the limit, a burst of one second's worth and one request.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._requests = _Meter(requests_per_minute) if requests_per_minute else None
        self._tokens = _Meter(tokens_per_minute) if tokens_per_minute else None
        self._held_until = float("-inf")
        self._lock = threading.Lock()

    def acquire(self, tokens: int, wait: Callable[[float], None]) -> None:
        """Let one request through, after calling `wait` with seconds as often as it takes.

        What `wait` raises ends the acquiring, and nothing is used.
        """
        while (delay := self._try_acquire(tokens)) > 0:
            wait(delay)

    def correct(self, tokens: int) -> None:
        """Count what a request really used beyond its estimate; negative when it used less."""
        with self._lock:
            if self._tokens is not None:
                self._tokens.use(tokens, self._clock())

    def hold(self, seconds: float) -> None:
        """Let nothing through for a while: the endpoint has asked for it."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def _try_acquire(self, tokens: int) -> float:
        """Return 0 and count the request, or the seconds to wait before the next try."""
        with self._lock:
            now = self._clock()
            meters = [(meter, amount) for meter, amount in ((self._requests, 1), (self._tokens, tokens)) if meter]
            delay = max([self._held_until - now, *(meter.delay(now) for meter, _ in meters)])
            if delay > 0:
                return delay
            for meter, amount in meters:
                meter.use(amount, now)
            return 0.0
