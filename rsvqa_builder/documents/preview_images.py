"""Small pictures of large tiles for the preview page: a reduced view of the whole, and details at full resolution.

Memory is that of one decoded tile at most, and for the whole view of a JPEG less; each image is decoded once in full
however many details are cut from it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize, Pixels, decode_image, read_header
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.scenes.tiling import Window

LoadImage = Callable[[TileRecord, str], bytes]
"""Returns the encoded image of a tile under a key of `TileRecord.images`."""

JPEG_QUALITY = 80
_LOWEST_QUALITY = 40
_QUALITY_STEP = 10


class SampleImages:
    """The images of a data set's examples, for everything that shows them.

    A large JPEG is decoded once for all its reduced views: an eighth of its sides, the least that decoding gives, is
    kept. It is the same whatever size is asked for, so which view comes first changes no pixel.
    """

    def __init__(self, load_image: LoadImage) -> None:
        self._load_image = load_image
        self._one_at_a_time = Lock()  # who loads need not know of threads
        self._eighths: dict[tuple[str, str], tuple[ImageSize, Pixels]] = {}

    def load(self, tile: TileRecord, key: str) -> bytes:
        """Return the encoded image of a tile under a key of `TileRecord.images`."""
        with self._one_at_a_time:
            return self._load_image(tile, key)

    def reduced(self, tile: TileRecord, key: str, max_side: int, *, loaded: bytes | None = None) -> Pixels:
        """Return a whole image with its long side at most `max_side` pixels; never enlarged.

        Args:
            tile: whose image it is.
            key: of `TileRecord.images`.
            max_side: pixels.
            loaded: what `load` returned, where it has been called.
        """
        name = (tile.image_id, key)
        if name in self._eighths:
            whole, pixels = self._eighths[name]
            size = _reduced_size(whole.width, whole.height, max_side)
            if pixels.shape[1] >= size[0] and pixels.shape[0] >= size[1]:
                return _resized(pixels, size)
        encoded = self.load(tile, key) if loaded is None else loaded
        whole = read_header(encoded).size
        size = _reduced_size(whole.width, whole.height, max_side)
        pixels = decode_image(encoded, at_least=ImageSize(height=size[1], width=size[0]))
        if pixels.shape[:2] == (-(-whole.height // 8), -(-whole.width // 8)):
            self._eighths[name] = (whole, pixels)
        return _resized(pixels, size)


def read_reduced(image: bytes, max_side: int) -> Pixels:
    """Return the whole encoded image with its long side at most `max_side` pixels; never enlarged."""
    header = read_header(image)
    size = _reduced_size(header.width, header.height, max_side)
    return _resized(decode_image(image, at_least=ImageSize(height=size[1], width=size[0])), size)


def read_details(image: bytes, windows: Sequence[Window], max_side: int) -> list[Pixels]:
    """Return the pixels of each window of the encoded image, reduced where its long side exceeds `max_side`."""
    if not windows:
        return []
    pixels = decode_image(image)
    return [_reduced(pixels[w.y : w.y + w.height, w.x : w.x + w.width], max_side) for w in windows]


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


def jpeg_within(pixels: Pixels, max_bytes: int) -> bytes:
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


def _reduced(pixels: Pixels, max_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    return _resized(pixels, _reduced_size(width, height, max_side))


def _reduced_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return (width, height) with the same proportions and no side above `max_side` or below 1."""
    factor = min(1.0, max_side / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return `pixels` at (width, height) `size`; a copy, so that a detail does not keep its tile in memory."""
    if pixels.shape[1::-1] == size:
        return pixels.copy()
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS))
