"""Copy scenes whose layout would be decoded again and again to a tiled file, once.

A window of a striped file costs whole strips, and one of a PNG costs all rows above it, so a grid of tiles would decode
such a file many times. The copy holds the same pixels in tiles. Files that are decoded at most twice anyway are left
where they are.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from rsvqa.rsvqa_builder.files import whole_file
from rsvqa.rsvqa_builder.scenes.rasters import SceneError, is_local_file, open_raster
from rsvqa.rsvqa_builder.scenes.rendering import can_be_invalid, read_raw
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.scenes.vrt import read_vrt_sources

MAX_DECODES = 2.0
"""How often a striped or single-block file may be decoded over a whole build."""

STAGED_BLOCK = 512
"""Pixels; side of the copy's tiles."""

MAX_BLOCK_WASTE = 2.0
"""How much more a file of large tiles may decode than one with tiles of `STAGED_BLOCK`."""


def decode_factor(scene: Scene, windows: Iterable[Window]) -> float:
    """Return how often reading all windows decodes the scene's pixels, each window on its own.

    1 is ideal; a scene that is not covered by its windows gives less.
    """
    return sum(_decoded_pixels(scene, window) for window in windows) / (scene.width * scene.height)


def _decoded_pixels(scene: Scene, window: Window) -> int:
    bottom = window.y + window.height
    if scene.is_sequential:
        return scene.width * bottom
    block_height, block_width = scene.block_shape
    x_min, x_max = _grow(window.x, window.x + window.width, block_width, scene.width)
    y_min, y_max = _grow(window.y, bottom, block_height, scene.height)
    return (x_max - x_min) * (y_max - y_min)


def _grow(start: int, end: int, block: int, size: int) -> tuple[int, int]:
    """Return the pixels of the blocks that `[start, end)` touches, cut at the scene's edge."""
    return start // block * block, min(size, math.ceil(end / block) * block)


def needs_staging(scene: Scene, windows: Sequence[Window], *, num_stretch_reads: int) -> bool:
    """Return whether a tiled copy saves decoding.

    That is so for a striped, single-block or sequential file which would be decoded more than `MAX_DECODES` times, for
    one of large tiles where small ones would save more than half, and for a mosaic with such a sheet.
    """
    if scene.driver == "VRT":
        return any(
            needs_staging(sheet, inside, num_stretch_reads=num_stretch_reads)
            for sheet, inside in _sheets(scene, windows)
        )
    factor = decode_factor(scene, windows)
    if scene.is_sequential or scene.block_shape[1] >= scene.width:
        return factor + num_stretch_reads > MAX_DECODES
    in_small_tiles = replace(scene, block_shape=(STAGED_BLOCK, STAGED_BLOCK))
    return factor > MAX_DECODES and factor > MAX_BLOCK_WASTE * decode_factor(in_small_tiles, windows)


def _sheets(scene: Scene, windows: Sequence[Window]) -> Iterator[tuple[Scene, list[Window]]]:
    """Yield each sheet of a mosaic with the parts of the windows that lie on it, in the sheet's pixels."""
    for source in read_vrt_sources(scene.path):
        sheet = describe_scene(source.path, scene.scene_id)
        inside = [
            Window(max(0, x), max(0, y), x_max - max(0, x), y_max - max(0, y))
            for window in windows
            for x, y in [(window.x - source.x, window.y - source.y)]
            for x_max, y_max in [(min(sheet.width, x + window.width), min(sheet.height, y + window.height))]
            if x_max > max(0, x) and y_max > max(0, y)
        ]
        yield sheet, inside


def stage_if_needed(scene: Scene, windows: Sequence[Window], folder: Path, *, num_stretch_reads: int) -> Scene:
    """Return the scene itself, or one that reads a tiled copy in `folder` where that saves decoding.

    The copy has the same size, values, validity and colours, so everything but `path` and the storage stays. A copy of
    the same unchanged file is used again.

    Args:
        scene: as described from its own file.
        windows: all windows that will be read.
        folder: for copies; made when needed.
        num_stretch_reads: how often the whole scene is decoded besides (see `rendering.count_whole_reads`).

    Raises:
        SceneError: the file is damaged, or there is no room for the copy.
    """
    if not needs_staging(scene, windows, num_stretch_reads=num_stretch_reads):
        return scene
    target = folder / f"{_fingerprint(scene)}.tif"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _require_room(scene, folder)
        with whole_file(target, if_absent=True) as partial:
            _copy(scene, partial)
    return replace(
        scene,
        path=str(target),
        bands=tuple(range(1, len(scene.bands) + 1)),
        has_mask=can_be_invalid(scene),
        block_shape=(STAGED_BLOCK, STAGED_BLOCK),
        driver="GTiff",
        is_sequential=False,
        has_missing_blocks=False,
        fill=None,
    )


def _fingerprint(scene: Scene) -> str:
    """Return a name for the copy that changes with the files and with the bands taken from them."""
    paths = (
        [scene.path, *(source.path for source in read_vrt_sources(scene.path))]
        if scene.driver == "VRT"
        else [scene.path]
    )
    invalid = [str(scene.nodata), "" if scene.fill is None else hashlib.sha256(scene.fill.region).hexdigest()]
    facts = [[scene.width, scene.height, scene.dtype, *scene.bands, *invalid], [_state_of(path) for path in paths]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _state_of(path: str) -> list[str | int]:
    if not is_local_file(path):
        return [path]
    stat = Path(path).stat()
    return [str(Path(path).resolve()), stat.st_size, stat.st_mtime_ns]


def _require_room(scene: Scene, folder: Path) -> None:
    needed = scene.width * scene.height * len(scene.bands) * np.dtype(scene.dtype).itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SceneError(
            f"its layout ({scene.driver}, blocks of {scene.block_shape[1]} × {scene.block_shape[0]} px) needs a tiled "
            f"copy of up to {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free; make room, or tile "
            "it yourself (gdal_translate -co TILED=YES)"
        )


def _copy(scene: Scene, target: Path) -> None:
    """Write the scene's bands to a tiled file, and its valid pixels as an internal mask.

    GDAL's own copy (rasterio.shutil.copy) would take every band, and keep nodata where a mask is wanted.
    """
    has_mask = can_be_invalid(scene)
    with open_raster(scene.path) as source, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the scene's description keeps the georeference
            copy = rasterio.open(target, "w", **_profile(scene))
        with copy:
            if scene.is_palette:
                copy.write_colormap(1, source.colormap(scene.bands[0]))
            for strip in _strips(scene):
                pixels, valid = read_raw(source, scene, strip)
                region = RasterioWindow(strip.x, strip.y, strip.width, strip.height)
                copy.write(pixels, window=region)
                if has_mask:
                    copy.write_mask(True if valid is None else valid, window=region)


def _profile(scene: Scene) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "width": scene.width,
        "height": scene.height,
        "count": len(scene.bands),
        "dtype": scene.dtype,
        "tiled": True,
        "blockxsize": STAGED_BLOCK,
        "blockysize": STAGED_BLOCK,
        "interleave": "pixel",
        "photometric": "palette" if scene.is_palette else "minisblack",
        "compress": "zstd",
        "zstd_level": 1,
        "bigtiff": "if_safer",
    }


def _strips(scene: Scene) -> Iterator[Window]:
    """Yield strips of whole rows of the copy's tiles, and of as many as one block of the scene reaches over."""
    rows = math.ceil(scene.block_shape[0] / STAGED_BLOCK) * STAGED_BLOCK
    for y in range(0, scene.height, rows):
        yield Window(0, y, scene.width, min(rows, scene.height - y))
