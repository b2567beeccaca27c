"""The least that any builder must do with a scene: its windows read by rasterio and encoded by simplejpeg.

    python -m tests.perf.floor SCENE.tif [--workers N]

A program of its own, because spawned processes import the main module again: beside the benchmark it would load all of
rsvqa in each of them, which is a fifth of what it measures.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import rasterio
import simplejpeg
from rasterio.windows import Window as RasterWindow

from rsvqa.rsvqa_builder.scenes.tiling import Window, plan_windows

TILE = 8192
"""Pixels: `TILE_SIZES[Profile.SUPERRS]`, whose module imports more than all of this takes."""


def read_and_encode(job: tuple[str, Window]) -> int:
    """Return the bytes of one window as JPEG."""
    path, window = job
    with rasterio.open(path) as dataset:
        bands = dataset.read([1, 2, 3], window=RasterWindow(*window))
    pixels = np.ascontiguousarray(bands.transpose(1, 2, 0))
    return len(simplejpeg.encode_jpeg(pixels, quality=90, colorspace="RGB", colorsubsampling="444"))


def windows_of(path: str) -> list[Window]:
    """Return the plan that both sides work through."""
    with rasterio.open(path) as dataset:
        return plan_windows(dataset.width, dataset.height, tile_size=TILE, overlap=0, whole_up_to=TILE)


def main() -> None:
    """Read and encode all windows of the scene on a pool of processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        print(sum(pool.map(read_and_encode, [(options.scene, window) for window in windows_of(options.scene)])))


if __name__ == "__main__":
    main()
