"""What a cluster starts next, and when a unit is given up; the time in these tests is made up."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.tiles.scheduling import Capacity, Ending, Patience, Schedule, UnitOutcome

TWO = Capacity(units=2, machines=1)
DONE, DIED, LOST = Ending.DONE, Ending.DIED, Ending.LOST


def start_all(schedule: Schedule, capacity: Capacity, now: float) -> list[int]:
    """Start what may be started at this moment."""
    started = []
    while (unit := schedule.start(capacity, now)) is not None:
        started.append(unit)
    return started


def test_units_are_started_in_order_a_few_more_than_there_is_room_for() -> None:
    schedule = Schedule(20)
    assert start_all(schedule, TWO, 0) == [0, 1, 2, 3]  # 2 + 2
    assert schedule.end(1, DONE, start=0, now=1) is UnitOutcome.FINISHED
    assert start_all(schedule, TWO, 1) == [4]
    assert start_all(schedule, Capacity(units=8, machines=2), 2) == [5, 6, 7, 8, 9, 10, 11, 12]  # 8 + 2 + 8 // 4 in all


def test_nothing_is_started_where_there_is_no_room() -> None:
    assert start_all(Schedule(3), Capacity(units=0, machines=0), 0) == []


def test_no_units_are_over_at_once() -> None:
    assert Schedule(0).is_over
    assert Schedule(0).start(TWO, 0) is None


def test_a_unit_that_kills_its_process_is_tried_once_more_after_all_others() -> None:
    schedule = Schedule(6)
    assert start_all(schedule, TWO, 0) == [0, 1, 2, 3]
    assert schedule.end(0, DIED, start=0, now=1) is UnitOutcome.NOTHING
    assert start_all(schedule, TWO, 1) == [4]
    for unit in (1, 2):
        schedule.end(unit, DONE, start=0, now=2)
    assert start_all(schedule, TWO, 2) == [5]  # 3, 4 and 5 run: no room for 0
    for unit, start in ((3, 0), (4, 1), (5, 2)):
        schedule.end(unit, DONE, start=start, now=3)
    assert start_all(schedule, TWO, 3) == [0]
    assert not schedule.is_over
    assert schedule.end(0, DIED, start=3, now=4) is UnitOutcome.GIVEN_UP
    assert schedule.is_over


def test_as_many_suspects_as_machines_are_tried_at_the_same_time() -> None:
    schedule = Schedule(3)
    start_all(schedule, TWO, 0)
    for unit in range(3):
        schedule.end(unit, DIED, start=0, now=1)
    assert start_all(schedule, TWO, 1) == [0]
    assert start_all(schedule, Capacity(units=4, machines=2), 1) == [1]


def test_a_lost_machine_does_not_count_against_its_unit() -> None:
    schedule = Schedule(1, Patience(most_losses=3))
    for time in range(2):
        assert schedule.start(TWO, time) == 0
        assert schedule.end(0, LOST, start=time, now=time) is UnitOutcome.NOTHING
    assert schedule.start(TWO, 2) == 0
    assert schedule.end(0, DIED, start=2, now=2) is UnitOutcome.NOTHING
    assert schedule.start(TWO, 3) == 0
    assert schedule.end(0, LOST, start=3, now=3) is UnitOutcome.LOST_TOO_OFTEN


def test_a_lost_unit_comes_before_those_that_were_never_started() -> None:
    schedule = Schedule(9)
    start_all(schedule, TWO, 0)
    schedule.end(2, LOST, start=0, now=1)
    assert schedule.start(TWO, 1) == 2


def test_a_slow_unit_is_started_a_second_time_when_nothing_else_is_left() -> None:
    schedule = Schedule(3, Patience(slow_factor=5, slow_seconds=1))
    start_all(schedule, TWO, 0)
    schedule.end(0, DONE, start=0, now=2)
    schedule.end(1, DONE, start=0, now=4)  # usual: 3 s
    assert schedule.start(TWO, 15) is None  # 5 × 3 s is not exceeded yet
    assert schedule.start(TWO, 15.5) == 2
    assert schedule.num_attempts(2) == 2
    assert schedule.start(TWO, 99) is None  # two are enough
    assert schedule.end(2, DONE, start=15.5, now=16) is UnitOutcome.FINISHED
    assert schedule.is_over
    assert schedule.end(2, DONE, start=0, now=17) is UnitOutcome.NOTHING


def test_quick_units_are_not_started_twice() -> None:
    schedule = Schedule(2, Patience(slow_factor=5, slow_seconds=10))
    start_all(schedule, TWO, 0)
    schedule.end(0, DONE, start=0, now=0.1)
    assert schedule.start(TWO, 10) is None
    assert schedule.start(TWO, 10.1) == 1


def test_two_attempts_that_both_die_are_two_deaths() -> None:
    schedule = Schedule(2, Patience(slow_factor=1, slow_seconds=0))
    start_all(schedule, TWO, 0)
    schedule.end(0, DONE, start=0, now=1)
    assert schedule.start(TWO, 5) == 1
    assert schedule.end(1, DIED, start=0, now=6) is UnitOutcome.NOTHING
    assert schedule.start(TWO, 6) is None  # one attempt still runs
    assert schedule.end(1, DIED, start=5, now=7) is UnitOutcome.GIVEN_UP


@given(num_units=st.integers(0, 12), chance=st.randoms(use_true_random=False), most_losses=st.integers(1, 4))
def test_every_unit_is_decided_once_whatever_happens_in_whatever_order(
    num_units: int, chance: random.Random, most_losses: int
) -> None:
    schedule = Schedule(num_units, Patience(most_losses=most_losses, slow_factor=1, slow_seconds=2))
    running: list[tuple[int, float]] = []
    decided: dict[int, UnitOutcome] = {}
    deaths, losses, done = Counter[int](), Counter[int](), set[int]()
    now = 0.0
    while not schedule.is_over:
        now += 1
        capacity = Capacity(units=chance.randrange(4), machines=chance.randrange(1, 3))
        while (unit := schedule.start(capacity, now)) is not None:
            assert unit not in decided
            running.append((unit, now))
            assert len(running) <= max(capacity.units + 2 + capacity.units // 4, 1)
            assert running.count((unit, now)) == 1
        if not running:
            continue
        unit, start = running.pop(chance.randrange(len(running)))
        ending = chance.choice([DONE, DIED, LOST])
        outcome = schedule.end(unit, ending, start=start, now=now)
        if unit in decided:
            assert outcome is UnitOutcome.NOTHING
            continue
        done |= {unit} if ending is DONE else set()
        deaths[unit] += ending is DIED
        losses[unit] += ending is LOST
        if outcome is not UnitOutcome.NOTHING:
            decided[unit] = outcome
    assert decided.keys() == set(range(num_units))
    for unit, outcome in decided.items():
        assert (outcome is UnitOutcome.FINISHED) == (unit in done)
        assert (outcome is UnitOutcome.GIVEN_UP) == (deaths[unit] == 2)
        assert (outcome is UnitOutcome.LOST_TOO_OFTEN) == (losses[unit] == most_losses)
