"""Small pictures of large tiles for the preview page: a reduced view of the whole, and details at full resolution.

Memory is that of one decoded tile at most, and only when a detail of a JPEG is wanted; each image is decoded once in
full however many details are cut from it.
"""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.windows import Window as RasterWindow

from rsvqa.annotation.facts import Box
from rsvqa.rsvqa_builder.scenes.tiling import Window

Rgb = NDArray[np.uint8]
"""(height, width, 3) RGB."""

JPEG_QUALITY = 80
_LOWEST_QUALITY = 40
_QUALITY_STEP = 10


def read_reduced(image: bytes, max_side: int) -> Rgb:
    """Return the whole encoded image with its long side at most `max_side` pixels; never enlarged."""
    if simplejpeg.is_jpeg(image):
        height, width = simplejpeg.decode_jpeg_header(image)[:2]
        size = _reduced_size(width, height, max_side)
        # libjpeg reduces by eighths while it decodes, so 8,192 px never stand in memory
        return _resized(simplejpeg.decode_jpeg(image, min_width=size[0], min_height=size[1]), size)
    with _open_in_memory(image) as dataset:
        width, height = _reduced_size(dataset.width, dataset.height, max_side)
        bands = dataset.read((1, 2, 3), out_shape=(3, height, width), resampling=Resampling.average)
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1))


def read_details(image: bytes, windows: Sequence[Window], max_side: int) -> list[Rgb]:
    """Return the pixels of each window of the encoded image, reduced where its long side exceeds `max_side`."""
    if not windows:
        return []
    if simplejpeg.is_jpeg(image):
        pixels = simplejpeg.decode_jpeg(image)
        return [_reduced(pixels[w.y : w.y + w.height, w.x : w.x + w.width], max_side) for w in windows]
    with _open_in_memory(image) as dataset:
        bands = [dataset.read((1, 2, 3), window=RasterWindow(w.x, w.y, w.width, w.height)) for w in windows]
    return [_reduced(np.moveaxis(three, 0, -1), max_side) for three in bands]


def detail_window(focus: Box, width: int, height: int, *, min_side: int) -> Window | None:
    """Return the square of a `width` x `height` tile that shows `focus` with its surroundings.

    The square is twice as long as the focus and at least `min_side`, moved inside the tile. None when it would show
    half of the tile or more: then the whole tile shows the focus well enough.
    """
    side = max(min_side, math.ceil(2 * max(focus.x_max - focus.x_min, focus.y_max - focus.y_min)))
    if 2 * side >= max(width, height):
        return None
    side_x, side_y = min(side, width), min(side, height)
    x = round((focus.x_min + focus.x_max - side_x) / 2)
    y = round((focus.y_min + focus.y_max - side_y) / 2)
    return Window(min(max(x, 0), width - side_x), min(max(y, 0), height - side_y), side_x, side_y)


def jpeg_within(pixels: Rgb, max_bytes: int) -> bytes:
    """Return `pixels` as JPEG of quality 80, or of less quality and then fewer pixels, to stay within `max_bytes`.

    A picture of at most 8 px on its long side is returned whatever its size.
    """
    for quality in range(JPEG_QUALITY, _LOWEST_QUALITY - 1, -_QUALITY_STEP):
        encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
        if len(encoded) <= max_bytes:
            return encoded
    long_side = max(pixels.shape[:2])
    return encoded if long_side <= 8 else jpeg_within(_reduced(pixels, long_side // 2), max_bytes)


def data_uri(jpeg: bytes) -> str:
    """Return JPEG bytes as a `data:` URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


@contextmanager
def _open_in_memory(image: bytes) -> Iterator[DatasetReader]:
    """Open an encoded image that is no JPEG; GDAL reads a PNG row by row, so no tile stands in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(image) as file, file.open() as dataset:
            yield dataset


def _reduced(pixels: Rgb, max_side: int) -> Rgb:
    height, width = pixels.shape[:2]
    return _resized(pixels, _reduced_size(width, height, max_side))


def _reduced_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return (width, height) with the same proportions and no side above `max_side` or below 1."""
    factor = min(1.0, max_side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resized(pixels: Rgb, size: tuple[int, int]) -> Rgb:
    """Return `pixels` at (width, height) `size`; a copy, so that a detail does not keep its tile in memory."""
    if pixels.shape[1::-1] == size:
        return pixels.copy()
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS))
