"""Units of work that go wrong, importable by workers."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import NamedTuple

from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob, do_tile


class Trial(NamedTuple):
    """A number to square, and a folder in which each attempt leaves its mark."""

    number: int
    marks: Path


def square(trial: Trial) -> int:
    return trial.number**2


def square_or_refuse(trial: Trial) -> int:
    if trial.number == 3:
        raise ValueError("three is refused")
    return square(trial)


def square_or_crash(trial: Trial) -> int:
    if trial.number == 2:
        mark(trial)
        crash()
    return square(trial)


def square_or_hang(trial: Trial) -> int:
    if trial.number == 2:
        mark(trial)
        time.sleep(600)
    return square(trial)


def square_or_hang_once(trial: Trial) -> int:
    if trial.number == 2 and mark(trial) == 1:
        time.sleep(600)
    return square(trial)


def sleep_unless_first(trial: Trial) -> None:
    if trial.number:
        mark(trial)
        try:
            for _ in range(6000):  # an interrupt comes between two steps
                time.sleep(0.1)
        finally:
            (trial.marks / f"ended-{os.getpid()}").touch()


def do_tile_or_crash(job: TileJob) -> int | Failure:
    """Crash on one tile of the first scene, always."""
    if job.position == 1:
        crash()
    return do_tile(job)


def do_tile_slowly(job: TileJob) -> int | Failure:
    time.sleep(0.3)
    return do_tile(job)


def mark(trial: Trial) -> int:
    """Leave a mark and return how many there are now."""
    (trial.marks / f"{trial.number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return len(list(trial.marks.glob(f"{trial.number}-*")))


def crash() -> None:
    """End the process as a broken library does."""
    ctypes.string_at(0)
