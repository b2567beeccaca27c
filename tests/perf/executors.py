"""What a Ray cluster costs beside the pool of processes, on the same processors, and what its driver costs.

    python -m tests.perf.executors [--size 20480] [--repeats 2] [--units 10000]

does the tiles of one scene with both, in turns, in warm processes: starting Ray takes some seconds and is told apart.
Then it runs units that do nothing, and tells the driver's processor time per 100,000 of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.demo.scenes import make_benchmark_scene
from rsvqa.rsvqa_builder.execution_settings import ExecutionSettings
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Executor, count_processors, open_executor
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob, do_tile

WANTED = 0.9
WANTED_DRIVER_S = 60.0


class Warm(NamedTuple):
    """A number for a unit that does nothing but import what tiles need."""

    number: int


def nothing(unit: Warm) -> int:
    return unit.number


def warm_up(unit: Warm) -> int:
    time.sleep(1)  # so that every process gets one
    return unit.number


class PlanKnownError(Exception):
    """Ends a build when its tiles are planned."""


def plan_tiles(scene: Path, out: Path) -> Sequence[TileJob]:
    """Return the units of a build of the scene, which is prepared in `out`."""
    found: list[TileJob] = []

    def keep(_: object, jobs: Sequence[TileJob], *__: object) -> None:
        found.extend(jobs)
        raise PlanKnownError

    settings = load_settings(BuildSettings, {"src": str(scene), "classes": "demo", "tile_size": 4096})
    with mock.patch.object(build_module._Run, "_do_tiles", keep), contextlib.suppress(PlanKnownError):
        build_module.build(settings, out, execution=ExecutionSettings(workers=0), reporter=QuietReporter())
    return found


def open_one(name: str, out: Path) -> Executor:
    settings = ExecutionSettings(executor=name, workers=count_processors())
    return open_executor(settings, out=out, reporter=QuietReporter())


def seconds_of(executor: Executor, jobs: Sequence[TileJob]) -> float:
    """Return how long it takes to do all tiles."""
    start = time.perf_counter()
    results = list(executor.run(do_tile, jobs))
    assert len(results) == len(jobs)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_480, help="side of the scene, pixels")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--units", type=int, default=10_000, help="units that do nothing")
    options = parser.parse_args()
    os.environ.pop("RAY_ADDRESS", None)
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  a low priority is Ray's default; it would tell of what else runs here
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "set"
        jobs = plan_tiles(make_benchmark_scene(Path(name) / "scene.tif", size=options.size), out)
        print(f"{len(jobs)} tiles of {options.size:,}² px, {count_processors()} processors\n")
        start = time.perf_counter()
        with open_one("ray", out) as ray, open_one("pool", out) as pool:
            print(f"Ray starts in {time.perf_counter() - start:.1f} s")
            executors = {"pool": pool, "ray": ray}
            for executor in executors.values():
                list(executor.run(warm_up, [Warm(number) for number in range(2 * count_processors())]))
            best = dict.fromkeys(executors, float("inf"))
            for _ in range(options.repeats):
                for kind, executor in executors.items():
                    best[kind] = min(best[kind], seconds_of(executor, jobs))
            per_tile = best["pool"] * count_processors() / len(jobs)
            print(f"pool {best['pool']:.1f} s ({per_tile:.2f} processor seconds per tile), Ray {best['ray']:.1f} s")
            print(f"efficiency of Ray: {best['pool'] / best['ray']:.2f} (wanted ≥ {WANTED})")
            wall, own, loop = time.perf_counter(), time.process_time(), time.thread_time()
            assert len(list(ray.run(nothing, [Warm(number) for number in range(options.units)]))) == options.units
            wall, own = time.perf_counter() - wall, time.process_time() - own
            loop = time.thread_time() - loop
            scale = 100_000 / options.units
            print(f"driver: {loop * scale:.0f} s of its thread per 100,000 units (wanted < {WANTED_DRIVER_S:.0f})")
            print(f"with Ray's threads beside it: {own * scale:.0f} s of processor time per 100,000 units")
            print(f"with empty units on these processors: {wall * scale:.0f} s per 100,000")


if __name__ == "__main__":
    import_module("tests.perf.executors").main()  # units have to be of a module that workers can import
