"""Where the work runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.tiles.executors import Executor, Failure, InProcessExecutor, ProcessPool, run_all


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
