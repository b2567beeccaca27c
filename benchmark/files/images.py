"""Images of a benchmark: named by their content, and thumbnails for the report."""

from __future__ import annotations

import hashlib

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.images import Pixels

THUMBNAIL_SIDE = 512
_THUMBNAIL_QUALITY = 80
_NUM_WINDOWS, _WINDOW_BYTES = 16, 1 << 14


def content_key(encoded: bytes | memoryview) -> str:
    """Return a name for an image by its content: its length and a digest of 16 windows of 16 KiB, spread evenly.

    Two images that differ have different names unless they are of one length and differ between the windows only, which
    compressed images do not. A data set of 100 GB is grouped by image in minutes, as only the windows are read.
    """
    length = len(encoded)
    digest = hashlib.blake2b(digest_size=12)
    if length <= _NUM_WINDOWS * _WINDOW_BYTES:
        digest.update(encoded)
    else:
        for number in range(_NUM_WINDOWS):
            start = number * (length - _WINDOW_BYTES) // (_NUM_WINDOWS - 1)
            digest.update(encoded[start : start + _WINDOW_BYTES])
    return f"{length}-{digest.hexdigest()}"


def make_thumbnail(rgb: Pixels) -> bytes:
    """Return a JPEG of at most `THUMBNAIL_SIDE` pixels on a side; the same pixels give the same bytes."""
    height, width, _ = rgb.shape
    # every nth pixel first: averaging a hundred million would take longer than a reply
    step = max(1, max(height, width) // (4 * THUMBNAIL_SIDE))
    image = Image.fromarray(np.ascontiguousarray(rgb[::step, ::step]))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return bytes(
        simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=_THUMBNAIL_QUALITY, colorsubsampling="420")
    )
