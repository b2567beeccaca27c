"""Those who guess tokens and passwords are slowed, and nobody else.

After some wrong guesses from an address, its requests wait in a line of their own, and each wrong one holds the line
for a while. Guesses that are sent at once gain nothing by that: none is looked at before its turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

FREE = 20
"""Wrong guesses that nobody is slowed for: pages that are still open after a restart know a token of before."""
FORGET_S = 600.0
MAX_WAITING = 50
_MAX_ADDRESSES = 10_000

_Found = TypeVar("_Found")


class NoEntry(NamedTuple):
    """A request that is not let in.

    Attributes:
        status: of HTTP.
        is_guess: it named a token that nobody has, or a wrong password.
    """

    status: int
    is_guess: bool = False


TOO_MANY = NoEntry(429)


@dataclass(slots=True, kw_only=True)
class _Line:
    """The requests of one address."""

    wrong: int = 0
    last: float = 0.0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Attempts:
    """Counts wrong guesses by address, and lets those wait who make many.

    Args:
        hold_s: seconds for which a wrong guess holds its line.
        free: wrong guesses before that.
        now: returns seconds on a clock that only goes forward.
    """

    def __init__(self, *, hold_s: float = 1.0, free: int = FREE, now: Callable[[], float] = time.monotonic) -> None:
        self._hold_s = hold_s
        self._free = free
        self._now = now
        self._lines: dict[str, _Line] = {}

    async def slowed(self, address: str, look: Callable[[], _Found | NoEntry]) -> _Found | NoEntry:
        """Return what `look` returns; `TOO_MANY` where the line is too long."""
        line = self._lines.get(address)
        if line is not None and self._now() - line.last > FORGET_S and not line.waiting:
            del self._lines[address]
            line = None
        if line is None or line.wrong < self._free:
            found = look()
            if _is_wrong(found):
                self._count(address)
            return found
        if line.waiting >= MAX_WAITING:
            return TOO_MANY
        line.waiting += 1
        try:
            async with line.turn:
                found = look()
                if _is_wrong(found):
                    self._count(address)
                    await asyncio.sleep(self._hold_s)
                return found
        finally:
            line.waiting -= 1

    def _count(self, address: str) -> None:
        if address not in self._lines and len(self._lines) >= _MAX_ADDRESSES:
            self._lines.clear()  # whoever has so many addresses is not slowed by this
        line = self._lines.setdefault(address, _Line())
        line.wrong += 1
        line.last = self._now()


def _is_wrong(found: object) -> bool:
    return isinstance(found, NoEntry) and found.is_guess
