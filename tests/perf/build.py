"""Speed and memory of `rsvqa build` against the floor: the same windows read and encoded, see `floor.py`.

    python -m tests.perf.build [--size 20480] [--repeats 3] [--large]

Everything runs on one tiled DEFLATE RGB GeoTIFF with labels of about 50 objects per megapixel, made first. The floor
and the builds are whole processes, start-up included, on the same number of worker processes, taking turns, so that a
noisy machine disturbs all alike; the best of the repeats counts. Memory is the largest peak (VmHWM) of any worker.
`--large` also builds a scene nine times as large: its workers must need no more.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsvqa.rsvqa_builder.demo.scenes import make_benchmark_scene
from rsvqa.rsvqa_builder.tiles.executors import count_processors
from tests.perf.floor import TILE, windows_of

WANTED = {"tiles only": 0.8, "22 tasks": 0.5}
MAX_WORKER_GB = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a whole command."""

    seconds: float
    processor_seconds: float
    worker_gb: float


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end; watch its process and its workers."""
    start, used = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in children_of(process.pid):
            peaks[pid] = max(peaks.get(pid, 0.0), peak_gb(pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr.read() if process.stderr else ''}")
    return Measured(seconds, processor_seconds() - used, max(peaks.values(), default=0.0))


def processor_seconds() -> float:
    """Return what ended children, and theirs, have used; on a busy machine it says more than the clock."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def children_of(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, task.read_text().split())
        except OSError:
            continue


def peak_gb(pid: int) -> float:
    """Return the largest resident memory that a process has had, 10⁹ bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM")), 0.0)


def build_command(scene: Path, out: Path, workers: int, *options: str) -> list[str]:
    """Return a build of the scene."""
    rsvqa = str(Path(sys.executable).with_name("rsvqa"))
    base = ["build", "--src", str(scene), "--out", str(out), "--classes", "demo", "--tile-size", str(TILE)]
    return [rsvqa, *base, "--workers", str(workers), "--overwrite", *options]


def compare(scene: Path, folder: Path, *, workers: int, repeats: int) -> dict[str, Measured]:
    """Return the best run of the floor and of both builds."""
    floor = [sys.executable, "-m", "tests.perf.floor", str(scene), "--workers", str(workers)]
    commands = {
        "floor": floor,
        "tiles only": build_command(scene, folder / "tiles", workers, "--tasks", "none"),
        "22 tasks": build_command(scene, folder / "tasks", workers),
    }
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(measure(command))
    return {name: min(measured, key=lambda run: run.seconds) for name, measured in runs.items()}


def print_table(results: dict[str, Measured], megapixels: float) -> None:
    """Print rates, ratios to the floor and memory."""
    floor = results["floor"]
    print("| run | seconds | MPix/s | of the floor | wanted | processor, s | of the floor | largest worker, GB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, run in results.items():
        wanted = f"≥ {WANTED[name]}" if name in WANTED else ""
        by_clock = f"{run.seconds:.1f} | {megapixels / run.seconds:.0f} | {floor.seconds / run.seconds:.2f} | {wanted}"
        by_processor = f"{run.processor_seconds:.1f} | {floor.processor_seconds / run.processor_seconds:.2f}"
        print(f"| {name} | {by_clock} | {by_processor} | {run.worker_gb:.2f} |")


def main() -> None:
    """Make the scene, run everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_480, help="side of the scene, pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=count_processors())
    parser.add_argument("--large", action="store_true", help="also a scene nine times as large")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = make_benchmark_scene(folder / "scene.tif", size=options.size)
        windows = windows_of(str(scene))
        megapixels = sum(window.width * window.height for window in windows) / 1e6
        print(f"{options.size:,}² px scene, {len(windows)} tiles of {TILE:,} px, {options.workers} workers\n")
        print_table(compare(scene, folder, workers=options.workers, repeats=options.repeats), megapixels)
        if options.large:
            large = make_benchmark_scene(folder / "large.tif", size=3 * options.size)
            run = measure(build_command(large, folder / "large", options.workers))
            print(f"\n{3 * options.size:,}² px, 22 tasks: {run.seconds:.0f} s, largest worker {run.worker_gb:.2f} GB")


if __name__ == "__main__":
    main()
