"""How long it takes to find the scenes of a folder and their labels: chips with one COCO file, and masks beside them.

    python -m tests.perf.discovery [--chips 2000] [--workers 2]

prints the seconds of three folders of chips of 256 × 256 px: places of their own, dates of one place, and each with a
class raster whose name says nothing. Nothing is read but headers, and samples of rasters that have a twin.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_files.class_rasters import few_values
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import make_executor, run_all
from rsvqa.rsvqa_builder.tiles.sources import describe, find_sources
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster

SIDE = 256
FOLDERS = ("places", "dates", "masks")


def make_folder(root: Path, kind: str, num_chips: int) -> Path:
    """Write chips, a COCO file with five boxes per chip, and the class rasters of the folder "masks"."""
    pixels = make_pixels(3, SIDE, SIDE)
    for name in ("images", "classes"):
        (root / kind / name).mkdir(parents=True)
    for number in range(num_chips):
        x = 500_000.0 if kind == "dates" else 500_000.0 + SIDE * number
        where = AffineCoefficients(1, 0, x, 0, -1, 4_000_000)
        write_raster(root / kind / "images" / f"chip_{number:05d}.tif", pixels, transform=where)
        if kind == "masks":
            grid = (pixels[:1] > 100).astype(np.uint8)
            write_raster(root / kind / "classes" / f"q{number:05d}.tif", grid, transform=where)
    images = [{"id": number, "file_name": f"chip_{number:05d}.tif"} for number in range(num_chips)]
    boxes = [
        {"id": number, "image_id": number % num_chips, "category_id": 1, "bbox": [9, 9, 20, 20]}
        for number in range(5 * num_chips)
    ]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "building"}]}
    (root / kind / "labels.json").write_text(json.dumps(content))
    return root / kind


def measure(folder: Path, num_workers: int) -> tuple[float, int, int]:
    """Return seconds, scenes and label files of the scenes."""
    settings = load_settings(BuildSettings, {"src": str(folder)})
    with make_executor(num_workers) as executor:
        start = time.perf_counter()
        found = find_sources(
            settings,
            lambda jobs: run_all(executor, describe, jobs, QuietReporter()),
            lambda scenes: run_all(executor, few_values, scenes, QuietReporter()),
        )
        seconds = time.perf_counter() - start
    return seconds, len(found.scenes), sum(len(source.labels.files) for source in found.scenes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chips", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        for kind in FOLDERS:
            folder = make_folder(Path(root), kind, given.chips)
            seconds, num_scenes, num_files = measure(folder, given.workers)
            print(f"{kind}: {seconds:.1f} s, {num_scenes:,} scenes, {num_files:,} label files")


if __name__ == "__main__":
    main()
