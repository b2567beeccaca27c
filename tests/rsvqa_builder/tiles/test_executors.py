"""Where the work runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import pytest

from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.tiles.executors import (
    Executor,
    Failure,
    InProcessExecutor,
    ProcessPool,
    _next,
    run_all,
    run_within,
)


def square(value: int) -> int:
    return value * value


def square_or_fail(value: int) -> int:
    if value == 3:
        raise ValueError("three is refused")
    return value * value


def square_or_die(value: int) -> int:
    if value == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def die_once(marker: Path) -> str:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.parametrize("executor", [InProcessExecutor(), ProcessPool(2)], ids=["in process", "pool"])
def test_every_item_comes_back_with_its_index(executor: Executor) -> None:
    with executor:
        found = sorted(executor.run(square, [5, 6, 7, 8, 9]))
    assert found == [(0, 25), (1, 36), (2, 49), (3, 64), (4, 81)]


@pytest.mark.parametrize("executor", [InProcessExecutor(), ProcessPool(2)], ids=["in process", "pool"])
def test_an_exception_of_the_work_is_raised_to_the_caller(executor: Executor) -> None:
    with executor, pytest.raises(ValueError, match="three is refused"):
        list(executor.run(square_or_fail, [1, 2, 3]))


def test_an_item_that_kills_its_worker_is_named_and_the_others_are_done() -> None:
    with ProcessPool(2) as pool:
        results = dict(pool.run(square_or_die, [0, 1, 2, 3, 4]))
    died = results.pop(2)
    assert isinstance(died, Failure)
    assert results == {0: 0, 1: 1, 3: 9, 4: 16}


def test_an_item_whose_worker_was_killed_by_chance_is_tried_again(tmp_path: Path) -> None:
    with ProcessPool(1) as pool:
        assert list(pool.run(die_once, [tmp_path / "died"])) == [(0, "done")]


def own_pid(_: int) -> int:
    return os.getpid()


def test_one_pool_serves_all_runs() -> None:
    with ProcessPool(1) as pool:
        first, second = ([pid for _, pid in pool.run(own_pid, [0])] for _ in range(2))
    assert first == second


def test_the_largest_items_are_started_first_and_results_keep_their_order() -> None:
    started = []

    def note(value: int) -> int:
        started.append(value)
        return -value

    items = [3, 9, 5, 9]
    assert run_all(InProcessExecutor(), note, items, QuietReporter(), size=lambda value: value) == [-3, -9, -5, -9]
    assert started == [9, 9, 5, 3]
    assert run_all(InProcessExecutor(), note, [], QuietReporter(), size=lambda value: value) == []


class Weight(NamedTuple):
    """A unit that notes in a folder that it is in work."""

    folder: Path
    number: int
    size: int


def sizes_in_work(unit: Weight) -> int:
    """Return the sizes of all that is in work beside this unit and of it, half a second after its start."""
    mark = unit.folder / f"{unit.number}.{unit.size}"
    mark.touch()
    time.sleep(0.5)
    sizes = sum(int(path.suffix[1:]) for path in unit.folder.iterdir())
    mark.unlink()
    return sizes


@pytest.mark.parametrize("executor", [InProcessExecutor(), ProcessPool(3)], ids=["in process", "pool"])
def test_what_is_in_work_on_one_machine_is_bounded(executor: InProcessExecutor | ProcessPool, tmp_path: Path) -> None:
    units = [Weight(tmp_path, number, size) for number, size in enumerate([1, 2, 9, 3, 2, 1])]
    with executor:
        found = dict(run_within(executor, sizes_in_work, units, lambda unit: unit.size, most=5))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found.pop(2) == 9  # larger than is allowed: alone
    assert all(isinstance(sizes, int) and sizes <= 5 for sizes in found.values())


def test_a_smaller_item_goes_before_one_that_does_not_fit() -> None:
    sizes = [4, 3, 2, 1]

    def fits(index: int, in_flight: Collection[int]) -> bool:
        return sizes[index] + sum(sizes[other] for other in in_flight) <= 6

    assert _next([1, 2, 3], [0], fits) == 2  # 4 + 3 is too much, 4 + 2 is not
    assert _next([1], [0, 2], fits) is None
    assert _next([1], [], fits) == 1
    assert _next([1], [0, 2], None) == 1


def test_nothing_is_bounded() -> None:
    with ProcessPool(2) as pool:
        assert list(run_within(pool, square, [], abs, most=5)) == []
