"""Encoded images: what they say about themselves, their pixels, and thumbnails for the report.

Format is told by the bytes, never by the name: the benchmark's ".png" files often hold JPEG. JPEG is decoded by
simplejpeg, straight into an array: decoding alone takes Pillow as long, with its copy into an array 1.5 to 3 times as
long (2,048 × 2,048 px). What simplejpeg refuses and Pillow can read is read.
"""

from __future__ import annotations

import hashlib
import io
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin

from rsvqa.benchmark.samples import ImageSize
from rsvqa.rsvqa_builder.dataset.image_tables import TableError, image_header

MAX_PIXELS = 400_000_000
"""The most pixels that are decoded (1.2 GB). The benchmark's largest have 10⁸; a larger file is hostile or damaged."""
THUMBNAIL_SIDE = 512
_THUMBNAIL_QUALITY = 80
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_HEADER_BYTES = 1 << 16
_NUM_WINDOWS, _WINDOW_BYTES = 16, 1 << 14

Pixels = NDArray[np.uint8]


class ImageError(ValueError):
    """An image cannot be used; the message is a short reason without the image's name."""


def read_size(encoded: bytes | memoryview) -> ImageSize:
    """Return the size that an encoded image states, from its first bytes if they tell.

    Raises:
        ImageError: neither JPEG nor PNG, a broken header, or more than `MAX_PIXELS`.
    """
    try:
        size = _stated_size(bytes(encoded[:_HEADER_BYTES]))
    except ImageError:  # perhaps a JPEG with a long preamble
        size = _stated_size(bytes(encoded))
    if size.width * size.height > MAX_PIXELS:
        raise ImageError(f"{size.width} x {size.height} px are more than {MAX_PIXELS} px")
    return size


def _stated_size(data: bytes) -> ImageSize:
    try:
        if data.startswith(_JPEG_SIGNATURE):
            height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
            return ImageSize(int(height), int(width))
        header = image_header(data)
    except (ValueError, KeyError) as error:  # the latter where no colour space can be told
        raise ImageError("broken JPEG header") from error
    except TableError as error:
        raise ImageError(str(error)) from error
    return ImageSize(header.height, header.width)


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


def decode_image(encoded: bytes) -> Pixels:
    """Return the pixels, (height, width, 3) uint8; transparency is dropped, grey becomes three equal bands.

    Raises:
        ImageError: neither JPEG nor PNG, larger than `MAX_PIXELS`, or damaged.
    """
    read_size(encoded)
    if encoded.startswith(_JPEG_SIGNATURE):
        try:
            return np.asarray(simplejpeg.decode_jpeg(encoded, colorspace="RGB"), dtype=np.uint8)
        except ValueError:
            # also for harmless oddities, such as bytes between two markers
            return _decode_with_pillow(JpegImagePlugin.JpegImageFile, encoded)
    return _decode_with_pillow(PngImagePlugin.PngImageFile, encoded)


def _decode_with_pillow(
    opener: type[JpegImagePlugin.JpegImageFile | PngImagePlugin.PngImageFile], data: bytes
) -> Pixels:
    """Decode by the format's own class, as the guard of `Image.open` warns above 89 million pixels; ours is above."""
    try:
        with warnings.catch_warnings(), opener(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")  # remarks on metadata
            if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
                grey = (np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise ImageError(f"cannot be decoded: {error}") from error


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
