"""Pixels to the bytes of an image file."""

from __future__ import annotations

import io

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from rsvqa.rsvqa_builder.settings import ImageFormat


def encode(pixels: NDArray[np.uint8], image_format: ImageFormat, quality: int) -> bytes:
    """Return (height, width, 3) RGB pixels as JPEG (4:4:4: colours of small objects stay theirs) or PNG."""
    if image_format is ImageFormat.JPEG:
        return bytes(simplejpeg.encode_jpeg(pixels, quality=quality, colorspace="RGB", colorsubsampling="444"))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
