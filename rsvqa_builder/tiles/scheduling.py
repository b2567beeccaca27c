"""Which unit of work a cluster starts next, and when one is given up: the rules, without any engine.

What a unit stores depends on it alone, so one that is done twice does no harm. An attempt at a unit ends in one of
three ways. It is done. Its process died: a unit that kills two processes is given up, as on a pool. Its machine was
lost: that says nothing about the unit, which is started again.

What surprises: a unit whose process died waits until all others have been started, and then runs with few beside it.
What it may have died of, memory that others took, is then gone.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

_MOST_DEATHS = 2
_KEPT_TIMES = 1000
"""Attempts whose seconds are remembered, to know what is usual."""


class Ending(StrEnum):
    """How an attempt at a unit ended."""

    DONE = "done"
    DIED = "died"
    LOST = "lost"


class UnitOutcome(StrEnum):
    """What the end of an attempt says of its unit; once a unit is decided, other attempts at it say nothing."""

    FINISHED = "finished"
    GIVEN_UP = "given up"
    LOST_TOO_OFTEN = "lost too often"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a cluster has at the moment: room for so many units at the same time, on so many machines."""

    units: int
    machines: int


@dataclass(frozen=True, slots=True)
class Patience:
    """When a schedule loses it.

    Attributes:
        most_losses: machines that one unit may lose.
        slow_factor: a unit is slow after so many times the usual seconds.
        slow_seconds: and not before.
    """

    most_losses: int = 10
    slow_factor: float = 5.0
    slow_seconds: float = 10.0


class Schedule:
    """The units 0 to `num_units` - 1, started in this order; the time is told by the caller, in seconds."""

    def __init__(self, num_units: int, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._todo = deque(range(num_units))
        self._suspects: deque[int] = deque()
        self._open = set(range(num_units))
        self._running: dict[int, list[float]] = {}  # unit → when its attempts were started
        self._num_running = 0
        self._deaths: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._times: deque[float] = deque(maxlen=_KEPT_TIMES)

    @property
    def is_over(self) -> bool:
        """Whether every unit is decided; second attempts at some may still run."""
        return not self._open

    def num_attempts(self, unit: int) -> int:
        """Return how many attempts at a unit run."""
        return len(self._running.get(unit, ()))

    def start(self, capacity: Capacity, now: float) -> int | None:
        """Return the unit to start now, which from then on counts as running, or None when none should be."""
        unit = self._choose(capacity, now)
        if unit is not None:
            self._running.setdefault(unit, []).append(now)
            self._num_running += 1
        return unit

    def _choose(self, capacity: Capacity, now: float) -> int | None:
        if self._todo:
            # a few more than there is room for: machines need not wait until results have travelled
            bound = capacity.units + 2 + capacity.units // 4 if capacity.units else 0
            return self._todo.popleft() if self._num_running < bound else None
        if self._num_running >= capacity.units:
            return None
        if self._suspects:
            num_suspects = sum(self._deaths[unit] > 0 for unit in self._running)
            return self._suspects.popleft() if num_suspects < capacity.machines else None
        return self._slow(now)

    def _slow(self, now: float) -> int | None:
        """Return the unit that has run longest, where that is unusual and nobody else tries it."""
        alone = [(starts[0], unit) for unit, starts in self._running.items() if len(starts) == 1 and unit in self._open]
        if not alone or not self._times:
            return None
        start, unit = min(alone)
        allowed = max(self._patience.slow_seconds, self._patience.slow_factor * median(self._times))
        return unit if now - start > allowed else None

    def end(self, unit: int, ending: Ending, *, start: float, now: float) -> UnitOutcome:
        """Take note that the attempt that was started at `start` has ended, and return what that says of its unit."""
        self._running[unit].remove(start)
        self._num_running -= 1
        if not self._running[unit]:
            del self._running[unit]
        if unit not in self._open:
            return UnitOutcome.NOTHING
        outcome = self._judge(unit, ending)
        if outcome is UnitOutcome.FINISHED:
            self._times.append(now - start)
        if outcome is not UnitOutcome.NOTHING:
            self._open.discard(unit)
        elif unit not in self._running:
            if self._deaths[unit]:
                self._suspects.append(unit)
            else:
                self._todo.appendleft(unit)
        return outcome

    def _judge(self, unit: int, ending: Ending) -> UnitOutcome:
        if ending is Ending.DONE:
            return UnitOutcome.FINISHED
        counts = self._deaths if ending is Ending.DIED else self._losses
        counts[unit] += 1
        if self._deaths[unit] >= _MOST_DEATHS:
            return UnitOutcome.GIVEN_UP
        return UnitOutcome.LOST_TOO_OFTEN if self._losses[unit] >= self._patience.most_losses else UnitOutcome.NOTHING
